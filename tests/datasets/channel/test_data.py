"""Generated and published channel data: what is written is what is read; wrong files refused."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.cli import main
from pushforward.datasets import open_channel
from pushforward.datasets.channel import ChannelSimulation, generate_channel, write_channel
from pushforward.simulators.channel import stretched_points
from pushforward.simulators.errors import DataError

TINY = {
    "points": [8, 17, 8],
    "runs": 3,
    "dt": 0.1,
    "stride": 2,
    "spin_up_points": [8, 13, 8],
    "spin_up": 0.8,
    "settle": 0.2,
    "time": 0.6,
    "kept": [4, 9, 8],
}


@pytest.fixture(scope="module")
def simulation():
    return ChannelSimulation(**TINY)


@pytest.fixture(scope="module")
def file(simulation, tmp_path_factory):
    return generate_channel(simulation, tmp_path_factory.mktemp("channel") / "flows.nc")


def test_frames_are_those_of_the_solver(simulation, file):
    from pushforward.datasets.channel.generator import _developed, _Work

    flow, coarse = simulation.flow(), simulation.spin_up_flow()
    work = _Work(simulation, lambda share: None)
    state = _developed(simulation, flow, coarse, range(1, 2), work)
    state = flow.advance(state, 2 * simulation.stride)
    data = open_channel(file, shape=(4, 9, 8))
    seen = simulation.view(flow)(state)[0].float()
    assert torch.allclose(data.velocity(1, 2, 3)[0], seen, atol=1e-6)
    assert data.frames == 4
    assert data.time_step == pytest.approx(0.2)
    assert torch.equal(data.y, stretched_points(9))
    assert data.lengths[1] == 2.0


def test_the_file_says_how_it_was_made(file):
    with xr.open_dataset(file, decode_times=False) as found:
        about = found.attrs
        assert found.u.dims == ("run", "time", "x", "y", "z")
        assert found.u.dtype == np.float32
        for name in ("nu", "u_tau", "Re_tau", "U_b", "dt_dns", "stride", "filter", "forcing"):
            assert name in about
        for name in ("filter_widths", "box", "seed", "dns_points", "source", "config_hash"):
            assert name in about
        assert json.loads(about["simulation"])["runs"] == 3
        friction = found.friction_velocity.values
        assert about["u_tau"] == pytest.approx(np.sqrt((friction**2).mean()))
        assert found.mean_pressure_gradient.values == pytest.approx(
            found.pressure_gradient.mean("time").values
        )
        assert found.time.attrs["axis"] == "T"


def test_a_run_does_not_depend_on_those_beside_it(simulation, file, tmp_path):
    alone = ChannelSimulation(**(TINY | {"runs": 1, "seed": 2}))
    one = open_channel(generate_channel(alone, tmp_path / "one.nc")).velocity(0)
    together = ChannelSimulation(**(TINY | {"batch": 3}))
    batch = open_channel(generate_channel(together, tmp_path / "batch.nc"))
    data = open_channel(file)
    assert torch.equal(one, data.velocity(2))
    assert torch.allclose(batch.load(), data.load(), atol=1e-6)
    assert not torch.allclose(data.velocity(0), data.velocity(1), atol=1e-4)


def test_parts_and_splits_are_whole_runs(file):
    data = open_channel(file)
    train, validation, test = data.split(test=1, validation=1)
    assert (train.runs, validation.runs, test.runs) == ((0,), (1,), (2,))
    assert torch.equal(test.velocity(0), data.velocity(2))
    assert data.split()[1] is None
    with pytest.raises(DataError, match="has 3 runs: too few for 2 to test, 1 to validate"):
        data.split(test=2, validation=1)
    with pytest.raises(DataError, match=r"runs \[0, 3\]"):
        data.part([0, 3])
    with pytest.raises(DataError, match="run 3 of 3"):
        data.velocity(3)
    with pytest.raises(DataError, match="frames 2 to 9 of 4"):
        data.velocity(0, 2, 9)


def published(shape, seed=0):
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    array[:, :, :, [0, -1]] = 0
    return array


def test_a_published_array_gets_its_known_grid(tmp_path):
    array = published((2, 3, 32, 33, 16, 4))
    np.save(tmp_path / "Retau180.npy", array)
    data = open_channel(tmp_path / "Retau180.npy")
    assert torch.equal(
        data.velocity(1, 2)[0], torch.from_numpy(array[1, 2, ..., :3]).movedim(-1, 0)
    )
    assert data.friction_reynolds == pytest.approx(174.59)
    assert data.friction_velocity == pytest.approx(0.04157, abs=5e-6)
    assert data.lengths == pytest.approx((4 * np.pi, 2, 4 * np.pi / 3))
    assert float(data.x[-1]) == pytest.approx(4 * np.pi * 31 / 32)
    # The published y+ of the first plane.
    assert float(data.y[1]) * data.friction_reynolds == pytest.approx(3.89, abs=0.01)


def test_an_unknown_array_needs_its_grid(tmp_path):
    np.save(tmp_path / "own.npy", published((2, 3, 8, 9, 8, 3)))
    with pytest.raises(DataError, match=r"8 x 9 x 8 points, which is none .* Give lengths, visc"):
        open_channel(tmp_path / "own.npy")
    about = {"lengths": (6.0, 3.0), "viscosity": 1e-3, "friction_velocity": 0.1, "time_step": 0.5}
    data = open_channel(tmp_path / "own.npy", **about)
    assert data.friction_reynolds == pytest.approx(100)
    assert float(data.time[-1]) == 1
    with pytest.raises(DataError, match="y has 5 planes"):
        open_channel(tmp_path / "own.npy", y=torch.linspace(0, 2, 5), **about)


def test_wrong_files_are_refused(tmp_path, file):
    with pytest.raises(DataError, match="pushforward simulate channel"):
        open_channel(tmp_path / "absent.nc")
    np.save(tmp_path / "flat.npy", np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"float64 of shape \(3, 4\)"):
        open_channel(tmp_path / "flat.npy")
    np.save(tmp_path / "five.npy", np.zeros((1, 2, 32, 33, 16, 5), np.float32))
    with pytest.raises(DataError, match="u, v, w or u, v, w, p"):
        open_channel(tmp_path / "five.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a plain NumPy array"):
        open_channel(tmp_path / "objects.npy")
    turned = np.random.default_rng(0).normal(size=(1, 2, 32, 33, 16, 4)).astype(np.float32)
    np.save(tmp_path / "turned.npy", turned)
    with pytest.raises(DataError, match="at a wall, where it must be 0"):
        open_channel(tmp_path / "turned.npy")
    late = published((1, 3, 32, 33, 16, 4))
    late[0, 2, 5, 5, 5, 0] = np.nan
    np.save(tmp_path / "late.npy", late)
    with pytest.raises(DataError, match="run 0 is not finite at frame 2"):
        open_channel(tmp_path / "late.npy")
    with pytest.raises(DataError, match=r"has 4 x 9 x 8 points in x, y, z; expected 8 x 9 x 8"):
        open_channel(file, shape=(8, 9, 8))
    with pytest.raises(DataError, match="says its own viscosity"):
        open_channel(file, viscosity=1.0)
    with xr.open_dataset(file, decode_times=False) as dataset:
        dataset.rename(w="speed").to_netcdf(tmp_path / "renamed.nc")
        dataset.assign_attrs(nu=[]).drop_attrs(deep=False).to_netcdf(tmp_path / "bare.nc")
    with pytest.raises(DataError, match="w is -; expected u, v, w"):
        open_channel(tmp_path / "renamed.nc")
    with pytest.raises(DataError, match=r"no attributes \['nu', 'u_tau', 'box'\]"):
        open_channel(tmp_path / "bare.nc")


def test_written_forecasts_are_read_again(tmp_path):
    velocity = torch.from_numpy(published((2, 3, 8, 9, 8, 3))).movedim(-1, 2)
    about = {
        "y": stretched_points(9),
        "lengths": (6.0, 3.0),
        "viscosity": 1e-3,
        "friction_velocity": 0.1,
        "time_step": 0.5,
    }
    write_channel(tmp_path / "out.nc", velocity, attributes={"model": "m"}, **about)
    data = open_channel(tmp_path / "out.nc")
    assert torch.equal(data.load(), velocity)
    assert data.time_step == 0.5
    assert data.attributes["model"] == "m"
    with pytest.raises(DataError, match=r"must end in \.nc"):
        write_channel(tmp_path / "out.h5", velocity, **about)
    velocity[1, 2, 0, 0, 4, 0] = np.inf
    with pytest.raises(DataError, match="run 1 is not finite from frame 2"):
        write_channel(tmp_path / "bad.nc", velocity, **about)
    assert not (tmp_path / "bad.nc").exists()


def test_what_cannot_be_simulated_is_refused_and_leaves_no_file(tmp_path):
    for changes, message in (
        ({"kept": [16, 9, 8]}, "coarse grid has 16 x 8"),
        ({"time": 0.1}, "holds 1 frame"),
        ({"points": [8, 17]}, "must be three"),
        ({"driving": "gradient"}, "needs a positive one"),
        ({"dt": -1.0}, "dt = -1.0"),
        ({"kept": [4, 8, 8]}, "n = 8 points"),
    ):
        with pytest.raises(DataError, match=message):
            ChannelSimulation(**(TINY | changes))
    wild = ChannelSimulation(**(TINY | {"dt": 5.0, "spin_up": 0.0, "time": 1000.0, "settle": 0.0}))
    with pytest.raises(DataError, match=r"dt = 5.0 has the CFL number"):
        generate_channel(wild, tmp_path / "wild.nc")
    still = ChannelSimulation(**(TINY | {"viscosity": 0.5, "spin_up": 20.0}))
    with pytest.raises(DataError, match="run 0 became laminar"):
        generate_channel(still, tmp_path / "still.nc")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_and_inspects(tmp_path, capsys):
    words = "--points 8 17 8 --spin-up-points 8 13 8 --kept 4 9 8 --runs 2 --dt 0.1 --stride 1"
    words += " --spin-up 0.2 --settle 0 --time 0.2 --quiet"
    path = tmp_path / "flows.nc"
    assert main(["simulate", "channel", "--out", str(path), *words.split()]) == 0
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["runs"], found["points x, y, z"]) == (2, "4 x 9 x 8")
    assert main(["simulate", "channel", "--out", str(tmp_path / "flows.h5")]) == 2
