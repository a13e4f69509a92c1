"""The atmosphere task: 90-day forecasts of CO2 by emulators, judged beside upwind transport."""

import json
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from pushforward.benchmarks.metrics.atmosphere import to_ppm
from pushforward.benchmarks.result import Metric, Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.atmosphere.config import AtmosphereConfig
from pushforward.benchmarks.tasks.atmosphere.data import (
    ForecastSet,
    cut_forecasts,
    simulated_data,
    split,
)
from pushforward.benchmarks.tasks.atmosphere.rows import (
    Row,
    emulator_rows,
    load_emulator,
    new_emulator,
    reference_rows,
)
from pushforward.benchmarks.tasks.atmosphere.scoring import CarbonScores, score_carbon
from pushforward.benchmarks.tasks.atmosphere.speed import step_milliseconds
from pushforward.benchmarks.tasks.atmosphere.stations import station_metrics
from pushforward.benchmarks.tasks.judging import judge_missing, run_cost
from pushforward.benchmarks.tasks.sample import picture
from pushforward.benchmarks.tasks.training import Costs, train_missing
from pushforward.datasets.atmosphere import (
    CarbonData,
    CarbonStatistics,
    Station,
    carbon_statistics,
    open_carbon,
    open_stations,
)
from pushforward.simulators.files import write_json
from pushforward.surrogates.atmosphere import CarbonEmulator, fit_emulator
from pushforward.surrogates.training import StopSignal, TrainingReport, make_fabric

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TASK", "TASK_VERSION", "Material", "judge", "prepare", "run"]

TASK = "atmosphere"
TASK_VERSION = 1
SPLIT = "test"
HEADLINE = [
    "rmse",
    "rmse_mw",
    "r2",
    "r2_30d",
    "abs_bias_30d",
    "rel_mass_rmse_90d",
    "days_r2_90",
    "rise_loss",
    "diverged",
    "ms_per_step",
]
SHOWN_DAYS = (7, 30, 90)  # days after the start at which the lowest layer is pictured


def run(config: AtmosphereConfig, folder: RunFolder, *, device: str = "auto") -> list[Path]:
    """Simulate or open data, train, forecast, time and score; finished parts are skipped.

    Parameters
    ----------
    config : what to do.
    folder : where data (`predictions/data.nc`), models and results go.
    device : auto, cpu, cuda, cuda:N; of the emulators.

    Returns
    -------
    Paths of all results files, old and new.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : with the exit codes 3, 4 and 75.
    """
    # What is given is read, and refused, before anything is written.
    stations = [] if config.stations is None else open_stations(config.stations)
    given: Material | None = None
    if config.data is not None:
        fresh = not folder.config_file.is_file()
        given = prepare(config, open_carbon(config.data), stations, read=fresh)
    fabric = make_fabric(device)
    folder.claim(config.plain(), sweep=config.SWEEP)
    with StopSignal() as stop:
        material = given or prepare(config, simulated_data(config, folder), stations)
        costs = _train_all(config, folder, material.training, fabric, stop)
        speeds = _speeds(config, folder, material.test, fabric)
        stop.raise_if_requested("every trained model and timing")
        references = reference_rows(config, material.data, material.forecasts.starts)
        rows = {(row.name, 0): row for row in references}
        rows |= {
            (row.name, seed): row
            for variant, seed in costs
            for row in emulator_rows(variant, _model(folder, variant, seed, fabric))
        }
        scored = partial(judge, config, folder, material, speeds, costs)
        return judge_missing(folder, rows, scored, stop, split=SPLIT)


class Material(NamedTuple):
    """What a run works on."""

    data: CarbonData  # that the starts of the forecasts are counted in
    training: CarbonData
    test: CarbonData
    forecasts: ForecastSet
    stations: Sequence[Station]
    known: dict[str, Metric]  # scores of the truth at the stations


def prepare(
    config: AtmosphereConfig,
    data: CarbonData,
    stations: Sequence[Station],
    *,
    read: bool = False,
) -> Material:
    """Split the data, cut the forecasts, score the truth; `read` the training part as well."""
    training, test = split(config, data)
    if config.test_data is not None:
        data = test
    forecasts = cut_forecasts(config, test)
    known: dict[str, Metric] = {}
    if stations:
        known = station_metrics(stations, data, forecasts, forecasts.window.concentration[:, 1:])
    return Material(data, training.load() if read else training, test, forecasts, stations, known)


def _model(folder: RunFolder, variant: str, seed: int, fabric: "Fabric") -> Any:
    return load_emulator(folder.model_folder(variant, seed)).to(fabric.device)


