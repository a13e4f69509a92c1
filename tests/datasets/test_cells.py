import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pushforward.datasets import CellFeatures, open_cells
from pushforward.datasets.cells import hold_out_cells, hold_out_condition, hold_out_population
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.simulators.errors import DataError


def small(n_populations=3, n_cells=30, **options) -> anndata.AnnData:
    return PerturbedPopulations(
        n_populations=n_populations, n_cells=n_cells, n_genes=40, **options
    ).simulate(seed=0)


@pytest.fixture
def data():
    return open_cells(small())


def test_counts_are_normalised_and_logged(data):
    counts = data.adata.X.toarray()
    expected = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    rows = np.array([5, 3, 3, 100])
    np.testing.assert_allclose(data.expression(rows), expected[rows], rtol=1e-6)
    some = np.array([7, 2])
    np.testing.assert_allclose(
        data.expression(rows, genes=some), expected[rows][:, some], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "measure"),
    [
        (lambda x: x, "counts"),
        (np.log1p, "log-normalised"),
        (lambda x: 1.5 * x + 60.0, "normalised"),
        (lambda x: x - x.mean() - 0.1, "scaled"),
    ],
)
def test_what_x_holds_is_found(change, measure):
    cells = small()
    x = change(cells.X.toarray())
    data = open_cells(anndata.AnnData(x, obs=cells.obs, var=cells.var))
    assert data.measure == measure
    if measure != "counts":
        np.testing.assert_allclose(data.expression(np.arange(4)), x[:4], rtol=1e-6)


@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_backed_equals_memory(tmp_path, layout):
    cells = small()
    cells.X = layout(cells.X.toarray())
    cells.write_h5ad(tmp_path / "c.h5ad")
    memory = open_cells(tmp_path / "c.h5ad", backed=False)
    disk = open_cells(tmp_path / "c.h5ad", backed=True)
    assert disk.adata.isbacked
    rows = np.array([60, 2, 2, 179, 0])
    np.testing.assert_array_equal(disk.expression(rows), memory.expression(rows))
    assert disk.fingerprint() == memory.fingerprint()
    features = [CellFeatures.fit(d, memory.rows("P00"), n_components=4) for d in (disk, memory)]
    np.testing.assert_allclose(features[0].components, features[1].components, atol=1e-10)


def test_several_files_are_joined_with_genes_in_the_first_ones_order(tmp_path):
    cells = small()
    cells[:90].write_h5ad(tmp_path / "a.h5ad")
    cells[90:, ::-1].write_h5ad(tmp_path / "b.h5ad")
    joined = open_cells([tmp_path / "a.h5ad", tmp_path / "b.h5ad"])
    np.testing.assert_array_equal(
        joined.expression(np.arange(180)), open_cells(cells).expression(np.arange(180))
    )


