"""Forecasts of CO2 by any model, from a file, scored as a run scores its own."""

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.atmosphere.config import AtmosphereConfig
from pushforward.benchmarks.tasks.atmosphere.rows import Row, reference_rows
from pushforward.benchmarks.tasks.atmosphere.task import Material, judge, prepare
from pushforward.benchmarks.tasks.foreign import UNKNOWN_COST, check_row_name, write_foreign
from pushforward.datasets.atmosphere import (
    CarbonForecasts,
    CarbonWindow,
    open_carbon,
    open_carbon_forecasts,
    open_stations,
)
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import NETWORKS

__all__ = ["evaluate"]

BESIDE = ("persistence", "upwind_winds")


def evaluate(
    config: AtmosphereConfig,
    predictions: str | os.PathLike[str],
    folder: RunFolder,
    *,
    model: str,
) -> list[Path]:
    """Score forecasts from a file beside persistence and upwind transport by the data's winds.

    Scored are the forecasts that a run makes: of `lead_days`, from every `start_every_days` of the
    test period. Forecasts of other starts are left alone.

    Parameters
    ----------
    config : names the data, the test period, starts and leads; its seed is the row's.
    predictions : netCDF of forecasts, see `open_carbon_forecasts`.
    folder : where the results go.
    model : the name of the row.

    Returns
    -------
    Paths of the results files.

    Raises
    ------
    DataError : a name of our own rows; no data; a file that is not what it must be; forecasts that
        are missing, with their dates; other scores in the folder under that name.
    """
    check_row_name(model, BESIDE, (*NETWORKS, "upwind"))
    if config.data is None:
        raise DataError(
            "evaluate needs --data, the file that the forecasts start in. A run without --data "
            "keeps what it simulates in OUT/predictions/data.nc."
        )
    stations = [] if config.stations is None else open_stations(config.stations)
    material = prepare(config, open_carbon(config.data), stations)
    known = _chosen(material, open_carbon_forecasts(predictions, material.data))

    def from_file(window: CarbonWindow, steps: int) -> Tensor:
        return known[:, :steps]

    result = judge(config, folder, material, {}, {}, Row(model, from_file), config.seed)
    reference = dict(result.reference)
    for row in reference_rows(config, material.data, material.forecasts.starts):
        if row.name in BESIDE:
            plain = judge(config, folder, material, {}, {}, row, 0).metrics
            reference[row.name] = {name: metric.value for name, metric in plain.items()}
    # How long a file takes to read says nothing of the model.
    metrics = {name: m for name, m in result.metrics.items() if name != "ms_per_step"}
    theirs = replace(result, metrics=metrics, reference=reference, cost=UNKNOWN_COST, learned=True)
    return write_foreign([theirs], folder)


def _chosen(material: Material, forecasts: CarbonForecasts) -> Tensor:
    """The forecasts that are judged, in the order of the starts."""
    wanted, steps = material.forecasts, material.forecasts.window.steps
    found = [forecasts[start] for start in wanted.starts]
    missing = [
        time[:16]
        for time, forecast in zip(wanted.times, found, strict=True)
        if forecast is None or len(forecast) < steps
    ]
    if missing:
        raise DataError(
            f"{forecasts.path} has no forecasts of {steps} steps from {', '.join(missing[:5])}"
            f"{', …' if len(missing) > 5 else ''}; judged are {len(wanted.starts)} starts from "
            f"{wanted.times[0][:16]} to {wanted.times[-1][:16]}. Use the options of the run beside "
            "whose rows these shall stand, as with --config OUT/config.yaml."
        )
    return torch.stack([f[:steps] for f in found if f is not None])
