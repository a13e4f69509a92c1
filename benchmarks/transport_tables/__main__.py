"""Run a study: `python -m pushforward.benchmarks.transport_tables sparse|noise|gibbs`."""

import argparse
from pathlib import Path

from pushforward.benchmarks.study import write

from . import gibbs_pairs, noise_pairs, sparse_routing

STUDIES = {"sparse": sparse_routing.run, "noise": noise_pairs.run, "gibbs": gibbs_pairs.run}


def main() -> None:
    """Parse the arguments, run the study, write JSON and Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.transport_tables", description=__doc__
    )
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--preset", choices=("smoke", "small"), default="small")
    parser.add_argument("--out", type=Path, default=Path("transport-tables"))
    arguments = parser.parse_args()
    study = STUDIES[arguments.study](arguments.preset)
    print(write(study, arguments.out / arguments.study, arguments.preset))


if __name__ == "__main__":
    main()
