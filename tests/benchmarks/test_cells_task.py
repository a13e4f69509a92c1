"""The cells task as a whole: scores, references, leakage, resume, foreign predictions."""

import dataclasses
import json

import anndata
import numpy as np
import pytest
import torch

from pushforward.benchmarks.leaderboard import make_boards
from pushforward.benchmarks.result import Result, read_results
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.cells import task as cells
from pushforward.benchmarks.tasks.cells.config import CELLS_PRESETS, FeatureOptions
from pushforward.benchmarks.tasks.cells.scoring import score_populations
from pushforward.datasets import CellFeatures, open_cells
from pushforward.datasets.cells import hold_out_population, open_predictions, write_predictions
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.simulators.errors import DataError, InterruptedRun
from pushforward.surrogates.cells import (
    FlowNetworkOptions,
    FlowOptions,
    MetaFlowMatching,
    MongeMap,
    MongeObjective,
    MongeOptions,
    PopulationMongeMap,
    mean_shift,
)
from pushforward.surrogates.training import Optimisation

pytestmark = pytest.mark.usefixtures("unchecked")

TINY = dataclasses.replace(
    CELLS_PRESETS["smoke"](),
    hidden=[8],
    select_every=5,
    n_draws=2,
    features=FeatureOptions(n_components=5),
    objective=MongeOptions(batch_size=16),
    optimisation=Optimisation(steps=10),
    population_optimisation=Optimisation(steps=3),
    flow_network=FlowNetworkOptions(
        width=8, layers=1, embedding_width=4, neighbours=3, ode_steps=2, n_time=2, fourier=2
    ),
    flow=FlowOptions(batch_size=8),
    flow_optimisation=Optimisation(steps=3),
    simulation=PerturbedPopulations(n_populations=3, n_cells=30, n_genes=30),
)


