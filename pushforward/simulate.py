"""The verb `simulate`: data sets from the domains' simulators."""

import json
from pathlib import Path

from pushforward.options import Parser, UsageError, add_common, start_logging
from pushforward.tasks import chosen_task, instantiate

__all__ = ["simulate"]


def simulate(words: list[str]) -> None:
    """`pushforward simulate TASK …`."""
    task = chosen_task("simulate", words)
    {"cells": _simulate_cells}[task](words[1:])


def _simulate_cells(words: list[str]) -> None:
    from pushforward.simulators.cells import PerturbedPopulations
    from pushforward.simulators.files import atomic_path

    parser = Parser(
        prog="pushforward simulate cells",
        description="Write control and treated cells of simulated patients as an h5ad file.",
    )
    parser.add_argument("--out", required=True, help="h5ad file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated cells")
    add_common(parser)
    parser.add_class_arguments(PerturbedPopulations, "simulation")
    options = parser.parse(words)
    start_logging(options.quiet)
    simulation = instantiate(parser, options, PerturbedPopulations, "simulation")
    path = Path(options.out)
    if path.suffix != ".h5ad":
        raise UsageError(f"--out {path} must end in .h5ad")
    with atomic_path(path) as temporary:
        simulation.simulate(seed=options.seed).write_h5ad(temporary, compression="gzip")
    print(json.dumps({"file": str(path)}) if options.json else path)
