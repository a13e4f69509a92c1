"""Results of a run's rows: each judged once, with what it cost."""

import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from pushforward.benchmarks.result import Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.surrogates.training import Progress, StopSignal

__all__ = ["judge_missing", "peak_memory_mb", "run_cost"]

Row = TypeVar("Row")


def judge_missing(
    folder: RunFolder,
    rows: Mapping[tuple[str, int], Row],
    judge: Callable[[Row, int], Result],
    stop: StopSignal,
    *,
    split: str,
    label: str = "forecasts",
) -> list[Path]:
    """Judge the rows that have no results file yet.

    Parameters
    ----------
    folder : of the run.
    rows : (name, seed) -> row.
    judge : row and seed -> result.
    stop : looked at after each row.
    split : that they are judged on.
    label : at the start of the progress line.

    Returns
    -------
    Paths of all results files, old and new.

    Raises
    ------
    InterruptedRun : a signal came; what is finished is saved.
    """
    paths = []
    with Progress(len(rows), label) as progress:
        for (name, seed), row in rows.items():
            path = folder.result_path(name, split, seed)
            paths.append(path)
            if not path.exists():
                judge(row, seed).write(folder.results)
            progress.advance()
            stop.raise_if_requested("every finished part")
    return paths


def run_cost(cost: dict[str, Any] | None, *, seconds: float, calls: int) -> dict[str, Any]:
    """The `cost` entry of a result: training (if any), inference, and the process's peak memory.

    Parameters
    ----------
    cost : of training, for learned rows.
    seconds, calls : of the forecast.
    """
    return {
        "parameters": 0,
        "train_seconds": 0.0,
        "nfe": calls,
        "device": "cpu",
        **(cost or {}),
        "inference_seconds": round(seconds, 4),
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb(device: torch.device | None = None) -> float:
    """Peak memory in MB: of the GPU if that is the device, else of the process so far."""
    if device is not None and device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
