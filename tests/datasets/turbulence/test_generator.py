"""Simulated turbulence data: right in closed form, the same in every layout, whole or absent."""

import json
import math

import netCDF4
import numpy as np
import pytest
import torch

from pushforward.datasets.turbulence import (
    TurbulenceSimulation,
    describe_turbulence,
    open_turbulence,
    simulate_turbulence,
    velocity_tensor,
)
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.turbulence import divergence, downsample_velocity

TAU = 2 * math.pi
SMALL = {
    "cells": [32],
    "factors": [2, 4],
    "flows": 3,
    "batch": 2,
    "spin_up_cells": 16,
    "spin_up": 0.3,
    "settle": 0.1,
    "time": 0.3,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One simulation in each of the three layouts."""
    folder = tmp_path_factory.mktemp("flows")
    simulation = TurbulenceSimulation(**SMALL)
    return {
        layout: simulate_turbulence(simulation, folder / name, layout=layout)
        for layout, name in (("cf", "a.nc"), ("pnas", "b.nc"), ("tsm", "c.nc.hdf5"))
    }


def test_a_viscous_flow_ends_as_the_laminar_one(tmp_path):
    """u = A m sin(4y)/(nu (2 sin(2h)/h)² + mu), m the mean of the sine over a face, and over a
    coarse face after down-sampling."""
    nu, drag, n, s = 0.5, 0.1, 32, 2
    simulation = TurbulenceSimulation(
        cells=[n // 2, n],
        factors=[s],
        domain=[0.5, 1.0],
        flows=2,
        viscosity=nu,
        drag=drag,
        amplitude=0.7,
        max_velocity=1.0,
        spin_up_cells=8,
        spin_up=16.0,
        settle=6.0,
        frame_spacing=0.05,
        time=0.1,
    )
    (path,) = simulate_turbulence(simulation, tmp_path / "laminar.nc")
    h = TAU / n
    eigenvalue = (2 * math.sin(2 * h) / h) ** 2
    face_mean = math.sin(2 * s * h) / (2 * s * h)
    amplitude = 0.7 * face_mean / (nu * eigenvalue + drag)
    with open_turbulence(path) as flows:
        expected = amplitude * np.sin(4 * flows.y.values)
        assert flows.u.shape == (2, 3, 8, 16)
        assert np.abs(flows.u.values - expected).max() < 1e-5
        assert np.abs(flows.v.values).max() < 1e-5


def test_coarse_data_are_face_means_of_finer_ones_and_free_of_divergence(made):
    fine, coarse = (velocity_tensor(open_turbulence(p)) for p in made["cf"])
    torch.testing.assert_close(downsample_velocity(fine, 2), coarse, rtol=0, atol=2e-6)
    for velocity, n in ((fine, 16), (coarse, 8)):
        assert divergence(velocity, (TAU / n, TAU / n)).abs().max() < 1e-4
    assert fine.std() > 0.3


@pytest.mark.parametrize("layout", ["pnas", "tsm"])
def test_published_layouts_hold_the_same_flows(made, layout):
    path = made[layout][0]
    path = path.with_name(path.name.removesuffix("-0000"))
    with open_turbulence(made["cf"][0]) as ours, open_turbulence(path, shape=(16, 16)) as theirs:
        assert theirs.attrs["layout"] == layout
        assert ours.u.dims == theirs.u.dims == ("sample", "time", "x_face", "y")
        assert ours.v.dims == theirs.v.dims == ("sample", "time", "x", "y_face")
        for name in ("u", "v", "x", "y", "x_face", "y_face", "time", "sample"):
            np.testing.assert_allclose(theirs[name].values, ours[name].values, rtol=1e-12)


def test_faces_are_where_the_solver_has_them(made):
    with netCDF4.Dataset(made["cf"][0]) as file:
        h = TAU / 16
        np.testing.assert_allclose(file["x"][:], (np.arange(16) + 0.5) * h)
        np.testing.assert_allclose(file["x_face"][:], (np.arange(16) + 1) * h)
        assert file["u"].dimensions == ("sample", "time", "x_face", "y")
        assert file["v"].dimensions == ("sample", "time", "x", "y_face")


def test_files_say_where_they_came_from(made):
    simulation = TurbulenceSimulation(**SMALL)
    with netCDF4.Dataset(made["cf"][0]) as file:
        assert json.loads(file.configuration) == simulation.plain()
        assert file.source.startswith("pushforward ")
        assert file.Conventions.startswith("CF-")
        assert file.viscosity == 1e-3
        assert file.drag == 0.1
        assert file.dt * simulation.frame_steps == pytest.approx(file.frame_spacing)
        assert {"history", "seed", "config_hash", "forcing_wavenumber"} <= set(file.ncattrs())
        assert file["seed"][:].tolist() == [0, 1, 2]
    found = describe_turbulence(made["tsm"][1].with_name("c.nc.hdf5"))
    assert found["grid 8 x 8"]["flows"] == 3
    assert found["viscosity"] == 1e-3


def test_a_flow_does_not_depend_on_the_others(made, tmp_path):
    """Flow 1 of seed 0 is flow 0 of seed 1; the batch changes it by rounding only."""
    alone = TurbulenceSimulation(**SMALL | {"seed": 1, "flows": 1, "batch": 1, "factors": [2]})
    (path,) = simulate_turbulence(alone, tmp_path / "alone.nc")
    with open_turbulence(path) as one, open_turbulence(made["cf"][0]) as all_:
        np.testing.assert_allclose(one.u.values[0], all_.u.values[1], rtol=0, atol=1e-4)
        assert np.abs(all_.u.values[0] - all_.u.values[1]).max() > 0.3


def test_frames_follow_the_published_rule():
    """2048² cells take 32 steps of 0.00021914 to a frame of the 64² grid."""
    simulation = TurbulenceSimulation(cells=[2048], factors=[64, 32])
    assert simulation.spacing == pytest.approx(0.007012483601762931)
    assert simulation.frame_steps == 32
    assert simulation.dt == pytest.approx(0.0002191401125550916)
    chosen = TurbulenceSimulation(cells=[64], factors=[2], frame_spacing=0.1, time=1.0)
    assert chosen.frame_steps * chosen.dt == pytest.approx(0.1)
    assert chosen.frames == 11


def test_a_stopped_or_diverged_run_leaves_no_file(tmp_path):
    calls = []

    def stop(share):
        calls.append(share)
        if len(calls) == 8:
            raise KeyboardInterrupt

    for layout, name in (("cf", "a.nc"), ("tsm", "a.hdf5")):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            simulate_turbulence(
                TurbulenceSimulation(**SMALL), tmp_path / name, layout=layout, report=stop
            )
        assert list(tmp_path.iterdir()) == []
    wild = TurbulenceSimulation(**SMALL | {"amplitude": 1e5})
    with pytest.raises(DivergedError, match=r"flows 0 to 1, on 16 x 16 cells, about -0.2963"):
        simulate_turbulence(wild, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_reports_add_up_to_the_whole(tmp_path):
    shares = []
    simulate_turbulence(TurbulenceSimulation(**SMALL), tmp_path / "a.nc", report=shares.append)
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": [3]}, r"factors \[3\] do not divide 32 x 32 .*\[1, 2, 4, 8\]"),
        ({"factors": []}, "one or more"),
        ({"factors": [2, 2]}, "different"),
        ({"cells": [8, 8, 8]}, "one along x and y"),
        ({"flows": 0}, "flows = 0 must be at least 1"),
        ({"spin_up": -1.0}, "spin_up = -1.0 must be finite"),
        ({"spin_up_cells": 48}, "spin_up_cells = 48 must be at most 32"),
        ({"time": 0.001}, "time = 0.001 holds 1 frame"),
        ({"viscosity": -1.0}, "viscosity = -1.0"),
        ({"cfl": 1.5}, "exceeds the advective limit"),
        ({"wavenumber": 12}, "cannot be seen on ny = 16"),
    ],
)
def test_wrong_simulations_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        TurbulenceSimulation(**SMALL | change)


@pytest.mark.usefixtures("unchecked")
def test_wrong_files_are_refused_before_any_work(tmp_path):
    rectangle = TurbulenceSimulation(**SMALL | {"cells": [32, 16], "domain": [1.0, 0.5]})
    for simulation, name, layout, message in (
        (TurbulenceSimulation(**SMALL), "a.h5", "cf", "a.h5 must end in .nc"),
        (rectangle, "a.nc", "pnas", "square grids only, not 16 x 8 cells"),
        (rectangle, "a.nc", "zarr", "layout = 'zarr' is unknown"),
    ):
        with pytest.raises(DataError, match=message):
            simulate_turbulence(simulation, tmp_path / name, layout=layout)
    assert list(tmp_path.iterdir()) == []
