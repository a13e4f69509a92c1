"""The turbulence task trained on flows from a file."""

import dataclasses

import numpy as np
import pytest
import torch

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.turbulence import task as turbulence
from pushforward.benchmarks.tasks.turbulence.config import TURBULENCE_PRESETS
from pushforward.benchmarks.tasks.turbulence.data import frames_of_file
from pushforward.datasets import open_turbulence
from pushforward.datasets.turbulence import TurbulenceSimulation, simulate_turbulence
from pushforward.simulators.errors import DataError

pytestmark = pytest.mark.usefixtures("unchecked")

CONFIG = dataclasses.replace(
    TURBULENCE_PRESETS["smoke"](),
    reference_cells=32,
    spin_up_cells=16,
    finite_volume=[16],
    unrolls=[1, 2],
    frames=3,
    test_flows=1,
    test_time=0.3,
    other_flows=0,
    spin_up=0.2,
    settle=0.0,
    hidden=2,
    layers=1,
    unroll_steps=[1, 1],
    spectral=[],
    models=["li"],
    batch_size=1,
)


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    """Two flows on the configuration's coarse grid, one model step between frames."""
    simulation = TurbulenceSimulation(
        cells=[32],
        factors=[2, 4],
        flows=2,
        spin_up_cells=0,
        spin_up=0.1,
        settle=0.0,
        frame_spacing=CONFIG.frame_spacing,
        time=6 * CONFIG.frame_spacing,
    )
    return simulate_turbulence(simulation, tmp_path_factory.mktemp("data") / "train.nc")


def test_a_run_learns_from_the_file(flows, tmp_path):
    config = dataclasses.replace(CONFIG, data=str(flows[0]))
    frames = frames_of_file(config)
    with open_turbulence(flows[0]) as dataset:
        np.testing.assert_array_equal(frames[:, :, 0], dataset.u.values)
        np.testing.assert_array_equal(frames[:, :, 1], dataset.v.values)
    folder = RunFolder(tmp_path / "out", preset="smoke")
    paths = turbulence.run(config, folder, device="cpu")
    assert "li-kolmogorov-0.json" in {p.name for p in paths}
    assert not (folder.predictions / "reference" / "training.safetensors").exists()
    assert torch.isfinite(frames).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 1}, "expected 0.028049934. .*--frame-spacing 0.028049934407051724"),
        ({"unrolls": [1, 5]}, "has 7 frames; roll-outs of 5 steps after 3 frames need 8"),
        ({"data": 1}, "on 8 x 8 cells, expected 16 x 16.* --cells 32 --factors 2 "),
    ],
)
def test_files_that_do_not_fit_are_refused_with_the_command_that_makes_one(flows, change, message):
    config = dataclasses.replace(CONFIG, data=str(flows[0]))
    if "data" in change:
        change = {"data": str(flows[1])}
    with pytest.raises(DataError, match=message):
        frames_of_file(dataclasses.replace(config, **change))


def test_a_file_of_another_flow_is_refused(tmp_path):
    simulation = TurbulenceSimulation(
        cells=[32],
        factors=[2],
        flows=1,
        viscosity=2e-3,
        spin_up_cells=0,
        spin_up=0.0,
        settle=0.0,
        frame_spacing=CONFIG.frame_spacing,
        time=6 * CONFIG.frame_spacing,
    )
    (path,) = simulate_turbulence(simulation, tmp_path / "other.nc")
    with pytest.raises(DataError, match=r"viscosity = 0.002, expected 0.001. Make one with"):
        frames_of_file(dataclasses.replace(CONFIG, data=str(path)))
