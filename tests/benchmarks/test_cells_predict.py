"""Trained models of cells applied to files, and what does not fit refused."""

import dataclasses
import shutil

import anndata
import numpy as np
import pytest

from pushforward.benchmarks.result import Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.cells import task as cells
from pushforward.benchmarks.tasks.cells.config import CELLS_PRESETS, FeatureOptions
from pushforward.cli import main
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.surrogates.cells import (
    ChoiceOptions,
    ConditionalRecipe,
    FlowNetworkOptions,
    FlowOptions,
    MongeOptions,
)
from pushforward.surrogates.training import Optimisation

pytestmark = pytest.mark.usefixtures("unchecked")

MODELS = ["monge_map", "population_map", "mfm", "conditional_map"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run of one split, with every kind of model, and the file it learned from."""
    home = tmp_path_factory.mktemp("run")
    data = home / "cells.h5ad"
    PerturbedPopulations(n_populations=3, n_cells=24, n_genes=20).simulate(seed=0).write_h5ad(data)
    config = dataclasses.replace(
        CELLS_PRESETS["smoke"](),
        data=[str(data)],
        models=MODELS,
        hold_out=["P01"],
        hidden=[8],
        select_every=0,
        n_draws=2,
        features=FeatureOptions(n_components=4, n_genes=16),
        objective=MongeOptions(batch_size=8),
        optimisation=Optimisation(steps=3),
        population_optimisation=Optimisation(steps=2),
        flow_network=FlowNetworkOptions(
            width=8, layers=1, embedding_width=4, neighbours=3, ode_steps=2, n_time=2, fourier=2
        ),
        flow=FlowOptions(batch_size=8),
        flow_optimisation=Optimisation(steps=2),
        calibration=ChoiceOptions(calibrate=False),
        conditional=dataclasses.replace(
            ConditionalRecipe(), hidden=(8,), optimisation=Optimisation(steps=3)
        ),
    )
    folder = RunFolder(home / "out", preset="smoke")
    cells.run(config, folder, device="cpu")
    return folder, data


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_predicts_from_a_file_is_what_the_run_predicted(model, finished, tmp_path):
    """Also where the file holds control cells alone, more genes in another order, other names."""
    folder, data = finished
    given = anndata.read_h5ad(data)
    given = given[(given.obs["condition"] == "ctrl").to_numpy()].copy()
    given = given[:, list(given.var_names[::-1])].copy()
    given.obs = given.obs.rename(columns={"patient_id": "donor"})
    given.obs["condition"] = given.obs["condition"].cat.rename_categories({"ctrl": "DMSO"})
    given.write_h5ad(tmp_path / "given.h5ad")
    out = tmp_path / "out.h5ad"
    words = ["--model", str(folder.models / f"{model}-P01-0"), "--out", str(out), "--quiet"]
    words += ["--data", str(tmp_path / "given.h5ad"), "--population-key", "donor"]
    words += ["--control", "DMSO", "--populations", "P01", "P02"]
    assert main(["predict", "cells", *words]) == 0
    found = anndata.read_h5ad(out)
    run = anndata.read_h5ad(folder.predictions / f"{model}-P01-0.h5ad")
    assert set(found.obs["condition"]) == {"treated"}
    assert set(found.obs["source_condition"]) == {"DMSO"}
    assert "config_hash" in found.uns["provenance"]
    held_out = found[found.obs["donor"] == "P01"]
    assert list(held_out.obs_names) == list(run.obs_names)
    for name in ("X", "features"):
        mine, own = (a.X if name == "X" else a.obsm["X_features"] for a in (held_out, run))
        np.testing.assert_allclose(mine, own, atol=1e-5)
    assert found.n_obs == 48


def test_predicted_cells_score_as_in_the_run(finished, tmp_path):
    folder, data = finished
    out = str(tmp_path / "mfm.h5ad")
    words = ["--model", str(folder.models / "mfm-P01-0"), "--data", str(data), "--out", out]
    assert main(["predict", "cells", *words, "--populations", "P01", "--quiet"]) == 0
    mine = ["--predictions", out, "--name", "theirs", "--out", str(tmp_path / "o"), "--quiet"]
    assert main(["evaluate", "cells", "--config", str(folder.config_file), *mine]) == 0
    found = Result.read(tmp_path / "o" / "results" / "theirs-P01-0.json")
    own = Result.read(folder.results / "mfm-P01-0.json")
    for name, metric in own.metrics.items():
        assert found.metrics[name].value == pytest.approx(metric.value, rel=1e-4, abs=1e-5), name


@pytest.fixture(scope="module")
def unfit(finished, tmp_path_factory):
    """Models and files that are wrong in one way each, by name."""
    folder, data = finished
    home, model = tmp_path_factory.mktemp("unfit"), folder.models / "monge_map-P01-0"
    names = {name: home / name for name in ("old", "broken", "fewer", "scaled")}
    shutil.copytree(model, names["old"])
    (names["old"] / "application.json").unlink()
    shutil.copytree(model, names["broken"])
    (names["broken"] / "features.safetensors").write_bytes(b"x" * 99)
    given = anndata.read_h5ad(data)
    given[:, :4].copy().write_h5ad(names["fewer"])
    given.X = given.X.toarray() - 1.5
    given.write_h5ad(names["scaled"])
    return {"run": folder.path, "model": model, "data": data, **names}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--model": "{run}"}, "models/conditional_map-P01-0, "),
        ({"--model": "{old}"}, "without application.json and features.safetensors"),
        ({"--model": "{broken}"}, "features.safetensors are damaged"),
        ({"--data": "{fewer}"}, "of the 16 genes that the features use"),
        ({"--data": "{scaled}"}, "holds scaled values; the model was trained on counts"),
        ({"--populations": "P9"}, "no population 'P9' in"),
        ({"--control": "DMSO"}, "no cell is labelled 'DMSO' (control)"),
        ({"--population-key": "donor"}, "no obs column 'donor'"),
        ({"--out": "{data}"}, "exists. Choose another --out"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(change, says, unfit, tmp_path, capsys):
    options = {"--model": "{model}", "--data": "{data}", "--out": str(tmp_path / "new.h5ad")}
    words = [w.format(**unfit) for pair in (options | change).items() for w in pair]
    assert main(["predict", "cells", *words]) == 3
    assert says in capsys.readouterr().err
    assert not (tmp_path / "new.h5ad").exists()
