"""The turbulence task: coarse forecasts of Kolmogorov flow, judged by duration and by seconds."""

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pushforward.benchmarks.result import Metric, Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.judging import judge_missing, run_cost
from pushforward.benchmarks.tasks.training import Costs, train_missing
from pushforward.benchmarks.tasks.turbulence.config import FlowSet, TurbulenceConfig
from pushforward.benchmarks.tasks.turbulence.data import frames_of_file
from pushforward.benchmarks.tasks.turbulence.reference import (
    Reference,
    finite_volume_solver,
    reference,
)
from pushforward.benchmarks.tasks.turbulence.rows import (
    Row,
    learned_row,
    load_model,
    new_model,
    persistence,
    solver_rows,
)
from pushforward.benchmarks.tasks.turbulence.sample import forecast_sample
from pushforward.benchmarks.tasks.turbulence.scoring import score_forecast
from pushforward.simulators.files import write_json
from pushforward.surrogates.training import StopSignal, TrainingReport, make_fabric
from pushforward.surrogates.turbulence import fit_rollouts
from pushforward.surrogates.turbulence.model import CoarseSurrogate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["HEADLINE", "TASK", "TASK_VERSION", "run"]

TASK = "turbulence"
TASK_VERSION = 1
HEADLINE = [
    "duration_80",
    "duration_95",
    "spectrum_error",
    "diverged",
    "seconds_per_unit",
    "seconds_per_unit_alone",
]


def run(config: TurbulenceConfig, folder: RunFolder, *, device: str = "auto") -> list[Path]:
    """Simulate, train, forecast, time and score; finished parts are skipped.

    Parameters
    ----------
    config : what to do.
    folder : where reference flows (`predictions/reference`), models and results go.
    device : auto, cpu, cuda, cuda:N; of the learned models.

    Returns
    -------
    Paths of all results files, old and new.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : with the exit codes 3, 4 and 75.
    """
    given = None if config.data is None else frames_of_file(config)  # refused before any writing
    fabric = make_fabric(device)
    folder.claim(config.plain(), sweep=config.SWEEP)
    with StopSignal() as stop:
        costs = _train_all(config, folder, fabric, stop, given)
        rows = {
            (name, seed): learned_row(
                config, name, load_model(name, folder.model_folder(name, seed)).to(fabric.device)
            )
            for name in config.models
            for seed in config.seeds
        }
        timings = _timings(config, folder, rows)
        stop.raise_if_requested("every trained model and timing")
        written: list[Path] = []
        for flows in config.test_sets:
            truth = _reference(config, flows, folder)
            plain = {(r.name, 0): r for r in (*solver_rows(config, flows), persistence())}
            written += judge_missing(
                folder,
                plain | rows,
                partial(_judge, config, folder, truth, timings, costs),
                stop,
                split=flows.name,
                label=f"forecasts {flows.name}",
            )
    return written


def _reference(config: TurbulenceConfig, flows: FlowSet, folder: RunFolder) -> Reference:
    home = folder.predictions / "reference"
    return reference(config, flows, home, config.frames, preset=folder.preset)


def _simulated(config: TurbulenceConfig, folder: RunFolder) -> Tensor:
    """Coarse frames to learn from."""
    known = _reference(config, config.training, folder)
    return torch.cat([known.history, known.truth], 1)


def _train_all(
    config: TurbulenceConfig,
    folder: RunFolder,
    fabric: "Fabric",
    stop: StopSignal,
    data: Tensor | None,
) -> Costs:
    """Train what is not trained yet, on given or simulated frames; the cost of each model."""

    def fit(name: str, seed: int) -> tuple[CoarseSurrogate, list[TrainingReport]]:
        nonlocal data
        if data is None:
            data = _simulated(config, folder)
            stop.raise_if_requested("the training flows")
        model = new_model(config, name, seed)
        reports = fit_rollouts(
            model,
            data,
            stages=config.stages,
            optimisation=config.optimisation,
            batch_size=config.batch_size,
            seed=seed,
            folder=folder.training_folder(name, seed),
            fabric=fabric,
            label=f"{name} seed {seed}",
        )
        return model, reports

    jobs = [(name, seed) for seed in config.seeds for name in config.models]
    return train_missing(folder, jobs, fit, stop)


def _timings(
    config: TurbulenceConfig, folder: RunFolder, learned: dict[tuple[str, int], Row]
) -> dict[str, dict[str, float]]:
    """Seconds a time unit for every row, in one sitting on one machine, kept in `timings.json`.

    Remove that file and the results to take them again, for instance on a quieter machine.
    """
    path = folder.path / "timings.json"
    if path.exists():
        return json.loads(path.read_text())
    flows = config.test_sets[0]
    truth = _reference(config, flows, folder)
    rows = {row.name: row for row in solver_rows(config, flows)}
    rows |= {name: row for (name, seed), row in learned.items() if seed == config.seed}
    timings = {
        name: {
            "seconds_per_unit": row.seconds_per_unit(truth, config, flows=len(truth.first)),
            "seconds_per_unit_alone": row.seconds_per_unit(truth, config, flows=1),
        }
        for name, row in rows.items()
    }
    solver = finite_volume_solver(config, flows, config.reference_cells)
    solver.advance(truth.first[:1], 2)
    begun = time.perf_counter()
    solver.advance(truth.first[:1], 32)
    seconds = (time.perf_counter() - begun) / (32 * solver.dt)
    timings[f"fv_{config.reference_cells} (truth)"] = {"seconds_per_unit_alone": seconds}
    write_json(path, timings)
    return timings


def _judge(
    config: TurbulenceConfig,
    folder: RunFolder,
    truth: Reference,
    timings: dict[str, dict[str, float]],
    costs: Costs,
    row: Row,
    seed: int,
) -> Result:
    cost = costs.get((row.name, seed))
    flow = config.coarse_flow(truth.flows)
    frames = truth.truth.shape[1]
    begun = time.perf_counter()
    predicted = row.forecast(truth, frames)
    seconds = time.perf_counter() - begun
    scores = score_forecast(predicted, truth.truth, spacing=config.frame_spacing, cell=flow.spacing)
    metrics = dict(scores.metrics)
    timed = timings if truth.flows.name == config.test_sets[0].name else {}
    for name, value in timed.get(row.name, {}).items():
        metrics[name] = Metric(value, 0.0, 1, "s", "lowest")
    horizon = frames * config.frame_spacing
    return Result(
        task=TASK,
        task_version=TASK_VERSION,
        model=row.name,
        preset=folder.preset,
        seed=seed,
        split=truth.flows.name,
        split_kind="flow",
        metrics=metrics,
        reference={
            name: {**values, "duration_80": horizon, "duration_95": horizon}
            for name, values in timed.items()
            if name.endswith("(truth)")
        },
        cost=run_cost(cost, seconds=seconds, calls=frames),
        config_hash=config.hash,
        data_fingerprint=truth.fingerprint,
        headline=HEADLINE,
        learned=cost is not None,
        sample=forecast_sample(
            predicted,
            truth.truth,
            scores,
            spacing=config.frame_spacing,
            cell=flow.spacing,
            pictures=seed in (0, config.seed),
        )
        | {"training_horizon": max(config.unrolls) * config.frame_spacing},
    )