def _train_all(
    config: AtmosphereConfig,
    folder: RunFolder,
    training: CarbonData,
    fabric: "Fabric",
    stop: StopSignal,
) -> Costs:
    """Train what is not trained yet; the cost of each model."""
    grid = (training.grid.n_lat, training.grid.n_lon)

    @cache  # read for the first model that is to be trained, and then kept
    def prepared() -> tuple[CarbonData, CarbonStatistics]:
        loaded = training.load()
        statistics = carbon_statistics(loaded)
        statistics.save(folder.models / "statistics.json")
        return loaded, statistics

    def fit(variant: str, seed: int) -> tuple[CarbonEmulator, list[TrainingReport]]:
        data, statistics = prepared()
        model = new_emulator(config, variant, seed, levels=len(training.level), grid=grid)
        reports = fit_emulator(
            model,
            data,
            statistics,
            stages=config.stages,
            optimisation=config.optimisation,
            batch_size=config.batch_size,
            spectral=config.spectral,
            rollout_rate=config.rollout_rate,
            seed=seed,
            folder=folder.training_folder(variant, seed),
            fabric=fabric,
            label=f"{variant} seed {seed}",
        )
        return model, reports

    jobs = [(variant, seed) for seed in config.seeds for variant in config.variants]
    return train_missing(folder, jobs, fit, stop)


def _speeds(
    config: AtmosphereConfig, folder: RunFolder, test: CarbonData, fabric: "Fabric"
) -> dict[str, dict[str, float]]:
    """Milliseconds a step in three modes for every network, kept in `speeds.json`.

    Networks added later are timed then. Remove that file and the results to take all again, for
    instance on a quieter machine.
    """
    path = folder.path / "speeds.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in config.models if name not in found]
    for name in missing:
        model = _model(folder, name, config.seed, fabric)
        found[name] = step_milliseconds(
            model, test, steps=config.speed_steps, repeats=config.speed_repeats
        )
    if missing:
        write_json(path, found)
    return found


def judge(
    config: AtmosphereConfig,
    folder: RunFolder,
    material: Material,
    speeds: dict[str, dict[str, float]],
    costs: Costs,
    row: Row,
    seed: int,
) -> Result:
    """Forecast and score one row; without a cost it is one that learned nothing."""
    cost = costs.get((row.variant, seed))
    data, forecasts = material.data, material.forecasts
    window = forecasts.window
    begun = time.perf_counter()
    predicted = row.forecast(window, window.steps)
    seconds = time.perf_counter() - begun
    scores = score_carbon(predicted, window, data.grid.lat, step_hours=data.step_hours)
    metrics = dict(scores.metrics)
    if cost is not None and "rmse" in metrics:
        metrics |= _rise_loss(config, data, forecasts, row, metrics["rmse"])
    reference: dict[str, dict[str, float]] = {}
    if material.stations:
        metrics |= station_metrics(material.stations, data, forecasts, predicted)
        reference["truth"] = {name: metric.value for name, metric in material.known.items()}
    for mode, value in speeds.get(row.name, {}).items():
        name = "ms_per_step" if mode == "compute" else f"ms_per_step_{mode}"
        metrics[name] = Metric(value, 0.0, 1, "ms", "lowest")
    if cost is None and row.name != "persistence":
        each = 1e3 * seconds / window.steps / len(forecasts.starts)
        metrics["ms_per_step"] = Metric(each, 0.0, 1, "ms", "lowest")
    return Result(
        task=TASK,
        task_version=TASK_VERSION,
        model=row.name,
        preset=folder.preset,
        seed=seed,
        split=SPLIT,
        split_kind="period",
        metrics=metrics,
        reference=reference,
        cost=run_cost(cost, seconds=seconds, calls=window.steps),
        config_hash=config.hash,
        data_fingerprint=data.fingerprint,
        headline=HEADLINE,
        learned=cost is not None,
        sample=_sample(config, data, forecasts, predicted, scores, seed in (0, config.seed)),
    )


def _rise_loss(
    config: AtmosphereConfig, data: CarbonData, forecasts: ForecastSet, row: Row, before: Metric
) -> dict[str, Metric]:
    """By how much the error grows where all CO2 is higher than in training; none if it diverges."""
    risen = forecasts.risen(config.rise)
    predicted = row.forecast(risen, risen.steps)
    higher = score_carbon(predicted, risen, data.grid.lat, step_hours=data.step_hours).metrics
    if "rmse" not in higher:
        return {}
    loss = higher["rmse"].value / before.value - 1
    return {"rise_loss": Metric(loss, 0.0, before.n, "1", "lowest")}


def _sample(
    config: AtmosphereConfig,
    data: CarbonData,
    forecasts: ForecastSet,
    predicted: Tensor,
    scores: CarbonScores,
    pictures: bool,
) -> dict[str, Any]:
    """Curves over lead time, spectra, and maps of the lowest layer of the first start."""
    every = max(1, predicted.shape[1] // 120)
    sample: dict[str, Any] = {
        "kind": "forecast",
        "days_per_value": every * data.step_hours / 24,
        "starts": forecasts.times,
        "rise": config.rise,
        "curves": {name: curve[every - 1 :: every] for name, curve in scores.curves.items()},
        "spectrum": scores.spectrum,
        "true_spectrum": scores.true_spectrum,
    }
    if pictures:
        index = {
            str(d): round(24 * d / data.step_hours) - 1
            for d in SHOWN_DAYS
            if round(24 * d / data.step_hours) <= predicted.shape[1]
        }
        truth = forecasts.window.concentration[0, 1:]
        sample["maps"] = {
            name: {day: picture(to_ppm(field[i, 0]), decimals=2) for day, i in index.items()}
            for name, field in (("forecast", predicted[0]), ("truth", truth))
        }
    return sample
