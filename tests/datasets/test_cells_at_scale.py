"""Cells on disk: layouts, shuffled batches, workers, old files, predictions in blocks."""

import copy

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from pushforward.datasets import CellFeatures, open_cells
from pushforward.datasets.cells import (
    CellBatches,
    open_predictions,
    storage,
    write_csr,
    write_predictions,
)
from pushforward.datasets.cells.storage import RowStore
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.simulators.errors import DataError

LAYOUTS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}


@pytest.fixture(scope="module")
def cells():
    made = PerturbedPopulations(n_populations=2, n_cells=60, n_genes=30).simulate(seed=0)
    # Mixed as real files are, so that the cells of a group are scattered over the file.
    return made[np.random.default_rng(0).permutation(len(made))].copy()


@pytest.fixture(params=LAYOUTS)
def on_disk(request, cells, tmp_path):
    other = cells.copy()
    other.X = LAYOUTS[request.param](cells.X.toarray())
    other.write_h5ad(tmp_path / "c.h5ad", compression="gzip")
    return open_cells(tmp_path / "c.h5ad", backed=True)


def test_rows_and_blocks_of_every_layout_are_those_in_memory(on_disk, cells, monkeypatch):
    monkeypatch.setattr(storage, "BLOCK_BYTES", 2000)
    store, x = on_disk.store, cells.X.toarray()
    assert store.backed

    def dense(found):
        return found.toarray() if sparse.issparse(found) else found

    rows = np.array([0, 1, 2, 7, 100, 239])
    np.testing.assert_array_equal(dense(store.take(rows)), x[rows])
    np.testing.assert_array_equal(dense(store.take(rows[:0])), x[:0])
    np.testing.assert_array_equal(
        dense(store.read([(3, 9), (9, 9), (20, 21)])), x[[*range(3, 9), 20]]
    )
    again, count = np.zeros_like(x), 0
    for i, j, block in store.value_blocks():
        again[i : i + block.shape[0], j : j + block.shape[1]] = dense(block)
        count += 1
    np.testing.assert_array_equal(again, x)
    assert count > 3


@pytest.mark.parametrize("dense", [True, False])
def test_an_epoch_holds_every_cell_once_and_batches_of_one_group(on_disk, cells, dense):
    batches = CellBatches(
        on_disk, batch_size=7, block_rows=8, buffer_bytes=4000, dense=dense, seed=3
    )
    expected = open_cells(cells).expression(np.arange(len(cells)))
    seen = []
    for batch in batches:
        labels = cells.obs.iloc[batch.rows]
        names = {f"{p}|{c}" for p, c in zip(labels["patient_id"], labels["condition"], strict=True)}
        assert names == {batch.group}
        x = batch.x.numpy() if dense else batch.x.toarray()
        np.testing.assert_array_equal(x, expected[batch.rows])
        seen.append(batch.rows)
    assert sorted(np.concatenate(seen)) == list(range(len(cells)))
    assert sum(len(rows) < 7 for rows in seen) <= 4
    # Not the file's order, and not the same in the next epoch.
    assert (np.diff(np.concatenate(seen)) < 0).sum() > 60
    again = np.concatenate([b.rows for b in batches])
    np.testing.assert_array_equal(again, np.concatenate(seen))
    batches.epoch = 1
    assert (np.concatenate([b.rows for b in batches]) != again).any()


def test_workers_share_the_epoch_and_open_the_file_themselves(on_disk):
    batches = CellBatches(on_disk, batch_size=10, block_rows=8, buffer_bytes=8000)
    next(iter(batches))  # a handle of this process, which workers must not use
    seen = [b for b in batches.loader(2)]
    rows = np.concatenate([b.rows for b in seen])
    assert sorted(rows) == list(range(on_disk.adata.n_obs))
    # What travels to a worker holds no handle, wherever workers are not forked.
    assert "AnnData" not in str(batches.__dict__)
    for batch in seen[:3]:
        np.testing.assert_array_equal(batch.x.numpy(), on_disk.expression(batch.rows))


def test_only_wanted_rows_genes_and_full_batches_come(on_disk):
    groups = {"a": np.array([5, 90, 200]), "b": np.arange(40, 60), "again": np.arange(50, 54)}
    genes = np.array([4, 2])
    batches = CellBatches(on_disk, groups, batch_size=4, block_rows=16, genes=genes, drop_last=True)
    seen = {name: [b for b in batches if b.group == name] for name in groups}
    assert {name: len(found) for name, found in seen.items()} == {"a": 0, "b": 5, "again": 1}
    assert set(np.concatenate([b.rows for b in seen["b"]])) == set(range(40, 60))
    (batch,) = seen["again"]
    assert torch.equal(batch.x, torch.from_numpy(on_disk.expression(batch.rows, genes=genes)))


def test_memory_and_disk_give_the_same_batches(on_disk, cells):
    options = dict(batch_size=16, block_rows=16, buffer_bytes=10**9, seed=1)
    for a, b in zip(
        CellBatches(on_disk, **options), CellBatches(open_cells(cells), **options), strict=True
    ):
        assert a.group == b.group
        assert torch.equal(a.x, b.x)


