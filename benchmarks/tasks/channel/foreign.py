"""Forecasts of channel flow by any model, from files, scored as a run scores its own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.channel.config import MODELS, ChannelConfig
from pushforward.benchmarks.tasks.channel.data import ChannelProblem, channel_problem
from pushforward.benchmarks.tasks.channel.rows import Row, plain_rows
from pushforward.benchmarks.tasks.channel.task import Judged
from pushforward.benchmarks.tasks.foreign import UNKNOWN_COST, check_row_name, write_foreign
from pushforward.datasets import open_channel
from pushforward.datasets.channel import ChannelForecasts, open_channel_forecasts
from pushforward.simulators.errors import DataError

__all__ = ["evaluate"]

OWN = (*MODELS, "persistence", "convected_persistence", "run_mean")


def evaluate(
    config: ChannelConfig,
    predictions: Sequence[str | os.PathLike[str]],
    folder: RunFolder,
    *,
    model: str,
) -> list[Path]:
    """Score forecasts from files beside persistence, carried persistence and the mean profile.

    Errors are of the forecasts that a run makes: in every judged run, from every `start_every`-th
    frame, to the last of the horizons. If a forecast from the first frame of the first judged run
    has `rollout_steps` steps, its statistics are scored too. Forecasts of other starts are left
    alone.

    Parameters
    ----------
    config : names the data, the judged runs, starts and horizons; its seed is the row's.
    predictions : netCDF files of forecasts, see `open_channel_forecasts`.
    folder : where the results go.
    model : the name of the row.

    Returns
    -------
    Paths of the results files.

    Raises
    ------
    DataError : a name of our own rows; no data; files that are not what they must be; forecasts
        that are missing, with the runs and times; other scores in the folder under that name.
    """
    check_row_name(model, OWN, ("les_",))
    if config.data is None:
        raise DataError(
            "evaluate needs --data, the file that the forecasts start in. A run without --data "
            "keeps the flows that it simulates in OUT/predictions/data.nc."
        )
    data = open_channel(config.data)
    forecasts = [open_channel_forecasts(path, data) for path in predictions]
    problem = channel_problem(config, data)
    steps = max(config.horizons)
    windows = problem.windows(config.start_every, steps)
    found = _Found(problem, forecasts)
    short = torch.stack([found(run, start, steps) for run, start in _wanted(config, problem)])
    first = problem.judged_runs[0]
    long = found.get(first, 0, config.rollout_steps)

    def from_file(start: Tensor, steps: int) -> Tensor:
        if start is windows.start or long is None:
            return short
        return long[None]

    row = Row(model, from_file, 0 if long is None else config.rollout_steps)
    split = "validation" if config.validate else "test"
    judged = Judged(config, folder, problem, windows, {}, split)
    result = judged.result(row, config.seed, None, UNKNOWN_COST)
    reference = dict(result.reference)
    for plain in plain_rows(replace(config, les=[]), problem):
        metrics = judged.result(plain, 0, None, None).metrics
        reference[plain.name] = {name: metric.value for name, metric in metrics.items()}
    return write_foreign([replace(result, reference=reference, cost=UNKNOWN_COST)], folder)


def _wanted(config: ChannelConfig, problem: ChannelProblem) -> list[tuple[int, int]]:
    """Runs and frames from which short forecasts start, in the order of the windows."""
    frames = problem.judged.shape[1]
    starts = range(0, frames - max(config.horizons), config.start_every)
    return [(run, start) for start in starts for run in problem.judged_runs]


@dataclass(frozen=True)
class _Found:
    """Forecasts of several files by run and start."""

    problem: ChannelProblem
    forecasts: Sequence[ChannelForecasts]

    def get(self, run: int, start: int, steps: int) -> Float[Tensor, "steps 3 x y z"] | None:
        """The first so many steps of a forecast that is at least so long, or None."""
        for file in self.forecasts:
            at = file.place(run, start)
            if at is not None and file.velocity.shape[1] >= steps:
                return file.velocity[at, :steps]
        return None

    def __call__(self, run: int, start: int, steps: int) -> Float[Tensor, "steps 3 x y z"]:
        """The same; a missing forecast is refused."""
        forecast = self.get(run, start, steps)
        if forecast is None:
            data = self.problem.data
            names = ", ".join(file.path for file in self.forecasts)
            raise DataError(
                f"{names}: no forecast of run {run} from time {float(data.time[start]):.6g} over "
                f"{steps} steps of {data.time_step:.6g}. Judged are the runs "
                f"{list(self.problem.judged_runs)}, every --start-every frames, over the longest "
                "of --horizons; use the options of the run beside whose rows these shall stand, "
                "as with --config OUT/config.yaml."
            )
        return forecast
