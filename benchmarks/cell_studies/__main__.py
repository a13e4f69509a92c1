"""Run a study: `python -m pushforward.benchmarks.cell_studies gap|screens`."""

import argparse
from pathlib import Path

from pushforward.benchmarks.cell_studies import gap_regularisation
from pushforward.benchmarks.study import write

STUDIES = {"gap": gap_regularisation.run}


def main() -> None:
    """Parse the arguments, run the study, write JSON and Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.cell_studies", description=__doc__
    )
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--preset", choices=("smoke", "small"), default="small")
    parser.add_argument("--out", type=Path, default=Path("cell-studies"))
    arguments = parser.parse_args()
    study = STUDIES[arguments.study](arguments.preset)
    print(write(study, arguments.out / arguments.study, arguments.preset))


if __name__ == "__main__":
    main()
