"""The channel task end to end, tiny; its rows, references and report."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pushforward.benchmarks.leaderboard import make_boards, to_markdown
from pushforward.benchmarks.page import make_page
from pushforward.benchmarks.result import Result, read_results
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.channel import task as channel
from pushforward.benchmarks.tasks.channel.config import CHANNEL_PRESETS, SIZES, ChannelConfig
from pushforward.benchmarks.tasks.channel.data import channel_problem
from pushforward.benchmarks.tasks.channel.les import LargeEddySimulation
from pushforward.benchmarks.tasks.channel.report import speed_lines
from pushforward.benchmarks.tasks.channel.rows import load_emulator, new_emulator, plain_rows
from pushforward.benchmarks.tasks.channel.scoring import score_long, score_short
from pushforward.cli import main
from pushforward.datasets import open_channel
from pushforward.datasets.channel import (
    ChannelSimulation,
    generate_channel,
    write_channel,
    write_channel_forecasts,
)
from pushforward.simulators.channel import ChannelFlow, CoarseView, perturbed, stretched_points
from pushforward.simulators.errors import DataError, InterruptedRun
from pushforward.surrogates.channel import ChannelGrid, StepObjective

pytestmark = pytest.mark.usefixtures("unchecked")

SIMULATION = ChannelSimulation(
    points=[8, 17, 8], runs=3, dt=0.1, stride=2, spin_up=0.0, settle=0.0, time=1.4, kept=[8, 9, 8]
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate_channel(SIMULATION, tmp_path_factory.mktemp("data") / "channel.nc")


@pytest.fixture(scope="module")
def tiny(data):
    return dataclasses.replace(
        CHANNEL_PRESETS["smoke"](),
        data=str(data),
        unroll_steps=[2, 2],
        horizons=[1, 3],
        rollout_steps=10,
        les_frames=4,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny):
    """A whole tiny run."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "out", preset="smoke")
    return folder, channel.run(tiny, folder, device="cpu")


def test_run_writes_every_part(finished, tiny):
    folder, paths = finished
    names = [*tiny.models, "persistence", "convected_persistence", "run_mean", "les_wale"]
    assert {p.name for p in paths} == {f"{name}-test-0.json" for name in names}
    learned = Result.read(folder.results / "ifactformer-test-0.json")
    assert learned.learned
    assert learned.cost["train_steps"] == 4
    assert {"error_1", "error_3", "bounded_steps", "seconds_per_turnover"} <= set(learned.metrics)
    assert learned.metrics["wall_slip"].value < 1e-10
    assert learned.metrics["divergence"].value < 1e-9
    assert set(learned.sample["attention"]["kernels"]) == {"x", "y", "z"}
    assert learned.reference["half of the runs"]["error_U"] > 0
    assert learned.reference["dns"]["seconds_per_turnover"] > 0
    assert not Result.read(folder.results / "les_wale-test-0.json").learned
    (board,) = make_boards(read_results([folder.path]))
    assert any("times as quick as les_wale" in line for line in speed_lines(board))
    text = to_markdown([board])
    assert "| (half of the runs) |" in text
    assert "| convected_persistence |" in text
    page = make_page(read_results([folder.path]), title="t")
    assert page.count("<svg") == 7