def test_wrong_requests_are_named(cells):
    data = open_cells(cells)
    with pytest.raises(DataError, match="batch_size = 0"):
        CellBatches(data, batch_size=0)
    with pytest.raises(DataError, match="no group of cells"):
        CellBatches(data, {})
    with pytest.raises(DataError, match="1 groups hold no cell .'b'."):
        CellBatches(data, {"a": np.arange(3), "b": np.arange(0)})
    with pytest.raises(DataError, match="rows 0 to 240; the data hold 240 cells"):
        CellBatches(data, {"a": np.arange(241)})
    with pytest.raises(DataError, match="dense=True"):
        CellBatches(data, genes=np.arange(2), dense=False)


def test_columns_become_rows_once(cells, tmp_path, monkeypatch, caplog):
    from pushforward.datasets.cells import conversion

    other = cells.copy()
    other.X = sparse.csc_matrix(cells.X)
    other.write_h5ad(tmp_path / "genes.h5ad")
    open_cells(tmp_path / "genes.h5ad", backed=True)
    assert "write_csr" in caplog.text
    monkeypatch.setattr(conversion, "HELD_VALUES", 500)
    write_csr(tmp_path / "genes.h5ad", tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert again.X.format == "csr"
    np.testing.assert_array_equal(again.X.toarray(), cells.X.toarray())
    pd.testing.assert_frame_equal(again.obs, cells.obs)
    np.testing.assert_array_equal(again.obsm["latent"], cells.obsm["latent"])
    with pytest.raises(DataError, match="is the file to read"):
        write_csr(tmp_path / "genes.h5ad", tmp_path / "genes.h5ad")


def legacy(cells, path):
    """As anndata 0.7 wrote: integer columns that refer to `__categories`, no encoding of X."""
    x = cells.X
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array(x.shape)
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
        for name, frame in (("obs", cells.obs), ("var", cells.var)):
            table = file.create_group(name)
            table.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0"})
            table.attrs["_index"] = "_index"
            table.attrs["column-order"] = np.array(list(frame.columns), dtype=object).astype("S")
            table.create_dataset("_index", data=list(frame.index), dtype=text)
            for column in frame.columns:
                codes = table.create_dataset(column, data=frame[column].cat.codes.to_numpy())
                labels = table.create_dataset(
                    f"__categories/{column}", data=list(frame[column].cat.categories), dtype=text
                )
                labels.attrs["ordered"] = False
                codes.attrs["categories"] = labels.ref


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*without encoding metadata")
@pytest.mark.parametrize("backed", [False, True])
def test_legacy_files_open(cells, tmp_path, backed):
    legacy(cells, tmp_path / "old.h5ad")
    data = open_cells(tmp_path / "old.h5ad", backed=backed)
    assert data.fingerprint() == open_cells(cells).fingerprint()
    assert sum(len(b.rows) for b in CellBatches(data, block_rows=16)) == len(cells)


def test_missing_categories_are_refused(cells, tmp_path):
    cells.write_h5ad(tmp_path / "c.h5ad")
    with h5py.File(tmp_path / "c.h5ad", "r+") as file:
        file["obs/condition/codes"][:3] = -1
    with pytest.raises(DataError, match="3 of 240 cells have no label in obs column 'condition'"):
        open_cells(tmp_path / "c.h5ad", backed=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nan_on_disk_is_found_with_its_cell_and_gene(cells, tmp_path, layout):
    x = cells.X.toarray()
    x[17, 5] = np.nan
    other = anndata.AnnData(LAYOUTS[layout](x), obs=cells.obs, var=cells.var)
    other.write_h5ad(tmp_path / "c.h5ad")
    name = cells.obs_names[17]
    with pytest.raises(DataError, match=f"1 values that are NaN .*cell '{name}', gene 'gene_0005'"):
        open_cells(tmp_path / "c.h5ad", backed=True)


def test_predictions_are_written_in_blocks_with_the_controls_obs(cells, tmp_path, monkeypatch):
    from pushforward.datasets.cells import predictions

    monkeypatch.setattr(predictions, "BLOCK", 7)
    data = open_cells(cells)
    features = CellFeatures.fit(data, data.rows(), n_components=30)
    rows = data.rows("P00", "ctrl")
    moved = features.transform(data, rows) + 1.0
    write_predictions(
        tmp_path / "p.h5ad", data, rows, features, moved, treatment="treated", attributes={}
    )
    written = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert list(written.obs_names) == list(cells.obs_names[rows])
    assert set(written.obs["condition"]) == {"treated"}
    assert set(written.obs["source_condition"]) == {"ctrl"}
    np.testing.assert_allclose(written.X, features.decode(moved), rtol=1e-6)
    found = open_predictions(tmp_path / "p.h5ad", data)
    assert found.groups == [("P00", "treated")]
    np.testing.assert_allclose(found.encoded("P00", "treated", features), moved, atol=2e-4)


def test_a_store_travels_without_its_handle(on_disk):
    on_disk.store.take(np.arange(2))
    other = copy.copy(on_disk.store)
    assert isinstance(other, RowStore)
    a, b = on_disk.store.take(np.arange(9)), other.take(np.arange(9))
    assert (abs(a - b)).sum() == 0
