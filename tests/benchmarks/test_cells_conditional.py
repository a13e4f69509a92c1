"""The conditional map as a row of `run cells`: splits by drug and dose, tables, refusals."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.cells import task
from pushforward.benchmarks.tasks.cells.conditions import chunks_of
from pushforward.benchmarks.tasks.cells.config import CELLS_PRESETS, CellsConfig, FeatureOptions
from pushforward.cli import main
from pushforward.datasets import open_cells
from pushforward.simulators.cells import DrugScreen
from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import ConditionalRecipe, Dose, Label, MongeOptions, Number
from pushforward.surrogates.training import Optimisation

RECIPE = ConditionalRecipe(
    hidden=(8,),
    objective=MongeOptions(batch_size=16, populations_per_step=2),
    optimisation=Optimisation(steps=3),
)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    path = tmp_path_factory.mktemp("screen") / "s.h5ad"
    cells = DrugScreen(
        n_drugs=3, doses=(1.0, 10.0), n_lines=2, n_cells=12, n_control=20, n_genes=20
    ).simulate(seed=0)
    cells.write_h5ad(path)
    return path


def configuration(path, **changes):
    options = {
        "data": [str(path)],
        "population_key": "cell_type",
        "control": "control",
        "drug_key": "drug",
        "dose_key": "dose",
        "models": ["conditional_map"],
        "split": "drug",
        "treatment": "drug_01-10",
        "n_seeds": 1,
        "n_draws": 2,
        "features": FeatureOptions(n_components=4),
        "conditional": RECIPE,
    }
    return CellsConfig(**{**options, **changes})


def test_splits_by_drug_and_by_dose_leave_out_all_that_is_alike(screen):
    config = configuration(screen)
    data = task.open_data(config)
    labels = data.adata.obs

    def training(split):
        (found,) = task.plan(configuration(screen, split=split), data)
        assert set(labels["condition"].iloc[found.test_treated]) == {"drug_01-10"}
        cells = labels.iloc[found.training_rows]
        return cells[cells["condition"] != "control"]

    assert set(training("drug")["drug"]) == {"drug_00", "drug_02"}
    assert set(training("dose")["dose"]) == {1.0}
    assert set(training("condition")["condition"]) == {
        f"drug_0{i}-{a}" for i in range(3) for a in (1, 10)
    } - {"drug_01-10"}


def test_the_dose_curve_is_hills_or_free_as_configured():
    known = [{"drug": "a", "dose": 1.0}, {"drug": "a", "dose": 10.0}]
    assert CELLS_PRESETS["small"]().dose_curve == "hill"
    assert CELLS_PRESETS["paper"]().dose_curve == "free"
    for curve, kind in (("hill", Dose), ("free", Number)):
        drug, dose = chunks_of(known, {"drug": "a", "dose": 3.0}, None, "a-3", curve)
        assert (type(drug), type(dose)) == (Label, kind)
        assert dose.encode(known[0]).item() == pytest.approx(-1.0)


def test_an_unseen_drug_is_predicted_and_scored_from_its_descriptors(screen, tmp_path, unchecked):
    paths = task.run(
        configuration(screen), RunFolder(tmp_path / "out", preset="smoke"), device="cpu"
    )
    (path,) = [p for p in paths if "conditional_map" in p.name]
    result = json.loads(path.read_text())
    assert result["split_kind"] == "drug"
    assert {"identity", "mean_shift", "floor"} <= set(result["reference"])
    assert np.isfinite(result["metrics"]["w2"]["value"])


def test_held_out_cells_do_not_reach_the_conditional_map(screen, tmp_path, unchecked):
    """Poisoned cells of every dose of the drug asked for leave the prediction bit-identical."""
    config = configuration(screen)
    clean = task.open_data(config)
    poisoned = clean.adata.copy()
    x = poisoned.X.toarray()
    x[(poisoned.obs["drug"] == "drug_01").to_numpy()] = 7
    poisoned.X = x
    moved = []
    for data in (clean, open_cells(poisoned, population_key="cell_type", control="control")):
        (split,) = task.plan(config, data)
        question = task.pose(data, split, config)
        from lightning_fabric import Fabric

        from pushforward.benchmarks.tasks.cells.models import MODELS, FitContext

        fabric = Fabric(accelerator="cpu")
        context = FitContext(seed=0, folder=tmp_path / str(len(moved)), fabric=fabric, label="leak")
        fitted = MODELS["conditional_map"](question.training(fabric.device), config, context)
        moved.append(fitted.predict(question.control).detach().numpy())
    np.testing.assert_array_equal(*moved)


def test_wrong_requests_are_refused_before_anything_is_written(screen, tmp_path, unchecked):
    def refused(message, **changes):
        out = tmp_path / "out"
        with pytest.raises(DataError, match=message):
            task.run(configuration(screen, **changes), RunFolder(out, preset="smoke"), device="cpu")
        assert not out.exists() or not any(out.rglob("*.*"))

    refused(
        "'drug_01-10' was not seen by the encoder", drug_key=None, dose_key=None, split="condition"
    )
    refused("split = 'dose' needs dose_key", dose_key=None, split="dose")
    refused("no obs column 'compound'", drug_key="compound")
    refused("have several values in obs column 'cell_type'", drug_key="cell_type")
    refused("which is no number", dose_key="condition")
    refused("no such file: .*absent.csv", descriptors=str(tmp_path / "absent.csv"))
    table = pd.DataFrame({"weight": [1.0, 2.0]}, index=["drug_00", "drug_02"])
    table.to_csv(tmp_path / "short.csv")
    refused("drug 'drug_01' is not in the table", descriptors=str(tmp_path / "short.csv"))
    table.loc["drug_01"] = np.nan
    table.to_csv(tmp_path / "nan.csv")
    refused("descriptors of 'drug_01' are NaN", descriptors=str(tmp_path / "nan.csv"))


def test_dose_zero_has_no_logarithm_and_is_named(screen, tmp_path):
    cells = open_cells(screen, population_key="cell_type", control="control").adata
    cells.obs["dose"] = np.where(cells.obs["condition"] == "drug_00-1", 0.0, cells.obs["dose"])
    cells.write_h5ad(tmp_path / "zero.h5ad")
    config = configuration(tmp_path / "zero.h5ad")
    with pytest.raises(DataError, match="dose = 0 has no logarithm"):
        task.plan(config, task.open_data(config))


def spoil(cells, case, folder):
    """Options of the command line beside the data, and what must be said."""
    by_dose = ["--split", "dose", "--treatment", "drug_01-10"]
    by_drug = ["--split", "drug", "--treatment", "drug_01-10"]
    if case == "dose 0":
        cells.obs["dose"] = np.where(cells.obs["condition"] == "drug_00-1", 0.0, cells.obs["dose"])
        return by_dose, "dose = 0 has no logarithm"
    if case == "unseen drug":
        del cells.uns["descriptors"]
        return by_drug, "drug = 'drug_01' was not seen by the encoder"
    if case == "NaN descriptor":
        cells.uns["descriptors"].iloc[1, 0] = np.nan
        return by_drug, "descriptors of 'drug_01' are NaN or infinite: ['property_0']"
    if case == "missing drug":
        pd.DataFrame({"w": [1.0, 2.0]}, index=["drug_00", "drug_02"]).to_csv(folder / "t.csv")
        return [*by_drug, "--descriptors", "t.csv"], "drug 'drug_01' is not in the table"
    if case == "code -1":
        cells.obs["condition"] = cells.obs["condition"].astype(object)
        cells.obs.loc[cells.obs_names[:2], "condition"] = np.nan
        cells.obs["condition"] = cells.obs["condition"].astype("category")
        return by_drug, "2 of 184 cells have no label in obs column 'condition'"
    if case == "duplicate genes":
        cells.var_names = ["gene_0000", *cells.var_names[:-1]]
        return by_drug, "1 gene names occur more than once ('gene_0000')"
    cells.obs["dose"] = np.where(cells.obs["condition"] == "control", 0.0, 10.0)
    return by_dose, "leaves nothing to learn from"  # every treatment has the dose asked for


CASES = ("dose 0", "unseen drug", "NaN descriptor", "missing drug", "code -1", "duplicate genes")


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize("case", [*CASES, "nothing left"])
def test_wrong_screens_are_exit_code_3_and_nothing_is_written(
    case, screen, tmp_path, monkeypatch, capsys, unchecked
):
    monkeypatch.chdir(tmp_path)
    cells = anndata.read_h5ad(screen)
    options, says = spoil(cells, case, tmp_path)
    cells.write_h5ad("s.h5ad")
    before = {p.name for p in tmp_path.iterdir()}
    keys = ["--population-key", "cell_type", "--control", "control"]
    keys += ["--drug-key", "drug", "--dose-key", "dose", "--models", "conditional_map"]
    assert main(["run", "cells", "--data", "s.h5ad", "--out", "o", *keys, *options]) == 3
    assert says in " ".join(capsys.readouterr().err.split())
    assert {p.name for p in tmp_path.iterdir()} == before
