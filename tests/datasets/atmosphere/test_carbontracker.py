"""CarbonTracker's files: conservation, aggregation, closed budgets, regridding, refusals."""

import numpy as np
import pytest
import xarray as xr

from pushforward.datasets.atmosphere import (
    CO2_PER_AIR,
    LAYERS,
    aggregate_layers,
    bilinear,
    budget_residual,
    build_carbontracker,
    close_budget,
    conservative,
    open_carbon,
)
from pushforward.simulators.errors import DataError

LAT, LON = np.arange(-75.0, 90, 30), np.arange(-157.5, 180, 45)
LAT1, LON1 = np.arange(-82.5, 90, 15), np.arange(-172.5, 180, 15)
RADIUS = 6.3781e6


def areas(lat, lon):
    half = np.radians(lat[1] - lat[0]) / 2
    band = np.sin(np.radians(lat) + half) - np.sin(np.radians(lat) - half)
    return (RADIUS**2 * band * 2 * np.pi / len(lon))[:, None] * np.ones(len(lon))


def write_day(folder, day, seed=0, *, upside_down=False, without=(), co2_units="1e-6 mol mol-1"):
    """One day of both files; CO2 grows by the same amount an hour."""
    rng = np.random.default_rng(seed + day)
    date = np.datetime64("2018-01-01", "ns") + np.timedelta64(day, "D")
    time = date + np.arange(8) * np.timedelta64(3, "h")
    hours = 24 * day + 3 * np.arange(8.0)
    edges = np.linspace(101300, 100, 35)[None, :, None, None] * np.ones((8, 1, len(LAT), len(LON)))
    mass = (edges[:, :-1] - edges[:, 1:]) / 9.80665 * areas(LAT, LON)
    shape = mass.shape
    co2 = 400 + np.sin(np.radians(LON)) + 0.01 * hours[:, None, None, None] + np.zeros(shape)
    dims, wide = ("time", "level", "latitude", "longitude"), ("time", "boundary")
    heights = np.linspace(0, 50e3, 35)[None, :, None, None] + 0 * edges
    states = {
        "pressure": ((*wide, *dims[2:]), edges, {"units": "Pa"}),
        "gph": ((*wide, *dims[2:]), heights, {"units": "m"}),
        "air_mass": (dims, mass, {"units": "kg"}),
        "co2": (dims, co2, {"units": co2_units}),
        "temperature": (dims, 250 + rng.random(shape), {"units": "K"}),
        "specific_humidity": (dims, 0.01 * rng.random(shape), {"units": "kg kg-1"}),
        "u": (dims, rng.standard_normal(shape), {"units": "m s-1"}),
        "v": (dims, rng.standard_normal(shape), {"units": "m s-1"}),
        "blh": (("time", *dims[2:]), 500 + rng.random(shape[:1] + shape[2:]), {"units": "m"}),
        "orography": (dims[2:], rng.random(shape[2:]), {"units": "m2 s-2"}),
    }
    coordinates = {"time": time, "latitude": LAT, "longitude": LON}
    states = xr.Dataset({k: v for k, v in states.items() if k not in without}, coordinates)
    if upside_down:
        states = states.isel(level=slice(None, None, -1), boundary=slice(None, None, -1))
        states = states.isel(latitude=slice(None, None, -1))
    fine = (8, len(LAT1), len(LON1))
    amounts = {"bio_flux_opt": -1e-8, "ocn_flux_opt": -1e-9, "fossil_flux_imp": 5e-8}
    fluxes = {
        k: (("time", *dims[2:]), v * rng.random(fine), {"units": "mol m-2 s-1"})
        for k, v in amounts.items()
    }
    fire = np.where(rng.random(fine) < 0.5, -1e34, 1e-9)
    fluxes["fire_flux_imp"] = (("time", *dims[2:]), fire, {"units": "mol m-2 s-1"})
    states.to_netcdf(folder / f"molefrac_{day}.nc")
    xr.Dataset(fluxes, {"time": time, "latitude": LAT1, "longitude": LON1}).to_netcdf(
        folder / f"flux_{day}.nc"
    )


def built(folder, days=(0, 1), **options):
    states, fluxes = ([folder / f"{k}_{d}.nc" for d in days] for k in ("molefrac", "flux"))
    return build_carbontracker(states, fluxes, grid=(4, 8), **options)


def test_nothing_is_lost_on_the_way_and_the_budget_closes(tmp_path):
    for day in (0, 1):
        write_day(tmp_path, day)
    made = built(tmp_path)
    data = open_carbon(made, levels=10)
    assert len(data) == 8
    assert str(data.times[1]) == "2018-01-01T06:00:00.000000000"
    air = areas(LAT, LON).sum() * (101300 - 100) / 9.80665 / 1e12
    np.testing.assert_allclose(
        made["airmass"].astype(float).sum(("level", "lat", "lon")), air, 1e-6
    )
    mass = (made["co2massmix"].astype(float) * made["airmass"]).sum(("level", "lat", "lon")) / 1e6
    hours = 6 * np.arange(8.0)
    expected = (400 + 0.01 * np.minimum(hours, 45)) * CO2_PER_AIR * air / 1e6
    np.testing.assert_allclose(mass, expected, rtol=1e-6)
    window = data.window(0, 7)
    brought = window.surface_mass.double().sum((1, 2)).numpy() / 1e6
    np.testing.assert_allclose(brought, np.diff(mass), atol=3e-5 * expected[0] / 10)
    co2 = window.concentration.double() * window.airmass.double()
    total = co2.sum((1, 2, 3)).numpy() / 1e6
    np.testing.assert_allclose(np.diff(total), brought, atol=2e-7 * total[0])
    assert float(made["co2flux_land"].sum()) < 0
    solar = made["tisr"].values
    assert solar.min() == 0
    assert 3.5e6 < solar.max() < 1361 * 3600 * 1.01
    np.testing.assert_allclose(made["p_top"][0, :-1], made["p_bottom"][0, 1:])


