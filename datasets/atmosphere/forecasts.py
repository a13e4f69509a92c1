"""Forecasts of CO2 as CF netCDF: ours going out, anyone's coming in."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from pushforward.datasets.atmosphere.data import CarbonData
from pushforward.datasets.atmosphere.units import conversion
from pushforward.datasets.atmosphere.variables import UNITS_3D
from pushforward.datasets.atmosphere.writer import COORDINATE_ATTRIBUTES, STANDARD_NAMES
from pushforward.datasets.forecasts import frames_of_forecasts, open_forecasts, write_netcdf
from pushforward.simulators.errors import DataError

__all__ = [
    "FORECAST_LAYOUT",
    "CarbonForecasts",
    "hours_since_first",
    "open_carbon_forecasts",
    "write_carbon_forecasts",
]

FORECAST_LAYOUT = (
    "co2massmix(start, lead, level, lat, lon) with its units, on the grid and layers of the data, "
    "with lead(lead): hours since the start, and start_time(start): the date that each starts from"
)
NAME = "co2massmix"
WRITTEN_BY = "`pushforward predict atmosphere --model OUT/models/NAME-SEED --data FILE --out FILE`"
HOURS = {"h": 1.0, "hour": 1.0, "hours": 1.0, "d": 24.0, "day": 24.0, "days": 24.0}


@dataclass(frozen=True)
class CarbonForecasts:
    """Forecasts, and where in the data they start.

    Parameters
    ----------
    concentration : 1e-6 kg CO2 per kg dry air, in the order of the data: surface first, south to
        north, from 0 eastward; values that are not finite are left as they are.
    start : index of each start in the data.
    path : of the file.
    """

    concentration: Float[Tensor, "start lead level lat lon"]
    start: Int[ndarray, " start"]
    path: str

    def __getitem__(self, start: int) -> Float[Tensor, "lead level lat lon"] | None:
        """The forecast from an index of the data, or None."""
        found = np.flatnonzero(self.start == start)
        return self.concentration[int(found[0])] if len(found) else None


def open_carbon_forecasts(path: str | os.PathLike[str], data: CarbonData) -> CarbonForecasts:
    """Read forecasts of CO2. Latitudes, longitudes and layers may run as they will.

    Parameters
    ----------
    path : netCDF of co2massmix(start, lead, level, lat, lon) with units, lead(lead) in hours or
        days, one step of the data apart, and start_time(start).
    data : from `open_carbon`, without gaps.

    Raises
    ------
    DataError : another layout, grid or units; a start or a lead that the data do not have.
    """
    layout = {NAME: ("level", "lat", "lon")}
    with open_forecasts(path, layout, example=WRITTEN_BY, decode_timedelta=False) as file:
        axes = data.store.axes
        order = [
            _order(file[name].values, values, name, path)
            for name, values in (("level", axes.level), ("lat", axes.lat), ("lon", axes.lon))
        ]
        units = file[NAME].attrs.get("units")
        if units is None:
            raise DataError(
                f"{path}: {NAME} has no units attribute; write {UNITS_3D[NAME]!r}, or 'ppm'."
            )
        factor = conversion(NAME, str(units), UNITS_3D[NAME])
        lead_units = str(file["lead"].attrs.get("units", "hours"))
        if lead_units not in HOURS:
            raise DataError(f"{path}: lead has units {lead_units!r}; expected hours or days.")
        frames = frames_of_forecasts(
            hours_since_first(file["start_time"].values, data, path),
            file["lead"].values * HOURS[lead_units],
            hours_since_first(data.times, data, path),
            path=f"{path} (hours, from {data.times[0]} on)",
        )
        if frames.every != 1:
            raise DataError(
                f"{path}: leads are {frames.every} steps of the data apart; forecasts are judged "
                f"at every step, {data.step_hours:g} h apart."
            )
        values = file[NAME].values
    for axis, index in zip((-3, -2, -1), order, strict=True):
        values = np.take(values, index, axis)
    scaled = values if factor == 1 else values * factor
    return CarbonForecasts(torch.from_numpy(scaled.astype(np.float32)), frames.start, str(path))


def write_carbon_forecasts(
    path: str | os.PathLike[str],
    concentration: Float[Tensor, "start lead level lat lon"],
    data: CarbonData,
    *,
    start: Int[ndarray, " start"] | list[int],
    attributes: dict[str, Any] | None = None,
) -> Path:
    """Write forecasts as `open_carbon_forecasts` reads them.

    Parameters
    ----------
    path : netCDF file to write, .nc.
    concentration : 1e-6 kg/kg, steps 1, 2, … after each start, in the order of the data's windows.
    data : that was continued.
    start : index of each start in the data.
    attributes : of the file.
    """
    axes = data.store.axes
    lead = data.step_hours * np.arange(1, concentration.shape[1] + 1)
    period = {"standard_name": "forecast_period", "long_name": "time since the start"}
    coordinates: dict[str, Any] = {
        "start_time": (
            "start",
            data.times[np.asarray(start)],
            {"standard_name": "forecast_reference_time", "long_name": "time of the start"},
        ),
        "lead": ("lead", lead, {**period, "units": "hours"}),
    }
    for name, values in (("level", axes.level), ("lat", axes.lat), ("lon", axes.lon)):
        standard = {"standard_name": STANDARD_NAMES[name]} if name in STANDARD_NAMES else {}
        coordinates[name] = (name, values, {**standard, **COORDINATE_ATTRIBUTES[name]})
    field = (
        ("start", "lead", "level", "lat", "lon"),
        concentration.cpu().numpy(),
        {"units": UNITS_3D[NAME], "long_name": "mass of CO2 per mass of dry air"},
    )
    about = {"Conventions": "CF-1.11", "title": "Forecasts of CO2", **(attributes or {})}
    return write_netcdf(path, xr.Dataset({NAME: field}, coordinates, about))


def hours_since_first(
    times: ndarray, data: CarbonData, path: str | os.PathLike[str]
) -> Float[ndarray, " time"]:
    """Hours from the first time of the data to some times.

    Raises
    ------
    DataError : times that are no dates, or dates of another calendar.
    """
    first = data.times[0]
    try:
        if np.issubdtype(data.times.dtype, np.datetime64):
            return (times - first) / np.timedelta64(1, "s") / 3600
        return np.array([(t - first).total_seconds() / 3600 for t in times])
    except (TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: start_time {times[0]} is no date of the data's calendar; they begin at "
            f"{first}. Give it CF units, such as 'hours since 2000-01-01', and the calendar."
        ) from error


def _order(
    found: ndarray, wanted: ndarray, name: str, path: str | os.PathLike[str]
) -> Int[ndarray, " n"]:
    """Where the values of an axis lie in a file."""
    distance = np.abs(np.asarray(found, float)[None, :] - np.asarray(wanted, float)[:, None])
    if name == "lon":
        distance = np.minimum(distance % 360, 360 - distance % 360)
    order = distance.argmin(1) if len(found) else np.zeros(0, int)
    spacing = np.abs(np.diff(wanted)).min() if len(wanted) > 1 else 1.0
    if len(found) != len(wanted) or distance.min(1).max() > 0.02 * spacing:
        raise DataError(
            f"{path}: {name} has {len(found)} values, {found[:3]} …; the data have {len(wanted)}, "
            f"{wanted[:3]} …. Bring the forecasts onto the grid and layers of the data."
        )
    return order
