"""Station observations of CO2 (ObsPack), and reading model fields out where the stations are."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from pushforward.datasets.atmosphere.units import conversion
from pushforward.simulators.atmosphere import LatLonGrid
from pushforward.simulators.errors import DataError

__all__ = ["Station", "layer_at", "nearest_cell", "open_stations", "read_station"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Station:
    """One ObsPack file: a place and its CO2 over time.

    Parameters
    ----------
    name : of the file, without suffix.
    lat, lon : degrees.
    altitude : of the intake, m above sea level.
    times : of the observations, datetime64, rising, each once.
    values : ppm.
    """

    name: str
    lat: float
    lon: float
    altitude: float
    times: np.ndarray
    values: np.ndarray

    @property
    def representative(self) -> bool:
        """Whether ObsPack marks the observations as representative of a large area."""
        return "representative" in self.name

    def at(self, times: np.ndarray, *, step_hours: float | int) -> Float[np.ndarray, " times"]:
        """Means over bins of one step centred on the times, closed on the left; NaN where empty."""
        half = np.timedelta64(round(step_hours * 1800), "s")
        first = np.searchsorted(self.times, times - half, side="left")
        last = np.searchsorted(self.times, times + half, side="left")
        running = np.concatenate([[0.0], self.values.cumsum()])
        count = last - first
        total = running[last] - running[first]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def open_stations(folder: str | os.PathLike[str]) -> list[Station]:
    """All ObsPack netCDF files of a folder, by name; files without a usable value are left out.

    Raises
    ------
    DataError : no such folder, or no station in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}. Give the folder of ObsPack's netCDF files.")
    stations = []
    for path in sorted(folder.glob("*.nc")):
        station = read_station(path)
        if len(station.times):
            stations.append(station)
        else:
            log.warning("%s holds no finite observation and is left out.", path)
    if not stations:
        raise DataError(f"{folder} holds no netCDF file with observations.")
    return stations


def read_station(path: str | os.PathLike[str]) -> Station:
    """Read one ObsPack file: `time`, `value`, `latitude`, `longitude`, `altitude` along `obs`.

    Repeated times are dropped but for the first; the place is that of the first observation.

    Raises
    ------
    DataError : not such a file, or units that are not those of a mole fraction.
    """
    import xarray as xr

    try:
        with xr.open_dataset(path) as file:
            missing = [
                n
                for n in ("time", "value", "latitude", "longitude", "altitude")
                if n not in file.variables
            ]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)}; is it an ObsPack file?")
            units = str(file["value"].attrs.get("units", ""))
            try:
                factor = conversion("value", units, "1e-6 mol mol-1")
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
            columns = {
                n: np.atleast_1d(file[n].values)
                for n in ("time", "value", "latitude", "longitude", "altitude")
            }
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as netCDF: {error}.") from error
    usable = np.isfinite(columns["value"].astype(float)) & ~np.isnat(columns["time"])
    times, first = np.unique(columns["time"][usable], return_index=True)
    lat, lon, altitude = (float(columns[n][0]) for n in ("latitude", "longitude", "altitude"))
    values = columns["value"][usable][first].astype(float) * factor
    return Station(Path(path).stem, lat, lon, altitude, times, values)


def nearest_cell(grid: LatLonGrid, lat: float | int, lon: float | int) -> tuple[int, int]:
    """Row and column of the cell that holds a place; longitudes of either convention.

    Examples
    --------
    >>> from pushforward.simulators.atmosphere import latlon_grid
    >>> nearest_cell(latlon_grid(32, 64), 90.0, -2.0), nearest_cell(latlon_grid(32, 64), 0.1, 358)
    ((31, 0), (16, 0))
    """
    if not -90 <= lat <= 90:
        raise DataError(f"latitude {lat} lies outside −90 … 90.")
    row = min(int((lat + 90) // grid.spacing[0]), grid.n_lat - 1)
    column = int(np.floor((lon + grid.spacing[1] / 2) / grid.spacing[1])) % grid.n_lon
    return row, column


def layer_at(
    gph_bottom: Float[np.ndarray, "times level"],
    gph_top: Float[np.ndarray, "times level"],
    altitude: float,
) -> Int[np.ndarray, " times"]:
    """Layer that holds a height at each time, heights in km, altitude in m; the lowest if none."""
    height = altitude / 1000
    inside = (gph_bottom <= height) & (height <= gph_top)
    return np.where(inside.any(1), inside.argmax(1), 0)
