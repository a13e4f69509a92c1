"""The turbulence task end to end, tiny; its references, rows and report."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from pushforward.benchmarks.leaderboard import make_boards, to_markdown
from pushforward.benchmarks.page import make_page
from pushforward.benchmarks.result import Result, read_results
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks import turbulence
from pushforward.benchmarks.tasks.turbulence_config import TURBULENCE_PRESETS, FlowSet
from pushforward.benchmarks.tasks.turbulence_reference import (
    Reference,
    finite_volume_solver,
    reference,
)
from pushforward.benchmarks.tasks.turbulence_rows import new_model, persistence, solver_rows
from pushforward.benchmarks.turbulence_figures import pareto_front
from pushforward.benchmarks.turbulence_report import gain_lines
from pushforward.simulators.errors import DataError, InterruptedRun
from pushforward.simulators.turbulence import downsample_velocity, fourier_resample
from pushforward.surrogates.turbulence import RolloutObjective

pytestmark = pytest.mark.usefixtures("unchecked")

TINY = dataclasses.replace(
    TURBULENCE_PRESETS["smoke"](),
    models=["li", "tsm"],
    reference_cells=32,
    spin_up_cells=16,
    finite_volume=[16],
    train_time=0.9,
    test_time=1.2,
    other_flows=0,
    spin_up=0.5,
    settle=0.2,
    hidden=4,
    layers=1,
    frames=3,
    features=2,
    unrolls=[1, 2],
    unroll_steps=[2, 2],
    batch_size=2,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole tiny run."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "out", preset="smoke")
    return folder, turbulence.run(TINY, folder, device="cpu")


def test_run_writes_every_part(finished):
    folder, paths = finished
    assert {p.name for p in paths} == {
        f"{row}-kolmogorov-0.json" for row in ("li", "tsm", "fv_16", "spectral_16", "persistence")
    }
    learned = Result.read(folder.results / "tsm-kolmogorov-0.json")
    assert learned.learned
    assert learned.cost["parameters"] == new_model(TINY, "tsm", 0).n_parameters
    assert learned.metrics["seconds_per_unit"].value > 0
    assert np.array(learned.sample["correlation"]).shape[0] == TINY.test_flows
    assert not Result.read(folder.results / "fv_16-kolmogorov-0.json").learned
    (board,) = make_boards(read_results([folder.path]))
    lines = gain_lines(board)
    assert any(line.startswith("duration of tsm over li:") for line in lines)
    assert sum("on the front" in line for line in lines) == 2
    assert "| persistence |" in to_markdown([board])
    page = make_page(read_results([folder.path]), title="t")
    assert page.count("<svg") == 4
    assert "mean_shift" not in page


def test_a_second_run_only_looks(finished):
    folder, paths = finished
    before = {p: p.stat().st_mtime_ns for p in paths}
    turbulence.run(TINY, folder, device="cpu")
    assert before == {p: p.stat().st_mtime_ns for p in paths}


def test_a_stopped_run_resumes_to_the_same_numbers(finished, tmp_path, signal_at):
    whole, paths = finished
    folder = RunFolder(tmp_path / "out", preset="smoke")
    with signal_at(RolloutObjective, 6), pytest.raises(InterruptedRun):
        turbulence.run(TINY, folder, device="cpu")
    assert not folder.results.exists()
    turbulence.run(TINY, folder, device="cpu")
    for path in paths:
        content = [json.loads((f.results / path.name).read_text()) for f in (whole, folder)]
        assert content[0]["sample"] == content[1]["sample"]


def test_every_row_starts_from_the_same_flow_and_a_solver_on_its_own_grid_is_the_truth(tmp_path):
    """The finite-volume row at the reference's resolution repeats the truth; the spectral row at
    that resolution stays near it; the first frame of all is near the start."""
    config = dataclasses.replace(TINY, finite_volume=[16, 32], spectral=[32])
    (flows,) = config.test_sets
    truth = reference(config, flows, tmp_path, 3)
    n = truth.truth.shape[1]
    coarse, fine, spectral = (r.forecast(truth, n) for r in solver_rows(config, flows))
    torch.testing.assert_close(fine, truth.truth, rtol=0, atol=2e-4)
    size = truth.truth.square().mean().sqrt()
    for rows, most in ((spectral, 0.15), (coarse, 0.3)):
        assert (rows[:, 0] - truth.truth[:, 0]).square().mean().sqrt() < most * size
    held = persistence().forecast(truth, n)
    error = [(r - truth.truth).square().mean().sqrt().item() for r in (spectral, coarse, held)]
    assert error[0] < error[1] < error[2]


def test_reference_is_kept_and_another_configuration_is_refused(tmp_path):
    config, flows = TINY, FlowSet("a", 1, 3, time=0.3, spin_up=0.0, settle=0.0)
    made = reference(config, flows, tmp_path, 2)
    read = reference(config, flows, tmp_path, 2)
    assert torch.equal(made.truth, read.truth)
    torch.testing.assert_close(downsample_velocity(made.first, 2), made.history[:, -1])
    solver = finite_volume_solver(config, flows, 32)
    again = solver.advance(solver.initial(seed=3, batch=(1,)), config.frame_steps)
    torch.testing.assert_close(again, made.first, rtol=0, atol=1e-5)
    with pytest.raises(DataError, match="flows of another configuration"):
        reference(config, dataclasses.replace(flows, viscosity=1e-2), tmp_path, 2)


def test_resampling_there_and_back_is_exact_for_resolved_waves():
    field = torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    there = fourier_resample(field, offset=(1.0, 0.5), to_cells=20, to_offset=(0.0, 0.0))
    back = fourier_resample(there, offset=(0.0, 0.0), to_cells=9, to_offset=(1.0, 0.5))
    torch.testing.assert_close(back, field)


def test_a_flow_that_blows_up_does_not_take_the_others_along():
    config = dataclasses.replace(TINY, spectral=[])
    (flows,) = config.test_sets
    (row,) = solver_rows(config, flows)
    first = torch.zeros(3, 2, 32, 32)
    first[1] = 40.0 * torch.sin(2 * math.pi * torch.arange(32) / 32)
    start = downsample_velocity(first, 2)[:, None]
    truth = Reference(flows, start, start, first, "x")
    found = row.forecast(truth, 3)
    assert torch.isfinite(found[[0, 2]]).all()
    assert torch.isnan(found[1]).all()


def test_front_holds_rows_that_nothing_beats_both_ways():
    points = [("slow", 3.0, 5.0), ("fast", 1.0, 2.0), ("bad", 2.0, 1.0), ("same", 1.0, 1.5)]
    assert pareto_front(points) == ["fast", "slow"]
