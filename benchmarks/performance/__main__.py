"""Command line of the timings."""

import argparse
from pathlib import Path

from . import cells, transport


def main() -> None:
    """Parse the arguments and run one suite."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.performance", description=__doc__
    )
    parser.add_argument(
        "suite",
        choices=["cells", "ot"],
        help="what to time: ot = optimal transport, cells = reading cells from disk, and a fit",
    )
    parser.add_argument("--preset", choices=sorted(transport.PRESETS), default="small")
    parser.add_argument("--out", type=Path, help="results folder; default performance-SUITE")
    parser.add_argument(
        "--threads", type=int, help="threads of every method; default 1 for ot, 2 for cells"
    )
    parser.add_argument(
        "--cells", type=int, help="cells of the file (cells); default: the preset's"
    )
    arguments = parser.parse_args()
    out = arguments.out or Path(f"performance-{arguments.suite}")
    if arguments.suite == "cells":
        cells.run(arguments.preset, out, threads=arguments.threads or 2, n_cells=arguments.cells)
    else:
        if arguments.cells is not None:
            parser.error("--cells belongs to the suite cells")
        transport.run(arguments.preset, out, threads=arguments.threads or 1)


if __name__ == "__main__":
    main()
