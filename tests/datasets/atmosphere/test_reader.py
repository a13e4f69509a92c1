"""Opening CO2 data: every layout gives the same tensors; what does not fit is refused."""

import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.datasets.atmosphere import (
    CarbonStatistics,
    carbon_statistics,
    conversion,
    input_names,
    open_carbon,
    write_carbon,
)
from pushforward.datasets.atmosphere.units import parse_units
from pushforward.simulators.errors import DataError


def same(a, b, **tolerance):
    for name in ("concentration", "airmass", "inputs", "surface_mass"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), **tolerance)


def turned(dataset):
    """Every axis the other way: north first, top first, longitudes from −180."""
    moved = dataset.assign_coords(lon=(dataset.lon + 180) % 360 - 180).sortby("lon")
    return moved.isel(lat=slice(None, None, -1), level=slice(None, None, -1))


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "a.zarr.zip", "turned.nc", "turned.zarr"])
def test_every_layout_gives_the_same_window(dataset, tmp_path, name):
    written = write_carbon(turned(dataset) if "turned" in name else dataset, tmp_path / name)
    data = open_carbon(written)
    assert (len(data), data.step_hours, data.level.tolist()) == (8, 6.0, [1013, 700, 200])
    window = data.window(2, 3)
    same(window, open_carbon(dataset).window(2, 3))
    assert window.concentration.shape == (4, 3, 4, 8)
    assert window.inputs.shape == (3, len(input_names(3)), 4, 8)
    np.testing.assert_array_equal(window.concentration[1], dataset["co2massmix"][3])
    np.testing.assert_array_equal(window.inputs[0, 7:10], dataset["airmass"][2])
    np.testing.assert_array_equal(window.inputs[0, 3], dataset["co2flux_land"][2])
    flux = sum(dataset[f"co2flux_{k}"][2] for k in ("anthro", "land", "ocean"))
    kilograms = flux * dataset["cell_area"][2] * 6 * 3600
    np.testing.assert_allclose(window.surface_mass[0], kilograms / 1e6, rtol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_hdf5_with_the_same_names_opens_too(dataset, tmp_path):
    path = tmp_path / "a.h5"
    dataset.to_netcdf(path, engine="h5netcdf" if _has("h5netcdf") else "netcdf4")
    same(open_carbon(path).window(0, 2), open_carbon(dataset).window(0, 2))


def _has(module):
    import importlib.util

    return importlib.util.find_spec(module) is not None


def test_loading_parts_and_batches_change_nothing(dataset):
    data = open_carbon(dataset)
    loaded = data.load()
    same(loaded.window(3, 4), data.window(3, 4))
    part = loaded.part(2, 7)
    same(part.window(1, 2), data.window(3, 2))
    same(part.load().window(1, 2), data.window(3, 2))
    batch = data.windows([0, 4], 3)
    assert batch.concentration.shape == (2, 4, 3, 4, 8)
    same(batch.part(1, 2), data.windows([1, 5], 2))
    days = data.between("2018-01-02", "2018-01-03")
    assert [str(t)[:13] for t in days.times] == [f"2018-01-02T{h:02d}" for h in (0, 6, 12, 18)]
    with pytest.raises(DataError, match="no time from 2019-01-01"):
        data.between("2019-01-01", "2020-01-01")


def test_packed_integers_and_other_units(dataset, tmp_path):
    path = tmp_path / "packed.nc"
    other = dataset.copy()
    other["airmass"] = (dataset["airmass"].astype(np.float64) * 1e12).assign_attrs(units="kg")
    other["p_top"] = (dataset["p_top"] * 100).assign_attrs(units="Pa")
    ppm = dataset["co2massmix"].astype(np.float64) / (44.009 / 28.9652)
    other["co2massmix"] = ppm.assign_attrs(units="ppm")
    other["co2flux_land"] = (dataset["co2flux_land"] / 44.009e-3).assign_attrs(units="mol m-2 s-1")
    packing = {"dtype": "int16", "scale_factor": 1e-3, "add_offset": 0.0, "_FillValue": -32768}
    other.to_netcdf(path, encoding={"t": packing})
    found, expected = open_carbon(path).window(0, 3), open_carbon(dataset).window(0, 3)
    same(
        type(found)(found.concentration, found.airmass, expected.inputs, found.surface_mass),
        expected,
        rtol=1e-6,
        atol=1e-6,
    )
    torch.testing.assert_close(found.inputs, expected.inputs, rtol=1e-5, atol=6e-4)


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard"])
def test_calendars(dataset, tmp_path, calendar):
    times = xr.date_range("2016-02-27", periods=8, freq="12h", calendar=calendar, use_cftime=True)
    path = tmp_path / "a.nc"
    dataset.assign_coords(time=times).to_netcdf(path)
    data = open_carbon(path)
    assert data.step_hours == 12
    stamps = [str(t)[:10] for t in data.times]
    last = {"noleap": "2016-03-02", "360_day": "2016-02-30", "standard": "2016-03-01"}
    assert stamps[-1] == last[calendar]
    assert len(data.between("2016-02-28", "2016-03-05")) == 6


def test_gaps_are_refused_or_left_out(dataset):
    broken = dataset.isel(time=[0, 1, 2, 5, 6, 7])
    with pytest.raises(DataError, match=r"2 times are missing in 1 gaps \(2 after 2018-01-01T12"):
        open_carbon(broken)
    data = open_carbon(broken, gaps="skip")
    assert data.starts(2).tolist() == [0, 3]
    with pytest.raises(DataError, match="crosses a gap: 2 steps are missing"):
        data.window(1, 2)
    with pytest.raises(DataError, match="no window of 4 steps"):
        data.starts(4)
    assert data.part(3, 6).gaps == ()
    with pytest.raises(DataError, match="times must rise"):
        open_carbon(dataset.isel(time=[0, 1, 1, 2]))
    shifted = dataset.time.values.copy()
    shifted[3] += np.timedelta64(1, "h")
    with pytest.raises(DataError, match="no whole multiple"):
        open_carbon(dataset.assign_coords(time=shifted))


def refused(dataset, message, **options):
    with pytest.raises(DataError, match=message):
        open_carbon(dataset, **options)


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused_with_a_remedy(dataset, tmp_path):
    refused(tmp_path / "no.nc", "no such file or folder")
    (tmp_path / "text.nc").write_text("not a file of data")
    refused(tmp_path / "text.nc", "cannot be read as zarr, netCDF or HDF5")
    refused(dataset.drop_vars(["blh", "u"]), "lacks u, blh")
    refused(dataset, "has 3 layers; 10 are expected", levels=10)
    refused(dataset.isel(level=[0, 2]), "a layer is missing between them")
    refused(dataset.isel(lat=slice(1, None)), "are not the centres of 3 equal bands")
    refused(dataset.isel(lon=slice(1, None)), "do not go once around the globe")
    for name, units, message in (
        ("u", "K", "u has units 'K', which are not 'm s-1'. Convert 'u'"),
        ("co2massmix", "1e-6", "do not say whether they are moles or kilograms"),
        ("blh", "furlong", "units 'furlong' are not understood"),
    ):
        wrong = dataset.copy()
        wrong[name] = wrong[name].assign_attrs(units=units)
        refused(wrong, message)
        assert len(open_carbon(wrong, units={name: dataset[name].attrs["units"]})) == 8
    bare = dataset.copy()
    del bare["t"].attrs["units"]
    refused(bare, "t has no units attribute")
    refused(dataset, "unknown variables: co2", units={"co2": "ppm"})
    refused(dataset.assign(airmass=dataset.airmass * 1e12), "the air weighs 1e\\+12 times")
    kilograms = dataset.assign(co2massmix=dataset.co2massmix * 1e-6)
    kilograms["co2massmix"].attrs["units"] = "1e-6 kg kg-1"
    refused(kilograms, "the mean mixing ratio is 0.0006")


def test_bad_values_are_named_with_time_and_place(make_small):
    for name, value, message in (
        ("t", np.nan, r"t = nan is not finite at 2018-01-01T18.*layer 1, latitude 22.5, long"),
        ("airmass", -1.0, r"airmass = -1.0 must be positive at 2018-01-01T18"),
        ("blh", np.inf, r"blh = inf is not finite at 2018-01-01T18.*, latitude 22.5, longitude 45"),
    ):
        bad = make_small()
        bad[name][(3, 1, 2, 1) if bad[name].ndim == 4 else (3, 2, 1)] = value
        data = open_carbon(bad)
        data.window(0, 2)
        with pytest.raises(DataError, match=message):
            data.window(2, 2)


def test_statistics_are_those_of_all_values_at_once(dataset, tmp_path):
    data = open_carbon(dataset)
    found = carbon_statistics(data)
    used = dataset.isel(time=slice(0, -1)).astype(np.float64)
    for name in ("co2massmix", "u", "blh", "airmass"):
        assert found.offset[name] == pytest.approx(float(used[name].mean()), rel=1e-6, abs=1e-6)
        assert found.scale[name] == pytest.approx(float(used[name].std()), rel=1e-6)
        assert found.high[name] == pytest.approx(float(used[name].max()))
    change = dataset["co2massmix"].astype(np.float64).diff("time")
    dims = ("time", "lat", "lon")
    np.testing.assert_allclose(found.delta_offset, change.mean(dims), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.delta_scale, change.std(dims), rtol=1e-5)
    offsets, scales = found.input_scales()
    assert len(offsets) == len(scales) == len(input_names(3))
    found.save(tmp_path / "s.json")
    assert CarbonStatistics.load(tmp_path / "s.json") == found
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(DataError, match="holds no statistics"):
        CarbonStatistics.load(tmp_path / "s.json")


def test_statistics_with_constants_and_gaps(make_small):
    flat = make_small()
    flat["q"][:] = 0.25
    assert carbon_statistics(open_carbon(flat)).scale["q"] == 1.0
    gappy = make_small(times=12)
    gappy["co2massmix"][6:] += 1000.0
    data = open_carbon(gappy.isel(time=[0, 1, 2, 3, 7, 8, 9]), gaps="skip")
    assert max(carbon_statistics(data).delta_scale) < 10  # the jump lies in the gap


def test_units():
    assert conversion("a", "kg/m2/s", "kg m-2 s-1") == 1
    assert conversion("a", "g m^-2 s^-1", "kg m-2 s-1") == 1e-3
    assert conversion("a", "1e-6 kg CO2 / kg dry air", "1e-6 kg kg-1") == 1
    assert conversion("a", "mol mol-1", "1e-6 kg kg-1") == pytest.approx(1e6 * 44.009 / 28.9652)
    assert conversion("a", "umol mol-1", "1e-6 kg kg-1") == pytest.approx(44.009 / 28.9652)
    assert conversion("a", "micromol m-2 s-1", "kg m-2 s-1") == pytest.approx(44.009e-9)
    assert conversion("a", "m", "m2 s-2") == 9.80665
    assert conversion("a", "Pg dry air per cell", "Pg") == 1
    assert parse_units("W m-2 s")[1] == parse_units("J m-2")[1]


def test_writer_refuses_before_writing(dataset, tmp_path):
    with pytest.raises(DataError, match="lacks u"):
        write_carbon(dataset.drop_vars("u"), tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"must end in .nc, .zarr or .zarr.zip"):
        write_carbon(dataset, tmp_path / "a.csv")
    write_carbon(dataset, tmp_path / "a.zarr")
    with pytest.raises(DataError, match="already there"):
        write_carbon(dataset, tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
