"""The command line as a user meets it: help, exit codes, streams, files, interruption."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from pushforward.cli import main
from pushforward.simulators.cells import PerturbedPopulations

pytestmark = pytest.mark.usefixtures("unchecked")

TINY = {
    "preset": "smoke",
    "n_draws": 2,
    "hidden": [8],
    "select_every": 5,
    "features": {"n_components": 5},
    "objective": {"batch_size": 16},
    "optimisation": {"steps": 10},
    "simulation": {"n_cells": 30, "n_genes": 30},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder that is not the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pushforward"])


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


def values(folder):
    return {
        path.name: {k: v["value"] for k, v in json.loads(path.read_text())["metrics"].items()}
        for path in sorted(folder.glob("results/*.json"))
    }


def run_process(*words, **options):
    code = "import sys; from pushforward.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_overview_names_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    verbs = ("run", "simulate", "predict", "evaluate", "leaderboard", "demo")
    for verb in (*verbs, "inspect", "doctor", "cite"):
        assert f"\n  {verb} " in text
    assert main([]) == 2
    assert main(["--version"]) == 0


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        (["run", "--help"], "tasks: cells"),
        (["run", "cells", "--help"], "--population-key"),
        (["run", "cells", "--help"], "obs column that names the population"),
        (["run", "atmosphere", "--help"], "--fixer-reference"),
        (["run", "channel", "--help"], "--rollout-steps"),
        (["evaluate", "cells", "--help"], "--predictions"),
        (["evaluate", "turbulence", "--help"], "sample(start), start_time(start)"),
        (["evaluate", "channel", "--help"], "run(start), start_time(start)"),
        (["evaluate", "atmosphere", "--help"], "co2massmix(start, lead, level, lat, lon)"),
        (["predict", "--help"], "tasks: cells"),
        (["predict", "cells", "--help"], "--population-key"),
        (["predict", "turbulence", "--help"], "--steps"),
        (["predict", "channel", "--help"], "--every"),
        (["predict", "atmosphere", "--help"], "--free"),
        (["simulate", "atmosphere", "--help"], "--step-hours"),
        (["simulate", "cells", "--help"], "--simulation.n-populations"),
        (["simulate", "cells", "--kind", "screen", "--help"], "--simulation.n-drugs"),
        (["simulate", "turbulence", "--help"], "--factors"),
        (["leaderboard", "--help"], "--insert"),
        (["demo", "--help"], "--out"),
        (["inspect", "--help"], "h5ad"),
        (["doctor", "--help"], "--json"),
        (["cite", "--help"], "monge_map"),
    ],
)
def test_every_verb_explains_itself(words, shows, capsys):
    assert main(words) == 0
    assert shows in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rum"], "unknown verb 'rum'. Did you mean 'run'?"),
        (["run", "cell"], "unknown task 'cell'. Did you mean 'cells'?"),
        (["run", "cells", "--holdout", "x"], "Did you mean hold-out?"),
        (["run", "cells", "--optimisation.step", "3"], "Did you mean optimisation.steps?"),
        (["run", "cells", "--seed", "x"], "seed"),
        (["run", "cells", "--models", "monge_mop"], "Did you mean 'monge_map'?"),
        (["run", "cells", "--split", "populations"], "Did you mean 'population'?"),
        (["run", "cells", "--preset", "huge"], "preset"),
        (["run", "cells", "--n-seeds", "0"], "n_seeds = 0 must be at least 1"),
        (["run", "cells", "--objective.fit-eps", "-1"], "fit_eps = -1.0 must be positive"),
        (["run", "cells", "--config", "absent.yaml"], "absent.yaml"),
        (["run", "atmosphere", "--models", "gru"], "unknown model 'gru'"),
        (["run", "atmosphere", "--fixer", "squeeze"], "fixer"),
        (["run", "channel", "--models", "unet"], "unknown model 'unet'"),
        (["run", "channel", "--horizons", "0"], "give steps from 1 on"),
        (["run", "atmosphere", "--lead-day", "3"], "Did you mean lead-days?"),
        (["evaluate", "cells"], "predictions"),
        (["evaluate", "turbulence", "--data", "a.nc"], "predictions"),
        (["predict", "cells", "--model", "m", "--data", "d", "--out", "a"], "must end in .h5ad"),
        (["predict", "channel", "--model", "m", "--data", "d", "--out", "a"], "must end in .nc"),
        (["predict", "turbulence", "--step", "3"], "Did you mean steps?"),
        (["cite", "monge"], "Did you mean 'monge_"),
        (["simulate", "atmosphere", "--out", "a.txt"], "must end in .nc"),
        (["simulate", "atmosphere", "--out", "a.nc", "--step-hours", "4"], "whole number of steps"),
        (["simulate", "cells", "--out", "a.txt"], "must end in .h5ad"),
        (["simulate", "cells", "--kind", "scren"], "Did you mean 'screen'"),
        (["simulate", "turbulence", "--out", "a.txt"], "must end in .nc"),
        (["simulate", "turbulence", "--out", "a.nc", "--factors", "3"], "those that do: [1, 2, 4"),
        (["simulate", "turbulence", "--out", "a.nc", "--factor", "3"], "Did you mean factors?"),
        (["leaderboard"], "results"),
    ],
)
def test_misuse_is_exit_code_2_with_a_remedy(words, says, capsys, tmp_path):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"objectve": {"cost": "euclidean"}}, "Did you mean objective"),
        ({"objective": {"cots": "euclidean"}}, "Did you mean objective.cost?"),
        ({"n_seed": 3}, "Did you mean n-seeds?"),
    ],
)
def test_unknown_keys_of_a_config_are_refused(content, says, capsys, tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    assert main(["run", "cells", "--config", "c.yaml"]) == 2
    assert says in capsys.readouterr().err


def test_run_from_simulated_cells_to_report(tiny, capsys, tmp_path):
    assert main(["run", "cells", "--config", tiny, "--out", "o", "--hold-out", "P01"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip().splitlines()[-1] == f"report: {tmp_path / 'o' / 'report.html'}"
    assert "| monge_map |" in captured.out
    assert (tmp_path / "o" / "report.html").read_text().startswith("<!doctype html>")
    resolved = yaml.safe_load((tmp_path / "o" / "config.yaml").read_text())
    assert resolved["hidden"] == [8]
    assert resolved["n_seeds"] == 1  # from the preset
    assert resolved["hold_out"] == ["P01"]  # from the command line
    files = sorted(p.name for p in (tmp_path / "o" / "results").iterdir())
    assert files == [f"{m}-P01-0.json" for m in ("identity", "mean_shift", "monge_map", "pasted")]
    # The saved configuration repeats the run.
    assert main(["run", "cells", "--config", "o/config.yaml", "--out", "p", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["results"]) == 4
    assert values(tmp_path / "o") == values(tmp_path / "p")


def test_options_override_configs_which_override_presets(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("n_seeds: 5\nhidden: [3]\npreset: smoke\n")
    words = ["run", "cells", "--config", "c.yaml", "--hidden", "[4]", "--print-config"]
    assert main(words) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["hidden"] == [4]
    assert printed["n_seeds"] == 5
    assert printed["n_draws"] == 4
    assert printed["optimisation"]["steps"] == 100


def test_another_configurations_folder_is_exit_code_3(tiny, capsys):
    words = ["run", "cells", "--config", tiny, "--out", "o", "--hold-out", "P01", "--quiet"]
    assert main(words) == 0
    assert main([*words, "--hidden", "[9]"]) == 3
    assert "holds results of another configuration (hidden: [8] there, [9] now)" in (
        capsys.readouterr().err
    )
    assert main([*words, "--resume", "never"]) == 3


def spoiled(cells, case):
    """A file that is wrong in one way, and what must be said about it."""
    if case == "nan":
        x = cells.X.toarray()
        x[3, 2] = float("nan")
        cells.X = x
        return "1 values that are NaN or infinite"
    if case == "lone":
        labels = cells.obs["patient_id"].astype(str)
        labels.iloc[0] = "LONE"
        cells.obs["patient_id"] = labels
        return "only 1 cell"
    if case == "duplicates":
        cells.obs_names = [cells.obs_names[0], *cells.obs_names[:-1]]
        return "cell names occur more than once"
    if case == "column":
        cells.obs = cells.obs.rename(columns={"patient_id": "donor"})
        return "Columns present: 'donor', 'condition', 'cell_type'"
    cells.obs["condition"] = cells.obs["condition"].cat.rename_categories({"ctrl": "DMSO"})
    return "Labels present: 'DMSO', 'treated'"


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize("case", ["nan", "lone", "duplicates", "column", "control"])
def test_wrong_data_is_exit_code_3_and_nothing_written(case, capsys, tmp_path):
    cells = PerturbedPopulations(n_cells=10, n_genes=20).simulate(seed=0)
    says = spoiled(cells, case)
    cells.write_h5ad("c.h5ad")
    assert main(["run", "cells", "--data", "c.h5ad", "--out", "o"]) == 3
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["c.h5ad"]


def test_files_that_are_not_cells_are_exit_code_3(capsys, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert main(["run", "cells", "--data", "a.txt"]) == 3
    assert main(["run", "cells", "--data", "absent.h5ad"]) == 3
    assert main(["inspect", "absent.h5ad"]) == 3
    assert main(["inspect", "a.txt"]) == 3
    assert main(["leaderboard", "nowhere"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_divergence_is_exit_code_4(tiny, capsys):
    words = ["run", "cells", "--config", tiny, "--out", "o", "--optimisation.learning-rate", "1e30"]
    assert main(words) == 4
    said = capsys.readouterr().err
    assert "cells out of range" in said
    assert "at step 2. No checkpoint had been written. Lower the learning rate." in said


def test_simulate_evaluate_leaderboard_inspect(tiny, capsys, tmp_path):
    sizes = ["--simulation.n-cells", "30", "--simulation.n-genes", "30"]
    assert main(["simulate", "cells", "--out", "c.h5ad", "--seed", "1", *sizes]) == 0
    assert main(["inspect", "c.h5ad", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])["X holds"] == "counts"
    common = ["--config", tiny, "--data", "c.h5ad", "--quiet"]
    assert main(["run", "cells", *common, "--hold-out", "P00", "--out", "o"]) == 0
    prediction = "o/predictions/monge_map-P00-0.h5ad"
    words = ["--predictions", prediction, "--name", "theirs", "--out", "f"]
    assert main(["evaluate", "cells", *common, *words]) == 0
    assert main(["leaderboard", "o", "f", "--out", "board"]) == 0
    assert "| theirs |" in (tmp_path / "board" / "leaderboard.md").read_text()
    for file in (
        "o/results/identity-P00-0.json",
        "o/models/monge_map-P00-0",
        "o/models/monge_map-P00-0/weights.safetensors",
        "o/training/monge_map-P00-0/final/checkpoint.safetensors",
        prediction,
    ):
        assert main(["inspect", file]) == 0, file


def test_doctor_and_cite(capsys):
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["versions"]["torch"]
    assert main(["cite", "monge_map"]) == 0
    assert "@inproceedings{uscidda2023" in capsys.readouterr().out
    assert main(["cite", "glioblastoma"]) == 0
    both = capsys.readouterr().out
    assert "{zhao2021" in both
    assert "{ahlmann2025" in both


def test_logs_go_to_stderr_without_carriage_returns(tiny):
    process = run_process(
        "run", "cells", "--config", tiny, "--out", "o", "--json", "--n-seeds", "1"
    )
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert set(json.loads(out)) == {"results", "report"}
    assert "splits x" in err
    assert "\r" not in err


def finished_results(folder):
    return len(list(folder.glob("results/*.json")))


STEPS = ("--optimisation.steps", "40", "--quiet")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The numbers of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    whole = folder / "whole"
    assert main(["run", "cells", "--config", str(config), *STEPS, "--out", str(whole)]) == 0
    return values(whole)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_numbers(number, tiny, tmp_path, uninterrupted):
    """kill -9, or a batch system's SIGTERM, in the middle; then the same line again."""
    words = ["run", "cells", "--config", tiny, *STEPS]
    process = run_process(*words, "--out", "cut")
    checkpoints = tmp_path / "cut" / "training"
    while not any(checkpoints.rglob("checkpoint.safetensors")) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.communicate()
    if number == signal.SIGTERM:
        assert process.returncode == 75
    for path in (tmp_path / "cut").rglob("*.json"):
        json.loads(path.read_text())
    assert main(["inspect", str(next(checkpoints.rglob("checkpoint.safetensors")))]) == 0
    assert finished_results(tmp_path / "cut") < 12
    assert main([*words, "--out", "cut"]) == 0
    assert values(tmp_path / "cut") == uninterrupted
