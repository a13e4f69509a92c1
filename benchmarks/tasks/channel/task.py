"""The channel task: emulators of filtered wall turbulence, judged beside large-eddy simulation."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pushforward.benchmarks.metrics.channel import ChannelSpectra, relative_error
from pushforward.benchmarks.result import Metric, Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.channel.config import ChannelConfig
from pushforward.benchmarks.tasks.channel.data import (
    ChannelProblem,
    Windows,
    channel_problem,
    open_or_simulate,
)
from pushforward.benchmarks.tasks.channel.kernels import kernel_sample
from pushforward.benchmarks.tasks.channel.les import dns_seconds_per_frame
from pushforward.benchmarks.tasks.channel.rows import (
    Row,
    learned_row,
    load_emulator,
    new_emulator,
    plain_rows,
)
from pushforward.benchmarks.tasks.channel.scoring import score_long, score_short
from pushforward.benchmarks.tasks.judging import judge_missing, run_cost
from pushforward.benchmarks.tasks.sample import picture, significant
from pushforward.benchmarks.tasks.training import Costs, train_missing
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.surrogates.channel import ChannelConstraints, ChannelEmulator, fit_emulator
from pushforward.surrogates.training import StopSignal, TrainingReport, make_fabric

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TASK", "TASK_VERSION", "Judged", "run"]

TASK = "channel"
TASK_VERSION = 1
HEADLINE = [  # after the errors at the horizons
    "correlation_time",
    "bounded_steps",
    "lively_steps",
    "error_U",
    "error_u_rms",
    "error_v_rms",
    "error_w_rms",
    "error_uv",
    "spectra_error",
    "wall_slip",
    "divergence",
    "seconds_per_turnover",
]
TIMED_FRAMES = {"les": 2, "learned": 10}


def run(config: ChannelConfig, folder: RunFolder, *, device: str = "auto") -> list[Path]:
    """Simulate or open data, train, forecast, time and score; finished parts are skipped.

    Parameters
    ----------
    config : what to do.
    folder : where simulated data (`predictions/data.nc`), models and results go.
    device : auto, cpu, cuda, cuda:N; of the emulators.

    Returns
    -------
    Paths of all results files, old and new.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : with the exit codes 3, 4 and 75.
    """
    given = None if config.data is None else open_or_simulate(config, folder)  # refused first
    fabric = make_fabric(device)
    folder.claim(config.plain(), sweep=config.SWEEP)
    with StopSignal() as stop:
        problem = channel_problem(config, given or open_or_simulate(config, folder))
        windows = problem.windows(config.start_every, max(config.horizons))
        costs = _train_all(config, folder, problem, fabric, stop)
        models = {
            job: load_emulator(folder.model_folder(*job), problem.grid).to(fabric.device)
            for job in costs
        }
        rows = {(row.name, 0): row for row in plain_rows(config, problem)}
        rows |= {job: learned_row(config, job[0], model) for job, model in models.items()}
        timings = _timings(config, folder, problem, rows)
        stop.raise_if_requested("every trained model and timing")
        split = "validation" if config.validate else "test"
        judged = Judged(config, folder, problem, windows, timings, split)

        def judge(row: Row, seed: int) -> Result:
            job = (row.name, seed)
            return judged.result(row, seed, models.get(job), costs.get(job))

        return judge_missing(folder, rows, judge, stop, split=split)


def _train_all(
    config: ChannelConfig,
    folder: RunFolder,
    problem: ChannelProblem,
    fabric: "Fabric",
    stop: StopSignal,
) -> Costs:
    def fit(name: str, seed: int) -> tuple[ChannelEmulator, list[TrainingReport]]:
        model = new_emulator(config, name, seed, grid=problem.grid)
        reports = fit_emulator(
            model,
            problem.training,
            stages=config.stages(name),
            optimisation=config.optimisation,
            batch_size=config.batch_size,
            noise=config.noise,
            seed=seed,
            folder=folder.training_folder(name, seed),
            fabric=fabric,
            label=f"{name} seed {seed}",
        )
        return model, reports

    jobs = [(name, seed) for seed in config.seeds for name in config.models]
    return train_missing(folder, jobs, fit, stop)


def _timings(
    config: ChannelConfig,
    folder: RunFolder,
    problem: ChannelProblem,
    rows: dict[tuple[str, int], Row],
) -> dict[str, float]:
    """Seconds for one h/u_tau of one flow, row by row in one sitting, kept in `timings.json`.

    Remove that file and the results to take them again, for instance on a quieter machine.
    """
    path = folder.path / "timings.json"
    if path.exists():
        return json.loads(path.read_text())
    start = problem.judged[:1, 0]
    per_turnover = 1 / problem.frame_spacing
    timings = {}
    for (name, seed), row in rows.items():
        if row.long_steps == 0 or name == "run_mean" or (seed != config.seed and seed):
            continue
        frames = TIMED_FRAMES["les" if name.startswith("les_") else "learned"]
        timings[name] = row.seconds_per_frame(start, frames=frames) * per_turnover
    with suppress(DataError):  # a published file does not say which simulation made it
        timings["(dns)"] = dns_seconds_per_frame(problem) * per_turnover
    write_json(path, timings)
    return timings


class Judged:
    """Results of one problem.

    Parameters
    ----------
    config, folder, problem : of the run.
    windows : short forecasts that every row makes.
    timings : seconds for one h/u_tau, by row.
    split : name of the runs that are judged.
    """

    def __init__(
        self,
        config: ChannelConfig,
        folder: RunFolder,
        problem: ChannelProblem,
        windows: Windows,
        timings: dict[str, float],
        split: str,
    ):
        self.config, self.folder, self.problem = config, folder, problem
        self.windows, self.timings, self.split = windows, timings, split

    def result(
        self,
        row: Row,
        seed: int,
        model: ChannelEmulator | None,
        cost: dict[str, Any] | None,
    ) -> Result:
        """Forecast and score one row."""
        config, problem, windows = self.config, self.problem, self.windows
        begun = time.perf_counter()
        predicted = row.forecast(windows.start, windows.truth.shape[1])
        seconds = time.perf_counter() - begun
        short = score_short(problem, windows, predicted, config.horizons)
        metrics = dict(short.metrics)
        first = seed in (0, config.seed)
        sample: dict[str, Any] = {
            "kind": "forecast",
            "spacing": problem.frame_spacing,
            "error": short.error,
            "correlation": short.correlation,
            "truth": self._truth(),
        }
        if row.long_steps:
            ahead = row.forecast(problem.judged[:1, 0], row.long_steps)[0].float()
            long = score_long(problem, ahead)
            metrics |= long.metrics
            every = max(1, len(long.energy) // 250)
            sample["energy"] = {"every": every, "values": long.energy[::every]}
            if long.profiles is not None and long.spectra is not None:
                sample |= self._statistics(long.profiles, long.spectra)
        if first:
            sample["pictures"] = self._pictures(predicted)
        if first and model is not None:
            kernels = kernel_sample(model, problem.judged[:, 0])
            if kernels is not None:
                sample["attention"] = kernels
        if row.name in self.timings:
            value = self.timings[row.name]
            metrics["seconds_per_turnover"] = Metric(value, 0.0, 1, "s", "lowest")
        return Result(
            task=TASK,
            task_version=TASK_VERSION,
            model=row.name,
            preset=self.folder.preset,
            seed=seed,
            split=self.split,
            split_kind="run",
            metrics=metrics,
            reference=self._references(),
            cost=run_cost(cost, seconds=seconds, calls=windows.truth.shape[1]),
            config_hash=config.hash,
            data_fingerprint=problem.fingerprint,
            headline=[*(f"error_{h}" for h in config.horizons), *HEADLINE],
            learned=cost is not None,
            sample=sample,
        )

    def _references(self) -> dict[str, dict[str, float]]:
        """The noise floor, what the constraints alone change, and the simulation's own seconds."""
        problem = self.problem
        fixed = ChannelConstraints(problem.grid)(self.windows.truth[:, 0], self.windows.truth[:, 0])
        change = relative_error(
            fixed, self.windows.truth[:, 0], problem.mean, problem.grid.weights
        ).mean()
        rows = {
            "half of the runs": dict(problem.floor),
            "constrained truth": {"error_1": float(change)},
        }
        if "(dns)" in self.timings:
            rows["dns"] = {"seconds_per_turnover": self.timings["(dns)"]}
        return rows

    def _truth(self) -> dict[str, Any]:
        return self._statistics(self.problem.profiles, self.problem.spectra) | {
            "y_plus": significant(
                (np.asarray(self.problem.grid.y)[: len(self.problem.half_weights)] + 1)
                * self.problem.data.friction_reynolds
            ),
        }

    def _statistics(
        self, profiles: dict[str, np.ndarray], spectra: ChannelSpectra
    ) -> dict[str, Any]:
        """Profiles and spectra in wall units."""
        u_tau = self.problem.data.friction_velocity
        return {
            "profiles": {
                k: significant(p / (u_tau**2 if k == "uv" else u_tau)) for k, p in profiles.items()
            },
            "spectra": {
                name: [[significant(line / u_tau**2) for line in component] for component in power]
                for name, power in (("x", spectra.along_x), ("z", spectra.along_z))
            },
        }

    def _pictures(self, predicted: Tensor) -> dict[str, Any]:
        """u' at y+ of about 15 after each horizon, of the first window, in wall units."""
        problem, plane = self.problem, self.problem.planes[1][0]
        scale = problem.data.friction_velocity
        pictures: dict[str, Any] = {"forecast": {}, "truth": {}}
        for name, field in (("forecast", predicted), ("truth", self.windows.truth)):
            for h in self.config.horizons:
                u = (field[0, h - 1, 0, :, plane] - problem.mean[0, plane]) / scale
                pictures[name][str(h)] = picture(u)
        return pictures
