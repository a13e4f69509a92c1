"""Coordinates as files have them, and how to bring them into one order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pushforward.simulators.errors import DataError

__all__ = ["Axes", "Gap", "find_gaps", "read_axes", "time_step_hours"]

NAMES = {
    "time": ("time", "valid_time"),
    "level": ("level", "lev", "plev", "layer", "height", "hybrid"),
    "lat": ("lat", "latitude", "y"),
    "lon": ("lon", "longitude", "x"),
}


@dataclass(frozen=True)
class Gap:
    """Steps that are missing between two times: `after` and `before` are those next to it."""

    after: Any
    before: Any
    steps: int


@dataclass(frozen=True)
class Axes:
    """Coordinates in canonical order, and where each entry lies in the file.

    Parameters
    ----------
    lat, lon : degrees; south to north, and from 0 eastward.
    level : nominal values, surface first.
    lat_order, lon_order, level_order : canonical position -> position in the file.
    """

    lat: np.ndarray
    lon: np.ndarray
    level: np.ndarray
    lat_order: np.ndarray
    lon_order: np.ndarray
    level_order: np.ndarray

    def arranged(self, block: np.ndarray, *, levels: bool) -> np.ndarray:
        """A block whose last axes are ([level,] lat, lon), in canonical order."""
        block = np.take(np.take(block, self.lat_order, axis=-2), self.lon_order, axis=-1)
        return np.take(block, self.level_order, axis=-3) if levels else block


def read_axes(
    coordinates: dict[str, np.ndarray], *, where: str, bottom_pressure: np.ndarray
) -> Axes:
    """Order the axes of a file.

    Latitudes may run either way, longitudes from 0 or from −180, layers either way: which layer is
    the lowest is told by the pressure of the layers' lower edges, never by their names or numbers.

    Raises
    ------
    DataError : a grid that is not global and regular with half-offset latitudes; a repeated
        column.
    """
    lat = np.asarray(coordinates["lat"], dtype=float)
    lon = np.asarray(coordinates["lon"], dtype=float)
    level = np.asarray(coordinates["level"], dtype=float)
    n_lat, n_lon = len(lat), len(lon)
    lat_order = np.argsort(lat)
    expected = (np.arange(n_lat) + 0.5) * 180 / n_lat - 90
    if np.abs(lat[lat_order] - expected).max() > 0.02 * 180 / n_lat:
        raise DataError(
            f"{where}: latitudes {lat[lat_order][0]:.4g} … {lat[lat_order][-1]:.4g} are not the "
            f"centres of {n_lat} equal bands ({expected[0]:.4g} … {expected[-1]:.4g}). Regrid "
            "conservatively onto such a grid first (pushforward.datasets.atmosphere.regrid)."
        )
    east = np.mod(lon, 360.0)
    east = np.where(east > 360 - 1e-6 * 360, 0.0, east)
    lon_order = np.argsort(east)
    gaps = np.diff(np.append(east[lon_order], east[lon_order][0] + 360))
    if np.abs(gaps - 360 / n_lon).max() > 0.02 * 360 / n_lon:
        raise DataError(
            f"{where}: longitudes {lon[0]:.6g} … {lon[-1]:.6g} do not go once around the globe in "
            f"{n_lon} equal steps. Drop a repeated end column, or complete the grid."
        )
    rising = len(level) > 1 and bottom_pressure[0] < bottom_pressure[-1]
    level_order = np.arange(len(level))[::-1] if rising else np.arange(len(level))
    return Axes(
        lat[lat_order], east[lon_order], level[level_order], lat_order, lon_order, level_order
    )


def find_name(kind: str, dataset: Any) -> str | None:
    """Name of the coordinate for an axis: by standard_name, axis or units first, then by name."""
    standard = {"lat": "latitude", "lon": "longitude", "time": "time", "level": "air_pressure"}
    units = {"lat": "degrees_north", "lon": "degrees_east"}
    axis = {"lat": "Y", "lon": "X", "level": "Z", "time": "T"}
    for test in (
        lambda a: a.get("standard_name") == standard[kind],
        lambda a: kind in units and a.get("units") == units[kind],
        lambda a: a.get("axis") == axis[kind],
    ):
        for name, coordinate in dataset.coords.items():
            if coordinate.ndim == 1 and test(coordinate.attrs):
                return str(name)
    for name in NAMES[kind]:
        if name in dataset.variables or name in dataset.dims:
            return name
    return None


def time_step_hours(times: np.ndarray, where: str) -> tuple[float, np.ndarray]:
    """The step of a time axis in hours (the smallest difference), and hours since its start.

    Raises
    ------
    DataError : fewer than 2 times, repeated or falling times, or differences that are not whole
        multiples of the smallest.
    """
    if len(times) < 2:
        raise DataError(f"{where}: {len(times)} times; at least 2 are needed.")
    if np.issubdtype(times.dtype, np.datetime64):
        hours = (times - times[0]) / np.timedelta64(1, "s") / 3600
    else:
        hours = np.array([(t - times[0]).total_seconds() / 3600 for t in times])
    steps = np.diff(hours)
    if not (steps > 0).all():
        i = int(np.argmax(~(steps > 0)))
        raise DataError(
            f"{where}: time {times[i + 1]} follows {times[i]}; times must rise. Sort the file and "
            "drop repeated times."
        )
    step = float(steps.min())
    ratio = steps / step
    if np.abs(ratio - ratio.round()).max() > 1e-3:
        i = int(np.abs(ratio - ratio.round()).argmax())
        raise DataError(
            f"{where}: {times[i]} and {times[i + 1]} are {steps[i]:.6g} h apart, no whole multiple "
            f"of the step of {step:.6g} h. Interpolate to a regular time axis first."
        )
    return step, hours


def find_gaps(times: np.ndarray, hours: np.ndarray, step: float) -> list[Gap]:
    """Where steps are missing."""
    missing = np.round(np.diff(hours) / step).astype(int) - 1
    return [Gap(times[i], times[i + 1], int(missing[i])) for i in np.nonzero(missing)[0]]