def test_what_a_model_predicts_from_files_scores_as_in_the_run(finished, tiny, data, tmp_path):
    """predict and evaluate on the run's own data give the run's own row."""
    folder, _ = finished
    short, long, out = (str(tmp_path / name) for name in ("short.nc", "long.nc", "o"))
    words = ["--model", str(folder.models / "fno-0"), "--data", str(data), "--runs", "2"]
    assert main(["predict", "channel", *words, "--every", "3", "--steps", "3", "--out", short]) == 0
    assert main(["predict", "channel", *words, "--steps", "10", "--out", long, "--quiet"]) == 0
    mine = ["--predictions", short, long, "--name", "theirs", "--out", out, "--quiet"]
    config = ["--config", str(folder.config_file), "--data", str(data)]
    assert main(["evaluate", "channel", *config, *mine]) == 0
    (found,) = read_results([out])
    run = {r.model: r for r in read_results([folder.path])}
    own = dict(run["fno"].metrics)
    del own["seconds_per_turnover"]
    assert set(found.metrics) == set(own)
    assert "bounded_steps" in own
    for name, metric in found.metrics.items():
        assert metric.value == pytest.approx(own[name].value, rel=1e-5, abs=1e-12), name
    for row in ("persistence", "convected_persistence", "run_mean"):
        for name, value in found.reference[row].items():
            assert value == pytest.approx(run[row].metrics[name].value), name
    (board,) = make_boards(read_results([folder.path, out]))
    lines = to_markdown([board]).splitlines()
    line = next(line for line in lines if line.startswith("| theirs |"))
    assert line.endswith("| – | – | – |")  # its seconds, parameters and training are not known
    alone = dataclasses.replace(found, metrics={"error_1": found.metrics["error_1"]})
    assert "| theirs |" in to_markdown(make_boards([alone]))