def cloud(n, seed, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole tiny run."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "out", preset="smoke")
    with pytest.MonkeyPatch.context():
        paths = cells.run(TINY, folder, device="cpu")
    return folder, paths


def metrics(folder):
    """All metrics of a run, without times and dates."""
    return {
        path.name: {k: v["value"] for k, v in json.loads(path.read_text())["metrics"].items()}
        for path in sorted(folder.results.glob("*.json"))
    }


def test_scores_of_the_truth_reach_the_floor_and_doing_nothing_scores_zero():
    control, treated = cloud(300, 0), cloud(300, 1) + 2.0
    scores = score_populations(
        {"identity": control, "truth": cloud(300, 2) + 2.0},
        control,
        treated,
        seed=0,
        n_draws=5,
    )
    assert scores.rows["truth"]["gap_closed_w2"].value == pytest.approx(1.0, abs=0.1)
    assert scores.rows["identity"]["gap_closed_w2"].value == 0.0
    assert scores.rows["identity"]["r2_differences"].value == 0.0
    assert scores.rows["floor"]["gap_closed_mmd"].value == 1.0
    assert scores.rows["oracle_shift"]["gap_closed_w2"].value == pytest.approx(1.0, abs=0.1)
    assert scores.rows["ceiling"]["w2"].value < 1.05 * scores.rows["floor"]["w2"].value
    assert "discrimination" not in scores.rows["truth"]
    assert scores.n_cells == 150


def test_discrimination_tells_the_right_effect_from_those_of_others():
    control, treated = cloud(100, 0), cloud(100, 1) + 2.0
    others = torch.tensor([[2.0, -2.0, 2.0, -2.0], [0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]])
    scores = score_populations(
        {"identity": control, "right": control + 2.0, "others'": control + others[0]},
        control,
        treated,
        seed=0,
        n_draws=3,
        other_effects=others,
    )
    values = {row: scores.rows[row]["discrimination"].value for row in scores.rows}
    assert values["right"] == values["floor"] == 1
    assert values["identity"] < 1
    assert values["others'"] < 1


def test_scores_repeat_and_use_equal_numbers():
    control, treated = cloud(50, 0), cloud(40, 1) + 2.0
    rows = {"identity": control, "few": cloud(11, 2)}
    a, b, other = (
        score_populations(rows, control, treated, seed=s, n_draws=2).rows["few"]["w2"].value
        for s in (0, 0, 1)
    )
    assert a == b != other
    assert score_populations(rows, control, treated, seed=0, n_draws=2).n_cells == 11
    with pytest.raises(DataError, match="halving needs 4 treated cells"):
        score_populations(rows, control, treated[:3], seed=0, n_draws=2)
    with pytest.raises(DataError, match="all coincide"):
        score_populations(rows, control, torch.ones(20, 4), seed=0, n_draws=2)


def test_where_nothing_happens_no_share_is_claimed():
    control = cloud(200, 0)
    scores = score_populations({"identity": control}, control, control, seed=0, n_draws=3)
    assert "gap_closed_w2" not in scores.rows["identity"]


def test_run_writes_every_part(finished):
    folder, paths = finished
    assert len(paths) == 3 * 4
    assert all(p.exists() for p in paths)
    result = Result.read(folder.results / "monge_map-P00-0.json")
    assert {"identity", "mean_shift", "pasted", "floor", "ceiling", "oracle_shift"} == set(
        result.reference
    )
    assert result.cost["parameters"] > 0
    assert result.cost["peak_memory_mb"] > 0
    model = MongeMap.load(folder.models / "monge_map-P00-0")
    predicted = anndata.read_h5ad(folder.predictions / "monge_map-P00-0.h5ad")
    moved = model(torch.zeros(1, 5))
    assert moved.shape == (1, 5)
    assert set(predicted.obs["condition"]) == {"treated"}
    assert set(predicted.obs["source_condition"]) == {"ctrl"}
    assert len(predicted) == 30
    (board,) = make_boards(read_results([folder.path]))
    assert set(board.models) == {"monge_map", "identity", "mean_shift", "pasted"}


def test_a_second_run_only_looks(finished):
    folder, paths = finished
    before = {p: p.stat().st_mtime_ns for p in paths}
    cells.run(TINY, folder, device="cpu")
    assert before == {p: p.stat().st_mtime_ns for p in paths}


def test_a_stopped_run_resumes_to_the_same_numbers(finished, tmp_path, signal_at):
    whole, _ = finished
    folder = RunFolder(tmp_path / "out", preset="smoke")
    with signal_at(MongeObjective, 47), pytest.raises(InterruptedRun) as stop:
        cells.run(TINY, folder, device="cpu")
    assert stop.value.exit_code == 75
    assert 0 < len(metrics(folder)) < 12
    cells.run(TINY, folder, device="cpu")
    assert metrics(folder) == metrics(whole)


LEARNED = {
    "monge_map": MongeMap,
    "population_map": PopulationMongeMap,
    "mfm": MetaFlowMatching,
    "fm": MetaFlowMatching,
    "one_hot": MetaFlowMatching,
}


def test_held_out_cells_cannot_reach_the_training(tmp_path):
    """Poison the held-out treated cells: weights and calibration stay bit-identical, and so does
    what the poisoning could reach through the choice of steps and calibration."""
    clean = TINY.simulation.simulate(seed=0)
    poisoned = clean.copy()
    x = poisoned.X.toarray()
    split = hold_out_population(open_cells(clean), "P01", "treated")
    x[split.test_treated] = np.random.default_rng(0).poisson(500, (30, 30))
    poisoned.X = x
    models = []
    poisoning = {"clean": clean, "poisoned": poisoned}
    for name, data in poisoning.items():
        data.write_h5ad(tmp_path / f"{name}.h5ad")
        config = dataclasses.replace(
            TINY, data=[str(tmp_path / f"{name}.h5ad")], hold_out=["P01"], models=list(LEARNED)
        )
        folder = RunFolder(tmp_path / name, preset="smoke")
        cells.run(config, folder, device="cpu")
        models.append(
            {
                f"{model} {key}": value
                for model, kind in LEARNED.items()
                for key, value in kind.load(folder.models / f"{model}-P01-0").state_dict().items()
            }
        )
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    assert bool(models[0]["mfm calibration.active"])
    results = [Result.read(tmp_path / name / "results" / "mfm-P01-0.json") for name in poisoning]
    assert results[0].metrics["w2"].value != results[1].metrics["w2"].value  # the poison was there
    assert results[0].cost["nfe"] == 4
    assert results[0].cost["parameters"] > 0
    sample = results[0].sample
    assert len(sample["genes"]["names"]) == len(sample["genes"]["predicted"]) == 12
    assert all(len(arrow) == 4 for arrow in sample["arrows"])


def test_own_predictions_score_the_same_from_their_file(finished, tmp_path):
    folder, _ = finished
    again = RunFolder(tmp_path / "foreign", preset="smoke")
    (path,) = cells.evaluate(
        TINY, folder.predictions / "monge_map-P02-0.h5ad", again, model="theirs"
    )
    ours = Result.read(folder.results / "monge_map-P02-0.json")
    theirs = Result.read(path)
    for name, metric in ours.metrics.items():
        assert theirs.metrics[name].value == pytest.approx(metric.value, rel=1e-3, abs=1e-4), name
    assert theirs.reference["floor"] == ours.reference["floor"]
    again_path = cells.evaluate(
        TINY, folder.predictions / "monge_map-P02-0.h5ad", again, model="theirs"
    )
    assert again_path == [path]  # the same scores again are no conflict, other ones are
    worse = anndata.read_h5ad(folder.predictions / "monge_map-P02-0.h5ad")
    worse.X = worse.X + 1.0
    worse.write_h5ad(tmp_path / "worse.h5ad")
    with pytest.raises(DataError, match="holds other scores under the name 'theirs'"):
        cells.evaluate(TINY, tmp_path / "worse.h5ad", again, model="theirs")
    assert Result.read(path).metrics == theirs.metrics
    board = make_boards([*read_results([folder.path]), theirs])
    assert len(board) == 1
    assert "theirs" in board[0].models


def test_foreign_files_are_checked(finished, tmp_path):
    folder, _ = finished
    data = cells.open_data(TINY)
    good = anndata.read_h5ad(folder.predictions / "monge_map-P02-0.h5ad")

    def refused(change, message):
        other = good.copy()
        other = change(other) or other
        other.write_h5ad(tmp_path / "p.h5ad")
        with pytest.raises(DataError, match=message):
            cells.evaluate(
                TINY,
                tmp_path / "p.h5ad",
                RunFolder(tmp_path / "o", preset="smoke"),
                model="theirs",
            )
        assert not (tmp_path / "o").exists()

    def relabel(column, label):
        def change(cells_):
            cells_.obs[column] = label

        return change

    refused(relabel("patient_id", "P09"), "population 'P09' is not in the data")
    refused(relabel("condition", "ctrl"), "'ctrl' is no treatment of the data")
    refused(lambda c: c.obs.drop(columns="condition", inplace=True), "no obs column 'condition'")
    refused(lambda c: c[:, 3:].copy(), "genes differ between files: .* lacks 3 of the 30 genes")
    refused(lambda c: c[:1].copy(), "only 1 predicted cell")
    refused(lambda c: np.copyto(c.X, np.nan), "NaN or infinite")
    with pytest.raises(DataError, match="is the name of a row of our own"):
        cells.evaluate(TINY, "p.h5ad", RunFolder(tmp_path / "o", preset="x"), model="identity")
    with pytest.raises(DataError, match="no such file"):
        open_predictions(tmp_path / "absent.h5ad", data)


def test_predictions_read_back_what_was_written(tmp_path):
    data = cells.open_data(TINY)
    rows = data.rows("P00", "ctrl")
    features = CellFeatures.fit(data, data.rows("P01"), n_components=5)
    z = features.transform(data, rows)
    write_predictions(
        tmp_path / "p.h5ad", data, rows, features, z, treatment="treated", attributes={}
    )
    predictions = open_predictions(tmp_path / "p.h5ad", data)
    assert predictions.groups == [("P00", "treated")]
    np.testing.assert_allclose(
        predictions.encoded("P00", "treated", features), z, rtol=1e-4, atol=1e-4
    )


def test_a_folder_of_another_configuration_is_refused(finished):
    folder, _ = finished
    other = dataclasses.replace(TINY, n_draws=3)
    with pytest.raises(DataError, match=r"another configuration \(n_draws: 2 there, 3 now\)"):
        cells.run(other, folder, device="cpu")
    never = RunFolder(folder.path, preset="smoke", resume="never")
    with pytest.raises(DataError, match="--resume is never"):
        never.check(TINY.plain(), sweep=TINY.SWEEP)
    folder.check(dataclasses.replace(TINY, seed=7).plain(), sweep=TINY.SWEEP)


def test_what_is_held_out_names_the_table(tmp_path):
    """Leave-condition-out results never share a table with leave-population-out ones."""
    simulation = dataclasses.replace(TINY.simulation, treatments=("a", "b"))
    config = dataclasses.replace(TINY, simulation=simulation, split="condition", treatment="a")
    folder = RunFolder(tmp_path / "out", preset="smoke")
    paths = cells.run(config, folder, device="cpu")
    assert {Result.read(p).split_kind for p in paths} == {"condition"}
    population = dataclasses.replace(Result.read(paths[0]), split_kind="population")
    assert len(make_boards([*read_results([folder.path]), population])) == 2
    with pytest.raises(DataError, match="hold_out names populations, but split = 'condition'"):
        cells.plan(dataclasses.replace(config, hold_out=["P00"]), cells.open_data(config))


def test_unknown_populations_are_refused_before_anything_is_written(tmp_path):
    config = dataclasses.replace(TINY, hold_out=["P77"])
    folder = RunFolder(tmp_path / "out", preset="smoke")
    with pytest.raises(DataError, match="no population 'P77'"):
        cells.run(config, folder, device="cpu")
    assert not folder.path.exists()


def test_real_reference_rows_agree_with_the_data_folders_table(glioblastoma, unchecked):
    """Floor, identity and mean shift of the data folder's README, within its sampling noise."""
    table = {  # held out: floor, identity, mean shift (W2, one draw of 250 cells)
        "PW030": (8.87, 17.19, 13.62),
        "PW034": (10.52, 14.96, 13.36),
        "PW036": (9.28, 11.07, 12.06),
    }
    config = dataclasses.replace(CELLS_PRESETS["small"](), data=[str(glioblastoma)])
    data = cells.open_data(config)
    for population, expected in table.items():
        split = hold_out_population(data, population, "panobinostat")
        question = cells.pose(data, split, config)
        scores = score_populations(
            {
                "identity": question.control,
                "mean_shift": mean_shift(question.control, question.populations),
            },
            question.control,
            question.treated,
            seed=0,
            n_draws=4,
        )
        for row, value in zip(("floor", "identity", "mean_shift"), expected, strict=True):
            measured = scores.rows[row]["w2"]
            spread = measured.std_error * measured.n**0.5  # of a single draw
            assert abs(measured.value - value) < max(4 * spread, 0.3), (population, row, measured)
