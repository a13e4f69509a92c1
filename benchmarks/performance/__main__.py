"""Command line of the timings."""

import argparse
from pathlib import Path

from . import transport, turbulence
from .turbulence_peers import PEERS


def main() -> None:
    """Parse the arguments and run one suite."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.performance", description=__doc__
    )
    suites = parser.add_subparsers(dest="suite", required=True)
    ot = suites.add_parser("ot", help="optimal transport beside POT and GeomLoss")
    flows = suites.add_parser(
        "turbulence",
        help="turbulence solvers beside jax-cfd, exponax and torch-cfd",
        description="Steps per second of the turbulence solvers. Peers are timed in environments "
        "of their own, e.g. `python -m venv jaxcfd && jaxcfd/bin/pip install jax-cfd==0.2.1 "
        "jax==0.4.25 jaxlib==0.4.25 'scipy<1.13'` and then `--jax-cfd jaxcfd/bin/python`.",
    )
    for suite, module, folder in (
        (ot, transport, "performance-ot"),
        (flows, turbulence, "performance-turbulence"),
    ):
        suite.add_argument("--preset", choices=sorted(module.PRESETS), default="small")
        suite.add_argument("--out", type=Path, default=Path(folder), help="results folder")
        suite.add_argument("--threads", type=int, default=1, help="threads of every method")
    flows.add_argument("--sizes", type=int, nargs="+", help="only these, of the preset's sizes")
    for name in PEERS:
        flows.add_argument(
            f"--{name}", metavar="PYTHON", help=f"interpreter that has {name}; left out without it"
        )
    arguments = parser.parse_args()
    if arguments.suite == "ot":
        transport.run(arguments.preset, arguments.out, threads=arguments.threads)
        return
    given = {name: getattr(arguments, name.replace("-", "_")) for name in PEERS}
    turbulence.run(
        arguments.preset,
        arguments.out,
        threads=arguments.threads,
        sizes=arguments.sizes,
        pythons={name: python for name, python in given.items() if python},
    )


if __name__ == "__main__":
    main()
