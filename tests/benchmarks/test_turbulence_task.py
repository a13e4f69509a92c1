"""The turbulence task end to end, tiny; its references, rows and report."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from pushforward.benchmarks.leaderboard import make_boards, to_markdown
from pushforward.benchmarks.page import make_page
from pushforward.benchmarks.result import Metric, Result, read_results
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.foreign import write_foreign
from pushforward.benchmarks.tasks.turbulence import foreign as turbulence_foreign
from pushforward.benchmarks.tasks.turbulence import task as turbulence
from pushforward.benchmarks.tasks.turbulence.config import TURBULENCE_PRESETS, FlowSet
from pushforward.benchmarks.tasks.turbulence.figures import pareto_front
from pushforward.benchmarks.tasks.turbulence.reference import (
    Reference,
    finite_volume_solver,
    reference,
)
from pushforward.benchmarks.tasks.turbulence.report import gain_lines
from pushforward.benchmarks.tasks.turbulence.rows import new_model, persistence, solver_rows
from pushforward.cli import main
from pushforward.datasets.turbulence import (
    open_turbulence,
    velocity_tensor,
    write_flows,
    write_turbulence_forecasts,
)
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


def test_what_a_model_predicts_from_files_scores_as_in_the_run(finished, tmp_path, capsys):
    """predict and evaluate on the run's own flows give the run's own row, to rounding."""
    folder, _ = finished
    truth = folder.predictions / "reference" / "kolmogorov.nc"
    out, model = tmp_path / "tsm.nc", folder.models / "tsm-0"
    words = ["--data", str(truth), "--out", str(out), "--quiet"]
    assert main(["predict", "turbulence", "--model", str(model), *words]) == 0
    mine = ["--predictions", str(out), "--name", "theirs", "--out", str(tmp_path / "o"), "--json"]
    assert main(["evaluate", "turbulence", "--data", str(truth), *mine]) == 0
    (found,) = read_results([tmp_path / "o"])
    run = {r.model: r for r in read_results([folder.path])}
    for name, metric in found.metrics.items():
        assert metric.value == pytest.approx(run["tsm"].metrics[name].value, rel=1e-4), name
    assert len(found.metrics) == 7
    for row in ("persistence", "fv_16"):
        for name, value in found.reference[row].items():
            assert value == pytest.approx(run[row].metrics[name].value, rel=1e-3, abs=1e-4), name
    # One question: the row stands in the run's own table.
    (board,) = make_boards(read_results([folder.path, tmp_path / "o"]))
    assert "| theirs |" in to_markdown([board])
    assert "| (fv_16) |" in to_markdown(make_boards([found]))


@pytest.mark.parametrize(
    ("verb", "change", "says"),
    [
        ("predict", {"--model": "{run}"}, "models/li-0, "),
        ("predict", {"--model": "{run}/results"}, "A run saves its models in OUT/models"),
        ("predict", {"--out": "{there}"}, "exists. Choose another --out"),
        ("predict", {"--start": "{early}"}, "2 frames up to the start; the model needs 3"),
        ("predict", {"--start": "0.01"}, "no time of"),
        ("predict", {"--data": "{other}"}, "has cells of 0.785"),
        ("predict", {"--data": "{there}"}, "expected u(sample, time, x_face, y)"),
        ("evaluate", {"--name": "fv_99"}, "the name of a row of our own"),
        ("evaluate", {"--data": "{other}"}, "has 16 points along x, the data 8"),
        ("evaluate", {"--predictions": "{truth}"}, "expected u(start, lead, x_face, y)"),
        ("evaluate", {"--predictions": "{late}"}, "but the data end at"),
        ("evaluate", {"--predictions": "{odd}"}, "leads must be 1, 2, 3"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    verb, change, says, finished, tmp_path, capsys
):
    folder, _ = finished
    truth = folder.predictions / "reference" / "kolmogorov.nc"
    there, other = tmp_path / "there.nc", tmp_path / "other.nc"
    with open_turbulence(truth) as flows:
        dt, domain = TINY.frame_spacing, tuple(flows.attrs["domain"])
        about = {"sample": [0, 1], "start_time": [0.0, 0.0], "domain": domain}
        early, end = float(flows.time[1]), float(flows.time[-1])
    blank = torch.zeros(2, 2, 2, 16, 16)
    write_turbulence_forecasts(there, blank, lead=[dt, 2 * dt], **about)
    write_turbulence_forecasts(tmp_path / "odd.nc", blank, lead=[dt, 1.5 * dt], **about)
    about["start_time"] = [0.0, end]
    write_turbulence_forecasts(tmp_path / "late.nc", blank, lead=[dt, 2 * dt], **about)
    write_flows(
        other, blank[..., ::2, ::2], time=np.array([0.0, TINY.frame_spacing]), domain=domain
    )
    names = {"run": folder.path, "truth": truth, "there": there, "other": other, "early": early}
    names |= {name: tmp_path / f"{name}.nc" for name in ("late", "odd")}
    options = {
        "predict": {"--model": "{run}/models/tsm-0", "--out": str(tmp_path / "new.nc")},
        "evaluate": {"--predictions": "{there}", "--name": "x", "--out": str(tmp_path / "new")},
    }[verb] | {"--data": "{truth}"}
    words = [w.format(**names) for pair in (options | change).items() for w in pair]
    assert main([verb, "turbulence", *words]) == 3
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("new*"))


def test_forecasts_of_one_s_own_choice_are_another_question(finished, tmp_path):
    """Every second frame of one flow, one of them lost: scored, but not in the run's table."""
    folder, _ = finished
    path = folder.predictions / "reference" / "kolmogorov.nc"
    with open_turbulence(path) as flows:
        time = flows.time.values
        frames = velocity_tensor(flows.isel(sample=[1]))[:, 1:8:2].repeat(2, 1, 1, 1, 1)
        frames[1, 2:] = float("nan")
        write_turbulence_forecasts(
            tmp_path / "f.nc",
            frames[:, 1:],
            sample=[1, 1],
            start_time=[time[1], time[1 + 2]],
            lead=(time[1] - time[0]) * np.arange(2, 7, 2),
            domain=tuple(flows.attrs["domain"]),
        )
    out = RunFolder(tmp_path / "o", preset="")
    turbulence_foreign.evaluate(path, tmp_path / "f.nc", out, model="theirs", seed=2)
    (found,) = read_results([tmp_path / "o"])
    assert found.seed == 2
    assert found.metrics["diverged"].value == 0.5
    assert np.array(found.sample["correlation"])[0].tolist() == [1.0, 1.0, 1.0]
    assert (
        found.data_fingerprint
        != Result.read(folder.results / "persistence-kolmogorov-0.json").data_fingerprint
    )
    with pytest.raises(DataError, match="holds other scores under the name 'theirs'"):
        write_foreign(
            [dataclasses.replace(found, metrics={"a": Metric(1, 0, 1, "1", "lowest")})], out
        )


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