def wrong_files(folder):
    """Name -> (path or AnnData, options, what the message must say)."""
    cells = small()

    def changed(**changes):
        other = cells.copy()
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    text = folder / "text.h5ad"
    text.write_text("not hdf5")
    with h5py.File(folder / "other.h5ad", "w") as file:
        file["something"] = np.arange(3)
    bad = cells.X.toarray()
    bad[7, 3] = np.nan
    bad[8, 4] = np.inf
    lone = cells.obs["patient_id"].astype(str).copy()
    lone.iloc[0] = "LONE"
    unlabelled = cells.obs.copy()
    unlabelled.loc[unlabelled.index[:2], "condition"] = np.nan
    names = list(cells.obs_names)
    names[1] = names[0]
    genes = pd.DataFrame(index=["gene_0000", *cells.var_names[:-1]])
    cells.write_h5ad(folder / "a.h5ad")
    renamed = cells.copy()
    renamed.var_names = [*cells.var_names[:-1], "another"]
    renamed.obs_names = [f"x{name}" for name in cells.obs_names]
    renamed.write_h5ad(folder / "b.h5ad")
    return {
        "absent": (folder / "absent.h5ad", {}, "no such file: .*absent.h5ad"),
        "text": (text, {}, "not an HDF5 file"),
        "folder": (folder, {}, "not an HDF5 file"),
        "other layout": (folder / "other.h5ad", {}, "cannot be read as AnnData|X is empty"),
        "no column": (
            cells,
            {"population_key": "donor"},
            "no obs column 'donor'.*'patient_id', 'condition', 'cell_type'",
        ),
        "unknown control": (
            cells,
            {"control": "DMSO"},
            "labelled 'DMSO'.*Labels present: 'ctrl', 'treated'",
        ),
        "one cell": (
            changed(obs=cells.obs.assign(patient_id=lone)),
            {},
            "'LONE' has only 1 cell in condition 'ctrl'",
        ),
        "nan": (
            changed(X=bad),
            {},
            "2 values that are NaN or infinite.*'cell_000007', gene 'gene_0003'",
        ),
        "unlabelled": (changed(obs=unlabelled), {}, "2 of 180 cells have no label"),
        "only controls": (cells[cells.obs["condition"] == "ctrl"].copy(), {}, "no treated cell"),
        "duplicate cells": (changed(obs_names=names), {}, "1 cell names occur more than once"),
        "duplicate genes": (
            anndata.AnnData(cells.X, obs=cells.obs, var=genes),
            {},
            "1 gene names occur more than once .'gene_0000'.",
        ),
        "genes differ": (
            [folder / "a.h5ad", folder / "b.h5ad"],
            {},
            "lacks 1 genes of .* has 1 others .'another'.",
        ),
    }


CASES = (
    "absent",
    "text",
    "folder",
    "other layout",
    "no column",
    "unknown control",
    "one cell",
    "nan",
    "unlabelled",
    "only controls",
    "duplicate cells",
    "duplicate genes",
    "genes differ",
)


@pytest.mark.filterwarnings("ignore:.*names are not unique", "ignore:.*without encoding metadata")
@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_named(tmp_path, case):
    path, options, message = wrong_files(tmp_path)[case]
    with pytest.raises(DataError, match=message):
        open_cells(path, **options)


def test_features_are_orthonormal_and_explain_in_order(data):
    features = CellFeatures.fit(data, data.rows(), n_components=6)
    v = features.components
    np.testing.assert_allclose(v.T @ v, np.eye(6), atol=1e-10)
    assert (np.diff(features.explained) <= 1e-12).all()
    z = features.transform(data, data.rows())
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    x = data.expression(data.rows())
    expected = np.linalg.svd(x - x.mean(0), compute_uv=False)[:6] ** 2
    np.testing.assert_allclose((z**2).sum(0), expected, rtol=1e-4)


def test_features_decode_what_they_encode(data):
    features = CellFeatures.fit(data, data.rows(), n_components=40, unit_variance=True)
    x = data.expression(data.rows())
    np.testing.assert_allclose(features.decode(features.encode(x)), x, atol=1e-4)


def test_features_ignore_held_out_cells():
    """Poisoned held-out cells leave the fit bit-identical."""
    cells = small()
    clean = open_cells(cells)
    split = hold_out_population(clean, "P01", "treated")
    poisoned = cells.copy()
    x = poisoned.X.toarray()
    x[split.test_treated] = 1000
    poisoned.X = x
    a, b = (CellFeatures.fit(d, split.training_rows) for d in (clean, open_cells(poisoned)))
    np.testing.assert_array_equal(a.components, b.components)
    np.testing.assert_array_equal(a.mean, b.mean)


def test_most_variable_genes_are_kept(data):
    features = CellFeatures.fit(data, data.rows(), n_genes=7, n_components=3)
    variance = data.expression(data.rows()).var(0)
    assert set(features.columns) == set(np.argsort(-variance)[:7])


