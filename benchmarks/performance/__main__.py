"""Command line of the timings."""

import argparse
from pathlib import Path

from . import atmosphere, cells, channel, transport, turbulence
from .turbulence_peers import PEERS


def main() -> None:
    """Parse the arguments and run one suite."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.performance", description=__doc__
    )
    suites = parser.add_subparsers(dest="suite", required=True)
    ot = suites.add_parser("ot", help="optimal transport beside POT and GeomLoss")
    disk = suites.add_parser("cells", help="reading cells from disk, and a fit")
    sphere = suites.add_parser("atmosphere", help="transport of tracers on the sphere")
    walls = suites.add_parser("channel", help="time steps of the channel solver and its models")
    flows = suites.add_parser(
        "turbulence",
        help="turbulence solvers beside jax-cfd, exponax and torch-cfd",
        description="Steps per second of the turbulence solvers. Peers are timed in environments "
        "of their own, e.g. `python -m venv jaxcfd && jaxcfd/bin/pip install jax-cfd==0.2.1 "
        "jax==0.4.25 jaxlib==0.4.25 'scipy<1.13'` and then `--jax-cfd jaxcfd/bin/python`.",
    )
    for name, suite, module, threads in (
        ("ot", ot, transport, 1),
        ("cells", disk, cells, 2),
        ("atmosphere", sphere, atmosphere, 2),
        ("channel", walls, channel, 2),
        ("turbulence", flows, turbulence, 1),
    ):
        folder = Path(f"performance-{name}")
        suite.add_argument("--preset", choices=sorted(module.PRESETS), default="small")
        suite.add_argument("--out", type=Path, default=folder, help=f"folder, {folder}")
        suite.add_argument(
            "--threads", type=int, default=threads, help=f"threads of every method, {threads}"
        )
    disk.add_argument("--cells", type=int, help="cells of the file; default: the preset's")
    flows.add_argument("--sizes", type=int, nargs="+", help="only these, of the preset's sizes")
    for name in PEERS:
        flows.add_argument(
            f"--{name}", metavar="PYTHON", help=f"interpreter that has {name}; left out without it"
        )
    chosen = parser.parse_args()
    if chosen.suite == "ot":
        transport.run(chosen.preset, chosen.out, threads=chosen.threads)
    elif chosen.suite == "cells":
        cells.run(chosen.preset, chosen.out, threads=chosen.threads, n_cells=chosen.cells)
    elif chosen.suite == "atmosphere":
        atmosphere.run(chosen.preset, chosen.out, threads=chosen.threads)
    elif chosen.suite == "channel":
        channel.run(chosen.preset, chosen.out, threads=chosen.threads)
    else:
        given = {name: getattr(chosen, name.replace("-", "_")) for name in PEERS}
        turbulence.run(
            chosen.preset,
            chosen.out,
            threads=chosen.threads,
            sizes=chosen.sizes,
            pythons={name: python for name, python in given.items() if python},
        )


if __name__ == "__main__":
    main()