@pytest.mark.parametrize(
    ("verb", "change", "says"),
    [
        ("predict", {"--model": "{run}"}, "models/fno-0, "),
        ("predict", {"--data": "{other}"}, "was trained on (8, 9, 8) points"),
        ("predict", {"--out": "{there}"}, "exists. Choose another --out"),
        ("predict", {"--runs": "3"}, "--runs [3]"),
        ("predict", {"--start": "8"}, "--start 8"),
        ("predict", {"--steps": "9", "--every": "1"}, "too few for 9 steps from frame 0"),
        ("evaluate", {"--name": "fno"}, "the name of a row of our own"),
        ("evaluate", {"--predictions": "{there}"}, "no forecast of run 2 from time 0.6 over 3"),
        ("evaluate", {"--predictions": "{data}"}, "u(run, time, x, y, z); "),
        ("evaluate", {"--data": "{other}"}, "has 8 x 9 x 8 points in x, y, z, the data"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    verb, change, says, finished, data, tmp_path, capsys
):
    folder, _ = finished
    there, other = tmp_path / "there.nc", tmp_path / "other.nc"
    blank = torch.zeros(3, 4, 3, 8, 11, 8)
    about = {"lengths": (3.0, 1.0), "viscosity": 1e-3, "friction_velocity": 0.05}
    write_channel(other, blank, y=stretched_points(11), time_step=0.2, **about)
    write_channel_forecasts(there, blank[:1, :, :, :, :9], open_channel(data), run=[2], start=[0])
    options = {
        "predict": {
            "--model": "{run}/models/fno-0", "--out": str(tmp_path / "new.nc"), "--runs": "0"
        },
        "evaluate": {
            "--config": "{run}/config.yaml", "--predictions": "{there}", "--name": "x",
            "--out": str(tmp_path / "new"),
        },
    }[verb] | {"--data": "{data}"}  # fmt: skip
    names = {"run": folder.path, "data": data, "there": there, "other": other}
    words = [w.format(**names) for pair in (options | change).items() for w in pair]
    assert main([verb, "channel", *words]) == 3
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("new*"))


def test_a_second_run_only_looks_and_a_stopped_one_resumes(finished, tiny, tmp_path, signal_at):
    folder, paths = finished
    before = {p: p.stat().st_mtime_ns for p in paths}
    channel.run(tiny, folder, device="cpu")
    assert before == {p: p.stat().st_mtime_ns for p in paths}
    again = RunFolder(tmp_path / "out", preset="smoke")
    with signal_at(StepObjective, 6), pytest.raises(InterruptedRun):
        channel.run(tiny, again, device="cpu")
    assert not again.results.exists()
    channel.run(tiny, again, device="cpu")
    for path in paths:
        content = [json.loads((f.results / path.name).read_text()) for f in (folder, again)]
        assert content[0]["sample"] == content[1]["sample"]


def test_rows_that_learn_nothing(tiny):
    problem = channel_problem(tiny, open_channel(tiny.data))
    windows = problem.windows(1, 3)
    assert len(windows.start) == 5  # starts 0 to 4 of 8 frames
    assert torch.equal(windows.truth[2, 0], problem.judged[0, 3])
    rows = {row.name: row for row in plain_rows(tiny, problem)}
    held = rows["persistence"].forecast(windows.start, 3)
    assert torch.equal(held[:, 2], windows.start)
    scores = score_short(problem, windows, windows.truth, [1, 3])
    assert scores.metrics["error_3"].value == 0
    assert scores.metrics["correlation_time"].value == pytest.approx(3 * problem.frame_spacing)
    mean = score_short(problem, windows, rows["run_mean"].forecast(windows.start, 3), [1])
    assert 0.5 < mean.metrics["error_1"].value < 1.1  # one, but for the run's own mean
    long = score_long(problem, problem.judged[0])
    assert long.metrics["bounded_steps"].value == 8
    blown = problem.judged[0].clone()
    blown[5] *= 10
    lost = score_long(problem, blown)
    assert lost.metrics["bounded_steps"].value == 5
    assert lost.profiles is None
    assert "error_U" not in lost.metrics


def test_large_eddy_simulation_on_the_data_s_own_resolution_follows_the_data(tmp_path):
    """With as many points as the simulation behind the data and no model it is that simulation."""
    simulation = dataclasses.replace(
        SIMULATION, points=[8, 25, 8], kept=[8, 25, 8], spacing="chebyshev", time=0.6
    )
    path = generate_channel(simulation, tmp_path / "fine.nc")
    config = dataclasses.replace(
        CHANNEL_PRESETS["smoke"](), data=str(path), validation_runs=0, horizons=[1]
    )
    problem = channel_problem(config, open_channel(path))
    start, truth = problem.judged[:, 0], problem.judged[:, 1:]
    found = LargeEddySimulation(problem, "no_model").forecast(start, truth.shape[1])
    size = (truth[0, -1] - start[0]).abs().max()
    assert (found - truth).abs().max() < 0.02 * size  # their time steps differ
    with pytest.raises(DataError, match="unknown sub-grid model 'smagorinsky'"):
        LargeEddySimulation(problem, "smagorinsky")


def test_stretched_and_chebyshev_points_meet():
    """A start on the published points, brought to the solver's, is the solver's own state."""
    flow = ChannelFlow((8, 33, 8), lengths=(3.0, 1.0), viscosity=1 / 4200, dt=0.05)
    state = flow.advance(perturbed(flow, seed=0), 5)
    grid = ChannelGrid.published()
    seen = CoarseView(flow, (8, 8), torch.tensor(grid.y, dtype=torch.float64))(state)
    exact = flow.velocity(state)
    problem = type("Problem", (), {"grid": ChannelGrid((8, 33, 8), (3.0, 1.0), grid.y)})()
    found = LargeEddySimulation(problem, "no_model")
    from pushforward.benchmarks.tasks.channel.les import along_y

    velocity = found.projection(along_y(found.to_solver, seen))
    assert (velocity - exact).abs().max() < 0.02 * (exact[1:]).abs().max()
    back = along_y(found.to_data, exact)
    torch.testing.assert_close(back, seen, atol=1e-10, rtol=0)


def test_sizes_have_equal_parameters():
    grid = ChannelGrid.chebyshev((16, 33, 16), (3.0, 1.0))
    for size in ("small",):
        config = ChannelConfig(size=size)
        counts = [new_emulator(config, name, 0, grid=grid).n_parameters for name in SIZES[size]]
        assert max(counts) / min(counts) < 1.05, counts


def test_runs_and_models_that_do_not_fit_are_refused(finished, tiny):
    problem = channel_problem(tiny, open_channel(tiny.data))
    with pytest.raises(DataError, match="too short for forecasts of 9 steps"):
        problem.windows(1, 9)
    folder, _ = finished
    other = ChannelGrid.chebyshev((16, 9, 8), (3.0, 1.0))
    with pytest.raises(DataError, match="was trained on"):
        load_emulator(folder.models / "fno-0", other)
    assert np.isfinite(problem.energy)