def test_features_refuse_other_genes(data):
    features = CellFeatures.fit(data, data.rows(), n_components=3)
    other = open_cells(small()[:, 5:].copy())
    with pytest.raises(DataError, match="lacks 5 of the 40 genes"):
        features.transform(other, other.rows())
    with pytest.raises(DataError, match="n_components = 41; with 40 genes"):
        CellFeatures.fit(data, data.rows(), n_components=41)


def test_population_split_holds_out_exactly_one(data):
    split = hold_out_population(data, "P01", "treated")
    assert set(split.control) == set(split.treated) == {"P00", "P02"}
    everything = np.concatenate([split.training_rows, split.test_control, split.test_treated])
    assert sorted(everything) == list(range(180))
    assert set(data.adata.obs["patient_id"].iloc[split.test_treated]) == {"P01"}
    assert set(data.adata.obs["condition"].iloc[split.test_treated]) == {"treated"}


def test_cell_split_is_disjoint_seeded_and_keeps_groups(data):
    split = hold_out_cells(data, "treated", fraction=0.25, seed=1)
    assert not set(split.training_rows) & set(split.test_treated)
    assert len(split.test_treated) == 3 * round(0.25 * 30)
    again = hold_out_cells(data, "treated", fraction=0.25, seed=1)
    other = hold_out_cells(data, "treated", fraction=0.25, seed=2)
    np.testing.assert_array_equal(split.test_treated, again.test_treated)
    assert (split.test_treated != other.test_treated).any()


def test_condition_split_never_trains_on_the_treatment():
    data = open_cells(small(treatments=("a", "b", "c")))
    split = hold_out_condition(data, "b")
    labels = data.adata.obs["condition"].to_numpy()
    assert "b" not in set(labels[split.training_rows])
    assert set(labels[split.test_treated]) == {"b"}
    assert set(split.control) == {f"P0{i}|{t}" for i in range(3) for t in "ac"}


def test_splits_name_what_is_unknown(data):
    with pytest.raises(DataError, match="no population 'P09'.*'P00', 'P01', 'P02'"):
        hold_out_population(data, "P09", "treated")
    with pytest.raises(DataError, match="no treatment 'drug'.*'treated'"):
        hold_out_population(data, "P00", "drug")
    with pytest.raises(DataError, match="only treatment"):
        hold_out_condition(data, "treated")
    with pytest.raises(DataError, match="fraction = 1"):
        hold_out_cells(data, "treated", fraction=1.0)
    one = open_cells(small(n_populations=1))
    with pytest.raises(DataError, match="leaves nothing to learn from"):
        hold_out_population(one, "P00", "treated")


def test_an_empty_held_out_set_is_refused():
    cells = small(treatments=("a", "b"))
    labels = cells.obs[["patient_id", "condition"]].astype(str)
    untreated = ((labels["patient_id"] == "P01") & (labels["condition"] == "a")).to_numpy()
    data = open_cells(cells[~untreated].copy())
    with pytest.raises(DataError, match="'P01' has 30 control and 0 'a' cells; .*'P00', 'P02'"):
        hold_out_population(data, "P01", "a")
    assert set(hold_out_condition(data, "a").groups) == {f"P0{i}|b" for i in range(3)}
    kept = (labels["condition"] == "b") | (labels["patient_id"] == "P01")
    kept &= (labels["patient_id"] != "P01") | (labels["condition"] != "b")
    # Only P01 has control cells, only the others are treated with b: nothing can be asked.
    apart = open_cells(cells[kept.to_numpy()].copy())
    with pytest.raises(DataError, match="no population has 2 control and 2 treated cells"):
        hold_out_condition(apart, "b")
    with pytest.raises(DataError, match="no population has 2 control and 2 'b' cells"):
        hold_out_cells(apart, "b")


def test_the_real_file_is_log_normalised(glioblastoma):
    data = open_cells(glioblastoma)
    assert data.measure == "log-normalised"
    assert data.populations == ["PW030", "PW032", "PW034", "PW036", "PW040"]
    assert data.treatments == ["panobinostat"]
    assert all(len(data.rows(p, c)) == 500 for p in data.populations for c in data.conditions)
