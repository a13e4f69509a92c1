"""Command line of the timings."""

import argparse
from pathlib import Path

from .transport import PRESETS, run


def main() -> None:
    """Parse the arguments and run one suite."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.performance", description=__doc__
    )
    parser.add_argument("suite", choices=["ot"], help="what to time: ot = optimal transport")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--out", type=Path, default=Path("performance-ot"), help="results folder")
    parser.add_argument("--threads", type=int, default=1, help="threads of every method")
    arguments = parser.parse_args()
    run(arguments.preset, arguments.out, threads=arguments.threads)


if __name__ == "__main__":
    main()
