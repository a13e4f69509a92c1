"""Turning X of an h5ad file from columns to rows, once, within bounded memory."""

import os
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

from pushforward.datasets.cells.reader import read_h5ad
from pushforward.datasets.cells.storage import RowStore
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = ["write_csr"]

HELD_VALUES = 20_000_000  # stored values in memory at once: 240 MB


def write_csr(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Write an h5ad file again with X by cells (CSR, float32), as batches want it.

    X passes once for every 20 million stored values; no more than those are in memory. `obs`,
    `var`, `obsm`, `varm` and `uns` are kept; layers, `raw`, `obsp` and `varp` are not.

    Parameters
    ----------
    path : the file to read, of any layout; usually CSC.
    out : the file to write, atomically; another one.

    Raises
    ------
    DataError : what `open_cells` says of files it cannot read; `out` is `path`.

    Examples
    --------
    >>> import anndata
    >>> from pushforward.simulators.cells import PerturbedPopulations
    >>> cells = PerturbedPopulations(n_populations=2, n_cells=20).simulate(seed=0)
    >>> cells.X = cells.X.tocsc()
    >>> cells.write_h5ad("by_genes.h5ad")
    >>> write_csr("by_genes.h5ad", "by_cells.h5ad")
    >>> bool(abs(anndata.read_h5ad("by_cells.h5ad").X - cells.X).max() < 1e-6)
    True
    """
    import anndata

    path, out = Path(path), Path(out)
    if out.exists() and out.samefile(path):
        raise DataError(f"out = {out} is the file to read. Give the converted file another name.")
    adata = read_h5ad(path, backed=True)
    store = RowStore.of(adata)
    per_row = np.zeros(adata.n_obs, dtype=np.int64)
    for first, _, block in store.value_blocks():
        stored = sparse.csr_matrix(block)
        per_row[first : first + stored.shape[0]] += np.diff(stored.indptr)
    starts = np.r_[0, np.cumsum(per_row)]
    parts = {name: dict(getattr(adata, name)) for name in ("obsm", "varm", "uns")}
    bare = anndata.AnnData(obs=adata.obs, var=adata.var, **parts)
    with atomic_path(out) as temporary:
        bare.write_h5ad(temporary)
        with h5py.File(temporary, "r+") as file:
            if "X" in file:
                del file["X"]
            group = file.create_group("X")
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
            group.attrs["shape"] = np.array(adata.shape)
            group.create_dataset("indptr", data=starts)
            data = group.create_dataset("data", (starts[-1],), np.float32)
            indices = group.create_dataset("indices", (starts[-1],), np.int32)
            a = 0
            while a < adata.n_obs:
                limit = np.searchsorted(starts, starts[a] + HELD_VALUES, side="right") - 1
                b = min(max(int(limit), a + 1), adata.n_obs)
                rows = sparse.csr_matrix(store.read([(a, b)]))
                data[starts[a] : starts[b]] = rows.data
                indices[starts[a] : starts[b]] = rows.indices
                a = b
    adata.file.close()