def test_files_turned_upside_down_give_the_same(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for day in (0, 1):
        write_day(tmp_path / "a", day)
        write_day(tmp_path / "b", day, upside_down=True)
    one, two = built(tmp_path / "a", layers="l3"), built(tmp_path / "b", layers="l3")
    xr.testing.assert_allclose(one.drop_attrs(), two.drop_attrs(), rtol=1e-6)
    assert one.sizes["level"] == 3


def test_what_is_missing_is_named(tmp_path):
    for day in (0, 1, 4):
        write_day(tmp_path, day)
    with pytest.raises(DataError, match="16 times are missing in 1 gaps.*2018-01-03"):
        built(tmp_path, (0, 1, 4))
    with pytest.raises(DataError, match="no such file"):
        built(tmp_path, (0, 2))
    with pytest.raises(DataError, match="no files given"):
        built(tmp_path, ())
    write_day(tmp_path, 6, without=("gph", "u"))
    with pytest.raises(DataError, match="lacks u, gph"):
        built(tmp_path, (6,))
    write_day(tmp_path, 7, co2_units="kg m-3")
    with pytest.raises(DataError, match="co2 has units 'kg m-3', which are not"):
        built(tmp_path, (7,))
    (tmp_path / "molefrac_8.nc").write_text("no")
    with pytest.raises(DataError, match="cannot be read as netCDF"):
        build_carbontracker([tmp_path / "molefrac_8.nc"], [tmp_path / "flux_0.nc"])


def test_regridding_conserves_and_keeps_uniform_fields_uniform():
    rng = np.random.default_rng(0)
    amounts = rng.random((2, len(LAT1), len(LON1)))
    for target in ((LAT, LON), (np.arange(-87.5, 90, 5), np.arange(0.0, 360, 7.5))):
        found = conservative(amounts, (LAT1, LON1), target)
        np.testing.assert_allclose(found.sum((1, 2)), amounts.sum((1, 2)))
        flat = conservative(areas(LAT1, LON1), (LAT1, LON1), target) / areas(*target)
        np.testing.assert_allclose(flat, 1.0)
    same = conservative(amounts, (LAT1, LON1), (LAT1, LON1))
    np.testing.assert_allclose(same, amounts, atol=1e-12)
    wave = np.cos(np.radians(LAT1))[:, None] * np.sin(np.radians(LON1))
    east = np.arange(0.0, 360, 15)
    moved = bilinear(wave, (LAT1, LON1), (LAT1, east))
    exact = np.cos(np.radians(LAT1))[:, None] * np.sin(np.radians(east))
    np.testing.assert_allclose(moved, exact, atol=0.01)
    with pytest.raises(DataError, match="do not go once around the globe"):
        conservative(amounts[..., 1:], (LAT1, LON1[1:]), (LAT, LON))


def test_aggregated_layers_conserve_air_and_co2():
    rng = np.random.default_rng(0)
    shape = (2, 34, 3, 4)
    edges = np.linspace(1000, 1, 35)[None, :, None, None] * np.ones((2, 1, 3, 4))
    blocks = {
        "airmass": 1 + rng.random(shape),
        "co2massmix": 600 + rng.random(shape),
        "t": 250 + rng.random(shape),
        "p_bottom": edges[:, :-1],
        "p_top": edges[:, 1:],
    }
    for name, groups in LAYERS.items():
        found = aggregate_layers(blocks, groups)
        assert found["t"].shape[1] == int(name[1:])
        np.testing.assert_allclose(found["airmass"].sum(1), blocks["airmass"].sum(1))
        mass = (found["airmass"] * found["co2massmix"]).sum(1)
        np.testing.assert_allclose(mass, (blocks["airmass"] * blocks["co2massmix"]).sum(1))
        np.testing.assert_allclose(found["p_top"][:, :-1], found["p_bottom"][:, 1:])
    np.testing.assert_allclose(aggregate_layers(blocks, LAYERS["l34"])["t"], blocks["t"])
    with pytest.raises(DataError, match="do not take in each of the 34 layers once"):
        aggregate_layers(blocks, [[0], [2, 1]])


def test_closing_a_budget_follows_the_flux_s_own_pattern():
    rng = np.random.default_rng(0)
    area, flux = rng.random((3, 4)), rng.random((5, 3, 4))
    air = 1 + rng.random((5, 2, 3, 4))
    massmix = 600 + rng.random((5, 2, 3, 4))
    missing = budget_residual(massmix, air, flux, area, seconds=10.0)
    closed = close_budget(flux, missing, area, seconds=10.0)
    after = budget_residual(massmix, air, closed, area, seconds=10.0)
    np.testing.assert_allclose(after, 0, atol=1e-14)
    ratio = closed[:-1] / flux[:-1]
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] * np.ones((3, 4)))
    with pytest.raises(DataError, match="adds up to zero in step 2"):
        close_budget(flux * np.array([1, 1, 0, 1, 1])[:, None, None], missing, area, seconds=10.0)
