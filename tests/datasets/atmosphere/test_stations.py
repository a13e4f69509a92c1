"""Stations: reading, binning, and where in the model they are."""

import numpy as np
import pytest
import xarray as xr

from pushforward.benchmarks.metrics.stations import station_scores
from pushforward.datasets.atmosphere.stations import (
    layer_at,
    nearest_cell,
    open_stations,
    read_station,
)
from pushforward.simulators.atmosphere import latlon_grid
from pushforward.simulators.errors import DataError


def write(path, hours, values, units="mol mol-1"):
    time = np.datetime64("2018-01-01", "ns") + (np.asarray(hours) * 3600).astype("timedelta64[s]")
    n = len(time)
    columns = {"latitude": 71.3, "longitude": -156.6, "altitude": 27.0}
    arrays = {k: ("obs", np.full(n, v)) for k, v in columns.items()}
    arrays["value"] = ("obs", np.asarray(values), {"units": units})
    xr.Dataset({**arrays, "time": ("obs", time)}).to_netcdf(path)


def test_observations_are_binned_around_the_model_s_times(tmp_path):
    path = tmp_path / "co2_brw_surface-insitu_1_representative.nc"
    write(path, [2.9, 3.0, 5.0, 5.0, 8.9, 9.0, 20.0], np.array([1, 2, 4, 99, 6, 8, np.nan]) * 1e-6)
    station = read_station(path)
    assert station.representative
    assert (station.lat, station.altitude, len(station.times)) == (71.3, 27.0, 5)
    times = np.datetime64("2018-01-01", "ns") + np.arange(4) * np.timedelta64(6, "h")
    np.testing.assert_allclose(station.at(times, step_hours=6), [1, 4, 8, np.nan])
    write(tmp_path / "empty.nc", [1.0], [np.nan])
    assert [s.name for s in open_stations(tmp_path)] == [station.name]


def test_cells_wrap_around_the_globe():
    grid = latlon_grid(16, 32)  # cells of 11.25 degrees, the first centred on longitude 0
    for lat, lon, cell in (
        (0.1, 0.0, (8, 0)),
        (0.1, -5.0, (8, 0)),
        (0.1, 355.0, (8, 0)),
        (0.1, -6.0, (8, 31)),
        (0.1, 5.7, (8, 1)),
        (71.3, -156.6, (14, 18)),
        (90.0, 180.0, (15, 16)),
        (-90.0, 359.9, (0, 0)),
    ):
        assert nearest_cell(grid, lat, lon) == cell
        distance = abs((lon - float(grid.lon[cell[1]]) + 180) % 360 - 180)
        assert distance <= 11.25 / 2 + 1e-9
    with pytest.raises(DataError, match="latitude 91"):
        nearest_cell(grid, 91.0, 0.0)


def test_layers_by_height():
    bottom = np.array([[0.1, 0.5, 2.0], [0.2, 0.6, 2.1]])
    top = np.array([[0.5, 2.0, 9.0], [0.6, 2.1, 9.0]])
    assert layer_at(bottom, top, 550.0).tolist() == [1, 0]
    assert layer_at(bottom, top, 5000.0).tolist() == [2, 2]
    assert layer_at(bottom, top, 20.0).tolist() == [0, 0]  # below the model's ground


def test_scores_in_closed_form():
    observed = np.array([1.0, 2.0, 3.0, np.nan, 5.0])
    found = station_scores(2 * observed + 1, observed)
    assert found["r2"] == pytest.approx(1.0)
    mean = np.nanmean(observed)
    assert found["bias"] == pytest.approx(mean - (2 * mean + 1))
    assert found["relbias"] == pytest.approx(found["bias"] / mean)
    error = np.nanmean((observed + 1) ** 2)
    assert found["rmse"] == pytest.approx(error**0.5)
    assert found["nse"] == pytest.approx(1 - error / np.nanvar(observed))
    with pytest.raises(DataError, match="2 common times"):
        station_scores(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.0, 3.0]))


def test_refusals(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_stations(tmp_path / "no")
    with pytest.raises(DataError, match="holds no netCDF file"):
        open_stations(tmp_path)
    xr.Dataset({"value": ("obs", [1.0])}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(DataError, match="lacks time, latitude, longitude, altitude"):
        read_station(tmp_path / "a.nc")
    write(tmp_path / "b.nc", [1.0], [1.0], units="1e-6")
    with pytest.raises(DataError, match="do not say whether they are moles"):
        read_station(tmp_path / "b.nc")
    (tmp_path / "c.nc").write_text("no")
    with pytest.raises(DataError, match="cannot be read as netCDF"):
        read_station(tmp_path / "c.nc")
