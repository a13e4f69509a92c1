"""Turbulence data sets as others wrote them: three layouts opened, faults refused, windows cut."""

import math
import shutil

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.datasets import TurbulenceWindows, open_turbulence
from pushforward.datasets.turbulence import (
    TurbulenceSimulation,
    describe_turbulence,
    simulate_turbulence,
    turbulence_layout,
    velocity_tensor,
)
from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import downsample_velocity

pytestmark = pytest.mark.usefixtures("unchecked")

SPACING = 0.007012483601762931


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three flows of 16 x 16 and 8 x 8, 9 frames, in each layout; HDF5 without our attributes."""
    folder = tmp_path_factory.mktemp("flows")
    simulation = TurbulenceSimulation(
        cells=[16],
        factors=[1, 2],
        flows=3,
        spin_up_cells=0,
        spin_up=0.1,
        settle=0.0,
        frame_spacing=SPACING,
        time=8 * SPACING,
    )
    for layout, name in (("cf", "ours.nc"), ("pnas", "pnas.nc"), ("tsm", "train.nc.hdf5")):
        for path in simulate_turbulence(simulation, folder / name, layout=layout):
            if layout == "tsm":
                with h5py.File(path, "a") as file:
                    file.attrs.clear()
    return folder


def copy_of(folder, tmp_path, name="ours_16x16.nc"):
    return xr.open_dataset(folder / name).load(), tmp_path / "changed.nc"


def test_layouts_are_told_apart_by_content(folder, tmp_path):
    for name, layout in (("ours_8x8.nc", "cf"), ("pnas_8x8.nc", "pnas"), ("train.nc.hdf5", "tsm")):
        assert turbulence_layout(folder / name) == layout
    renamed = tmp_path / "data.bin"
    shutil.copy(folder / "pnas_8x8.nc", renamed)
    assert turbulence_layout(renamed) == "pnas"


def test_published_hdf5_is_taken_at_the_published_spacing(folder):
    with open_turbulence(folder / "train.nc.hdf5", shape=(16, 16)) as flows:
        np.testing.assert_allclose(flows.time, np.arange(9) * SPACING)
        assert flows.sizes["sample"] == 3
    with h5py.File(folder / "train.nc.hdf5-0001") as file:
        stored = file["full_prefix_8x8"][:]
    with open_turbulence(folder / "train.nc.hdf5-0001", shape=(8, 8), frame_spacing=0.5) as flows:
        assert flows.sizes["sample"] == 1
        np.testing.assert_allclose(flows.time[:2], [0, 0.5])
        np.testing.assert_array_equal(flows.u.values[0], stored[0])
        np.testing.assert_array_equal(flows.v.values[0], stored[1])
    with open_turbulence(folder / "train.nc.hdf5", shape=(8, 8), thinned=True) as flows:
        assert flows.sizes["time"] == 5  # every second frame, as 8 is half of the finest grid
        np.testing.assert_array_equal(flows.u.values[1], stored[0, ::2])
        np.testing.assert_allclose(flows.time[1], 8 * SPACING)  # 64/8, as published


def test_nothing_is_read_before_it_is_asked_for(folder):
    for name in ("ours_16x16.nc", "pnas_16x16.nc", "train.nc.hdf5"):
        with open_turbulence(folder / name, shape=(16, 16)) as flows:
            assert not flows.u.variable._in_memory
            part = flows.u.isel(sample=[2, 0], time=slice(None, 2, -3), y=3)
            assert not part.variable._in_memory
            whole = flows.u.values
            np.testing.assert_array_equal(part.values, whole[[2, 0], :2:-3, :, 3])
            empty = flows.u.isel(sample=slice(0, 0), time=slice(0, 2))
            assert empty.values.shape == (0, 2, 16, 16)


def test_a_single_published_trajectory_gets_a_sample_axis(folder, tmp_path):
    dataset, path = copy_of(folder, tmp_path, "pnas_16x16.nc")
    dataset.isel(sample=1, drop=True).to_netcdf(path)
    with open_turbulence(path) as flows:
        assert flows.u.shape == (1, 9, 16, 16)
        np.testing.assert_array_equal(flows.u.values[0], dataset.u.values[1])


def test_float32_coordinates_of_a_long_run_are_even_enough(folder, tmp_path):
    dataset, path = copy_of(folder, tmp_path, "pnas_16x16.nc")
    times = (200 + np.arange(9) * SPACING).astype(np.float32)
    dataset.assign_coords(time=times).to_netcdf(path)
    with open_turbulence(path) as flows:
        assert flows.sizes["time"] == 9


def nan_at(dataset, frame):
    dataset.v.values[1, frame, 2, 3] = np.nan
    return dataset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.rename(u="w"), r"holds w\(sample, time, x_face, y\), v\(.*; expected u\("),
        (lambda d: d.drop_vars("v"), "expected u"),
        (lambda d: d.transpose("time", "sample", "y", ...), "Rename or transpose"),
        (lambda d: nan_at(d, -1), r"v of flows \[1\] is not finite at time 0.0560999"),
        (lambda d: nan_at(d, 0), r"v of flows \[1\] is not finite at time 0\."),
        (
            lambda d: d.isel(time=[0, 1, 2, 5, 6, 7, 8]),
            r"time of .* is not evenly spaced: 0.0210375 from 0.014025 to 0.0350624 \(entries 2 "
            r"and 3\), elsewhere 0.00701248. Frames are missing",
        ),
        (lambda d: d.isel(time=[0]), "holds 1 frame; a forecast needs at least two"),
        (lambda d: d.isel(time=slice(None, None, -1)), "time of .* does not rise"),
        (lambda d: d.isel(x_face=slice(15)), r"u has .* values for \(16, 16\) cells"),
        (lambda d: d.drop_vars("x"), r"no coordinates \['x'\]"),
        (lambda d: d.assign_coords(x=d.x**2), "x of .* is not evenly spaced"),
    ],
)
def test_faults_are_refused_with_numbers_and_remedy(folder, tmp_path, change, message):
    dataset, path = copy_of(folder, tmp_path)
    change(dataset).to_netcdf(path)
    with pytest.raises(DataError, match=message):
        open_turbulence(path)


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        ("ours_16x16.nc", {"shape": (32, 32)}, "is on 16 x 16 cells, expected 32 x 32. Open"),
        ("pnas_16x16.nc", {"domain": 4.0}, "domain of 6.28319 x 6.28319, expected 4 x 4"),
        ("ours_16x16.nc", {"frame_spacing": 0.01}, "every 0.0070124836 .*, expected 0.01. Simu"),
        ("train.nc.hdf5", {}, r"the grids \[\(8, 8\), \(16, 16\)\]; choose one with shape"),
        ("train.nc.hdf5", {"shape": (32, 32)}, r"\(16, 16\)\], not \(32, 32\)"),
        ("ours_16x16.nc", {"thinned": True}, "only the HDF5 layout holds thinned frames"),
        ("absent.nc", {}, "no such file: .*absent.nc, nor absent.nc-0000"),
    ],
)
def test_files_of_another_grid_are_refused(folder, name, wanted, message):
    with pytest.raises(DataError, match=message):
        open_turbulence(folder / name, **wanted)


def test_other_kinds_of_files_are_refused(tmp_path):
    text = tmp_path / "a.nc"
    text.write_text("no data")
    with pytest.raises(DataError, match="neither netCDF nor HDF5"):
        open_turbulence(text)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["prefix_8x8"] = np.zeros((3, 4, 8, 8))
    with pytest.raises(DataError, match=r"has no data set full_prefix_8x8; it holds \['prefix_8x"):
        open_turbulence(tmp_path / "b.hdf5")
    with pytest.raises(DataError, match=r"shape \(3, 4, 8, 8\); expected \(2, time, x, y\)"):
        open_turbulence(tmp_path / "b.hdf5", thinned=True)


def test_a_series_whose_files_differ_is_refused(folder, tmp_path):
    for i in range(2):
        shutil.copy(folder / f"train.nc.hdf5-000{i}", tmp_path / f"t.hdf5-000{i}")
    with h5py.File(tmp_path / "t.hdf5-0001", "a") as file:
        cut = file["full_prefix_8x8"][:, :5]
        del file["full_prefix_8x8"]
        file["full_prefix_8x8"] = cut
    with pytest.raises(DataError, match=r"shape \(2, 5, 8, 8\) in .*0001 and \(2, 9, 8, 8\) in"):
        open_turbulence(tmp_path / "t.hdf5", shape=(8, 8))


def test_windows_are_runs_of_frames(folder):
    with open_turbulence(folder / "pnas_16x16.nc") as flows:
        velocity = velocity_tensor(flows)
        windows = TurbulenceWindows(flows, history=2, horizon=3)
        assert len(windows) == 3 * 5
        for index, (flow, start) in {0: (0, 0), 4: (0, 4), 5: (1, 0), -1: (2, 4)}.items():
            given, wanted = windows[index]
            assert torch.equal(given, velocity[flow, start : start + 2])
            assert torch.equal(wanted, velocity[flow, start + 2 : start + 5])
        with pytest.raises(IndexError):
            windows[15]
        sparse = TurbulenceWindows(flows, history=1, horizon=2, every=4, factor=2)
        assert len(sparse) == 3
        given, wanted = sparse[1]
        assert torch.equal(torch.cat([given, wanted]), downsample_velocity(velocity[1, ::4], 2))
        batch, _ = next(iter(torch.utils.data.DataLoader(windows, batch_size=4, shuffle=False)))
        assert torch.equal(batch[3], velocity[0, 3:5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": 5, "horizon": 5}, r"5 \+ 5 frames, every 1, spans 10; the data have 9"),
        ({"history": 1, "horizon": 3, "every": 3}, "spans 10; the data have 9 frames. Simulate"),
        ({"history": 0, "horizon": 3}, "history = 0 must be at least 1"),
        ({"history": 1, "horizon": 1, "every": 0}, "every = 0 must be at least 1"),
        ({"history": 1, "horizon": 1, "factor": 3}, "factor 3 does not divide the grid 16 x 16"),
    ],
)
def test_windows_that_do_not_fit_are_refused(folder, options, message):
    with (
        open_turbulence(folder / "ours_16x16.nc") as flows,
        pytest.raises(DataError, match=message),
    ):
        TurbulenceWindows(flows, **options)


def test_a_nan_inside_is_found_where_it_is_read(folder, tmp_path):
    dataset, path = copy_of(folder, tmp_path)
    nan_at(dataset, 4).to_netcdf(path)
    with open_turbulence(path) as flows:
        windows = TurbulenceWindows(flows, history=1, horizon=1)
        windows[8 + 2]
        with pytest.raises(DataError, match=r"v is not finite in flow 1 at time 0.0280499 \(1 fra"):
            windows[8 + 3]


def test_a_description_says_what_is_wrong(folder, tmp_path):
    found = describe_turbulence(folder / "pnas_8x8.nc")
    assert found["layout"].startswith("pnas")
    assert found["cells"] == "8 x 8"
    assert found["greatest divergence times h over greatest velocity"] < 1e-5
    dataset, path = copy_of(folder, tmp_path)
    nan_at(dataset, -1).to_netcdf(path)
    assert "not finite" in describe_turbulence(path)["PROBLEM"]
    assert math.isclose(describe_turbulence(folder / "ours_8x8.nc")["drag"], 0.1)
