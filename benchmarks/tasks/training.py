"""Learned rows of a run: each trained once, its cost kept beside it."""

import json
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.simulators.files import write_json
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.training import StopSignal, TrainingReport

__all__ = ["run_cost", "train_missing"]

Costs = dict[tuple[str, int], dict[str, Any]]


def train_missing(
    folder: RunFolder,
    jobs: Iterable[tuple[str, int]],
    fit: Callable[[str, int], tuple[Surrogate, Sequence[TrainingReport]]],
    stop: StopSignal,
) -> Costs:
    """Train and save what is not there yet; the cost of every model, from its `cost.json`.

    Parameters
    ----------
    folder : of the run; models are in `models/NAME-SEED`.
    jobs : (name, seed) of every model.
    fit : trains one and returns it with its reports.
    stop : looked at after each model.

    Raises
    ------
    InterruptedRun : a signal came; what is finished is saved.
    """
    costs: Costs = {}
    for name, seed in jobs:
        home = folder.models / f"{name}-{seed}"
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


def run_cost(cost: dict[str, Any] | None, *, seconds: float, calls: int) -> dict[str, Any]:
    """The `cost` entry of a result: training (if any), inference, and the process's peak memory.

    Parameters
    ----------
    cost : of training, for learned rows.
    seconds, calls : of the forecast.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return {
        "parameters": 0,
        "train_seconds": 0.0,
        "nfe": calls,
        "device": "cpu",
        **(cost or {}),
        "inference_seconds": round(seconds, 4),
        "peak_memory_mb": round(memory, 1),
    }
