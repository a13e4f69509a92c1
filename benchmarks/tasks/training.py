"""Learned rows of a run: each trained once, its cost kept beside it."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.simulators.files import write_json
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.training import StopSignal, TrainingReport

__all__ = ["Costs", "train_missing"]

Costs = dict[tuple[str, int], dict[str, Any]]
"""(name, seed) -> what the training cost."""


def train_missing(
    folder: RunFolder,
    jobs: Iterable[tuple[str, int]],
    fit: Callable[[str, int], tuple[Surrogate, Sequence[TrainingReport]]],
    stop: StopSignal,
) -> Costs:
    """Train and save what is not there yet; the cost of every model, from its `cost.json`.

    Parameters
    ----------
    folder : of the run.
    jobs : (name, seed) of every model.
    fit : trains one and returns it with its reports.
    stop : looked at after each model.

    Raises
    ------
    InterruptedRun : a signal came; what is finished is saved.
    """
    costs: Costs = {}
    for name, seed in jobs:
        home = folder.model_folder(name, seed)
        record = home / "cost.json"
        if not record.exists():
            model, reports = fit(name, seed)
            model.save(home)
            write_json(
                record,
                {
                    "parameters": model.n_parameters,
                    "train_seconds": round(sum(r.seconds for r in reports), 1),
                    "train_steps": sum(r.steps for r in reports),
                    "losses": [float(np.mean(r.losses[-10:])) for r in reports if r.losses],
                },
            )
            stop.raise_if_requested(f"model {name} of seed {seed}")
        costs[name, seed] = json.loads(record.read_text())
    return costs
