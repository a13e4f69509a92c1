"""Shuffled batches of one condition each, read from disk in runs of neighbouring rows."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from scipy import sparse
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pushforward.datasets.cells.data import CellData, log_normalised, normalised, shown
from pushforward.simulators.errors import DataError

__all__ = ["CellBatch", "CellBatches"]


@dataclass(frozen=True)
class CellBatch:
    """Cells of one group: its name, their row numbers, and log-normalised expression."""

    group: str
    rows: Int[ndarray, " n"]
    x: Any


class CellBatches(IterableDataset):
    """One pass over many cells in random order, each batch from a single group.

    The file is cut into blocks of neighbouring rows. Blocks are taken in random order into a
    buffer until it is full; the cells in it are shuffled, sorted by group and handed out in full
    batches, in random order; what does not fill a batch waits for the next filling. So the file is
    only ever read in runs, wherever the cells of a group lie, every wanted cell comes exactly once
    an epoch, and memory holds three buffers, not X.

    Iterate over it directly, or over `loader(n_workers)`: workers share the blocks among them and
    open the file themselves.

    Parameters
    ----------
    data : the cells, backed or in memory.
    groups : rows of each group by name, such as `CellSplit.treated`; a row may be in several. None:
        every population and condition, named `population|condition`.
    batch_size : cells of a batch; 512 is the conditional-Monge code's (code).
    block_rows : neighbouring rows read together; more is faster and shuffles less.
    buffer_bytes : size of the buffer as stored (sparse rows count their stored values). 64 MB are
        80,000 cells with 100 stored values.
    dense : yield float32 tensors; otherwise float32 CSR matrices.
    genes : columns to keep of dense batches.
    drop_last : leave out the batches that are not full at the end of an epoch.
    seed : of the order; with the epoch's number and the number of workers it fixes it.

    Raises
    ------
    DataError : no group, a group without cells, rows outside the data, sizes that are not
        positive, genes asked of sparse batches.

    Examples
    --------
    >>> from pushforward.simulators.cells import PerturbedPopulations
    >>> from pushforward.datasets import open_cells
    >>> from pushforward.datasets.cells import CellBatches
    >>> data = open_cells(PerturbedPopulations(n_populations=2, n_cells=40).simulate(seed=0))
    >>> batches = CellBatches(data, batch_size=16, seed=1)
    >>> sum(len(batch.rows) for batch in batches), sorted({b.group for b in batches})[0]
    (160, 'P00|ctrl')
    """

    def __init__(
        self,
        data: CellData,
        groups: Mapping[str, Int[ndarray, " n"]] | None = None,
        *,
        batch_size: int = 512,
        block_rows: int = 256,
        buffer_bytes: int = 64_000_000,
        dense: bool = True,
        genes: Int[ndarray, " genes"] | None = None,
        drop_last: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        if groups is None:
            groups = {
                f"{p}|{c}": data.rows(p, c)
                for p in data.populations
                for c in data.conditions
                if len(data.rows(p, c))
            }
        sizes = {"batch_size": batch_size, "block_rows": block_rows, "buffer_bytes": buffer_bytes}
        _check(data, groups, sizes, genes_of_sparse=genes is not None and not dense)
        self.names = tuple(groups)
        self.batch_size, self.block_rows, self.buffer_bytes = batch_size, block_rows, buffer_bytes
        self.dense, self.genes, self.drop_last, self.seed = dense, genes, drop_last, seed
        self.epoch = 0
        rows = np.concatenate(list(groups.values())).astype(np.int64)
        codes = np.repeat(np.arange(len(groups)), [len(r) for r in groups.values()])
        order = np.argsort(rows, kind="stable")
        self._rows, self._codes = rows[order], codes[order].astype(np.int32)
        self._cuts = np.r_[0, np.flatnonzero(np.diff(self._rows // block_rows)) + 1, len(rows)]
        self._store, self._measure = data.store, data.measure

    def loader(self, n_workers: int = 0) -> DataLoader:
        """A loader whose workers read beside the training; 0 reads in this process."""
        return DataLoader(self, batch_size=None, num_workers=n_workers)

    def __iter__(self) -> Iterator[CellBatch]:
        info = get_worker_info()
        worker, n_workers = (info.id, info.num_workers) if info else (0, 1)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self._cuts) - 1)
        blocks = order[worker::n_workers]
        rng = np.random.default_rng([self.seed, self.epoch, 1 + worker])
        rest: _Pool | None = None
        fillings = list(self._fillings(blocks))
        for i, chosen in enumerate(fillings):
            pool = self._read(np.sort(chosen), rest)
            rest = yield from self._hand_out(pool, rng, last=i == len(fillings) - 1)

    def _fillings(self, blocks: Int[ndarray, " n"]) -> Iterator[Int[ndarray, " m"]]:
        """The blocks of each filling of the buffer, one at least."""
        if not len(blocks):
            return
        first, last = self._rows[self._cuts[blocks]], self._rows[self._cuts[blocks + 1] - 1]
        edges = np.r_[0, np.cumsum(self._store.row_bytes(np.arange(self._store.shape[0])))]
        filled = np.cumsum(edges[last + 1] - edges[first])
        a = 0
        while a < len(blocks):
            limit = (filled[a - 1] if a else 0) + self.buffer_bytes
            b = max(int(np.searchsorted(filled, limit, side="right")), a + 1)
            yield blocks[a:b]
            a = b

    def _read(self, blocks: Int[ndarray, " n"], rest: "_Pool | None") -> "_Pool":
        """The wanted rows of some blocks, below what the last filling left over."""
        a, b = self._cuts[blocks], self._cuts[blocks + 1]
        spans = list(zip(self._rows[a].tolist(), (self._rows[b - 1] + 1).tolist(), strict=True))
        x = self._store.read(spans)
        entries = np.concatenate([np.arange(i, j) for i, j in zip(a, b, strict=True)])
        starts = np.r_[0, np.cumsum([stop - start for start, stop in spans])][:-1]
        shift = np.repeat(starts - self._rows[a], b - a)
        pool = _Pool(x, self._rows[entries] + shift, self._rows[entries], self._codes[entries])
        return pool if rest is None else rest.above(pool)

    def _hand_out(
        self, pool: "_Pool", rng: np.random.Generator, *, last: bool
    ) -> Generator[CellBatch, None, "_Pool"]:
        """Yield full batches (at last the others too); return what is left over."""
        order = rng.permutation(len(pool.codes))
        order = order[np.argsort(pool.codes[order], kind="stable")]
        edges = np.searchsorted(pool.codes[order], np.arange(len(self.names) + 1))
        full: list[tuple[int, int]] = []
        left: list[tuple[int, int]] = []
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            for a in range(start, stop, self.batch_size):
                span = (a, min(a + self.batch_size, stop))
                complete = span[1] - span[0] == self.batch_size
                (full if complete or (last and not self.drop_last) else left).append(span)
        for i in rng.permutation(len(full)):
            chosen = order[slice(*full[i])]
            x = self._finished(pool.x[pool.place[chosen]])
            yield CellBatch(self.names[pool.codes[chosen[0]]], pool.rows[chosen], x)
        kept = np.concatenate([order[a:b] for a, b in left] or [np.arange(0)])
        x = pool.x[pool.place[kept]]
        return _Pool(x, np.arange(len(kept)), pool.rows[kept], pool.codes[kept])

    def _finished(self, x: Any) -> "Tensor | sparse.csr_matrix":
        if self.dense:
            return torch.from_numpy(normalised(x, self._measure, genes=self.genes))
        return sparse.csr_matrix(log_normalised(x, self._measure))


@dataclass(frozen=True)
class _Pool:
    """Cells in the buffer: stored rows, and for each cell its place there, row number and group."""

    x: Any
    place: Int[ndarray, " n"]
    rows: Int[ndarray, " n"]
    codes: Int[ndarray, " n"]

    def above(self, other: "_Pool") -> "_Pool":
        """Both pools in one."""
        both = (self.x, other.x)
        return _Pool(
            sparse.vstack(both, format="csr") if sparse.issparse(self.x) else np.concatenate(both),
            np.concatenate([self.place, other.place + self.x.shape[0]]),
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.codes, other.codes]),
        )


def _check(
    data: CellData,
    groups: Mapping[str, Int[ndarray, " n"]],
    sizes: Mapping[str, int],
    genes_of_sparse: bool,
) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise DataError(f"{name} = {value} must be at least 1.")
    if not groups:
        raise DataError("no group of cells given; give rows by name, or None for all conditions.")
    empty = [name for name, rows in groups.items() if not len(rows)]
    if empty:
        raise DataError(f"{len(empty)} groups hold no cell ({shown(empty, 5)}). Leave them out.")
    for name, rows in groups.items():
        if rows.min() < 0 or rows.max() >= data.adata.n_obs:
            raise DataError(
                f"group {name!r} asks for rows {rows.min()} to {rows.max()}; the data hold "
                f"{data.adata.n_obs} cells, numbered from 0."
            )
    if genes_of_sparse:
        raise DataError("genes are chosen of dense batches only; use dense=True.")
