"""Forecasts at stations: model series read out of the fields, scored against observations."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.atmosphere import to_ppm
from pushforward.benchmarks.metrics.stations import station_scores
from pushforward.benchmarks.result import Metric
from pushforward.benchmarks.tasks.atmosphere.data import ForecastSet
from pushforward.datasets.atmosphere import CarbonData, input_names
from pushforward.datasets.atmosphere.stations import Station, layer_at, nearest_cell
from pushforward.simulators.errors import DataError

__all__ = ["station_metrics"]

BEST = {"rmse": "lowest", "r2": "highest", "nse": "highest", "bias": "lowest", "relbias": "lowest"}
UNITS = {"rmse": "ppm", "bias": "ppm"}


def station_metrics(
    stations: Sequence[Station],
    data: CarbonData,
    forecasts: ForecastSet,
    predicted: Float[Tensor, "starts steps level lat lon"],
) -> dict[str, Metric]:
    """Mean over stations of their scores, with the standard error over stations.

    A station's series are those of all starts, one after the other. Where some stations are
    marked representative, the others are left out. The layer is the one whose geopotential
    heights hold the station's altitude. Biases enter by their size.

    Raises
    ------
    DataError : no station with observations at the times of the forecasts.
    """
    levels = predicted.shape[2]
    names = input_names(levels)
    bottom, top = names.index("gph_bottom_0"), names.index("gph_top_0")
    marked = [s for s in stations if s.representative] or list(stations)
    scores: list[dict[str, float]] = []
    for station in marked:
        row, column = nearest_cell(data.grid, station.lat, station.lon)
        model, observed = [], []
        for i, start in enumerate(forecasts.starts):
            steps = predicted.shape[1]
            times = data.times[start + 1 : start + steps + 1]
            # Heights are known for the steps' beginnings; the last of them serves the last time.
            known = forecasts.window.inputs[i, :, :, row, column]
            inputs = torch.cat([known[1:], known[-1:]])[:steps].numpy()
            layer = layer_at(
                inputs[:, bottom : bottom + levels],
                inputs[:, top : top + levels],
                station.altitude,
            )
            column_series = to_ppm(predicted[i, :, :, row, column]).numpy()
            model.append(column_series[np.arange(steps), layer])
            observed.append(station.at(times, step_hours=data.step_hours))
        try:
            scores.append(station_scores(np.concatenate(model), np.concatenate(observed)))
        except DataError:
            continue  # no observation while the forecasts run
    if not scores:
        raise DataError("no station has observations at the times of the forecasts.")
    found = {}
    for name, best in BEST.items():
        values = [abs(s[name]) if "bias" in name else s[name] for s in scores]
        title = f"station_abs_{name}" if "bias" in name else f"station_{name}"
        found[title] = Metric.over_draws(values, unit=UNITS.get(name, "1"), best=best)
    return found
