"""Rows of X, in memory or in an h5ad file: the one place that knows how X lies on disk."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Int
from numpy import ndarray
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["RowStore"]

BLOCK_BYTES = 1 << 26  # values held at once while X is scanned or read by columns

Rows = Any  # numpy array, or scipy CSR matrix
Span = tuple[int, int]


class RowStore:
    """X of an AnnData, read by rows; the layout on disk decides how.

    - CSR and dense files: one read a run of neighbouring rows. Scattered rows cost a read each.
    - CSC files: every request passes over the whole file once, in blocks of columns. Ask for many
      rows at a time.
    - X in memory: plain indexing.

    The HDF5 handle is the process's own: a worker that inherits or receives a store opens the
    file anew (handles do not survive a fork).

    Parameters
    ----------
    x : `adata.X`: an array, a scipy matrix, or what anndata gives for a backed file.
    path : the file behind a backed X; None for X in memory.
    """

    def __init__(self, x: Any, path: str | os.PathLike[str] | None = None):
        self.path = None if path is None else Path(path)
        self.shape: tuple[int, int] = (int(x.shape[0]), int(x.shape[1]))
        self._memory = x if path is None else None
        if path is None and getattr(x, "format", "csr") not in ("csr", "csc"):
            self._memory = x.tocsr()
        self.dtype = np.dtype(x.dtype)
        dense = isinstance(x, np.ndarray | h5py.Dataset)
        held = x if self._memory is None else self._memory
        self.layout: str = "dense" if dense else held.format
        self._node: Any = None
        self._owner = -1
        self._starts: Int[ndarray, " rows_or_columns"] | None = None

    @classmethod
    def of(cls, adata: "AnnData") -> "RowStore":
        """X of an AnnData; a view of a backed file is read by anndata."""
        return cls(adata.X, adata.filename if adata.isbacked and not adata.is_view else None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_node": None, "_owner": -1}

    @property
    def backed(self) -> bool:
        """Whether X stays on disk."""
        return self.path is not None

    def row_bytes(self, rows: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
        """Bytes that each row takes in memory; columns files are taken to be even."""
        if self.layout == "dense":
            return np.full(len(rows), self.shape[1] * self.dtype.itemsize)
        starts = self.starts
        if self.layout == "csr":
            return 12 * (starts[rows + 1] - starts[rows]) + 8
        return np.full(len(rows), 12 * int(starts[-1]) // max(self.shape[0], 1) + 8)

    @property
    def starts(self) -> Int[ndarray, " n"]:
        """Where each row (CSR) or column (CSC) begins among the stored values."""
        if self._starts is None:
            held = self._memory if self._memory is not None else self._open()
            found = held.indptr if self._memory is not None else held["indptr"][:]
            self._starts = np.asarray(found, dtype=np.int64)
        return self._starts

    def read(self, spans: Sequence[Span]) -> Rows:
        """Rows of ascending, disjoint spans [start, stop), one below the other, as stored."""
        if self._memory is not None:
            if len(spans) == 1:
                return as_rows(self._memory[spans[0][0] : spans[0][1]])
            return as_rows(self._memory[_rows_of(spans)])
        if self.layout == "csc":
            return self._through_columns(_rows_of(spans))
        node = self._open()
        if self.layout == "dense":
            out = np.empty((sum(b - a for a, b in spans), self.shape[1]), dtype=node.dtype)
            place = 0
            for a, b in spans:
                if b > a:
                    node.read_direct(out, np.s_[a:b], np.s_[place : place + b - a])
                place += b - a
            return out
        return self._csr_rows(spans)

    def take(self, ascending: Int[ndarray, " n"]) -> Rows:
        """Rows in ascending order, each once; neighbouring rows are read together."""
        if self._memory is not None:
            return as_rows(self._memory[ascending])
        if not len(ascending):
            return self.read([])
        cuts = np.flatnonzero(np.diff(ascending) > 1) + 1
        first = ascending[np.r_[0, cuts]]
        last = ascending[np.r_[cuts, len(ascending)] - 1]
        return self.read(list(zip(first.tolist(), (last + 1).tolist(), strict=True)))

    def value_blocks(self) -> Iterator[tuple[int, int, Any]]:
        """All of X in the order it is stored: (first row, first column, block), bounded memory."""
        if self.layout == "csc":
            for a, b in self._column_spans():
                yield 0, a, self._columns(a, b)
            return
        n = self.shape[0]
        sizes = self.row_bytes(np.arange(n))
        for a, b in _spans_of(np.r_[0, np.cumsum(sizes)]):
            yield a, 0, self.read([(a, b)])

    def _open(self) -> Any:
        if self._owner != os.getpid():
            self._node = h5py.File(self.path, "r")["X"]
            self._owner = os.getpid()
        return self._node

    def _csr_rows(self, spans: Sequence[Span]) -> sparse.csr_matrix:
        node, starts = self._open(), self.starts
        lengths = [np.diff(starts[a : b + 1]) for a, b in spans]
        indptr = np.r_[0, np.cumsum(np.concatenate(lengths))] if lengths else np.zeros(1, int)
        data = np.empty(indptr[-1], dtype=node["data"].dtype)
        indices = np.empty(indptr[-1], dtype=node["indices"].dtype)
        stored = ((node["data"], data), (node["indices"], indices))
        place = 0
        for a, b in spans:
            size = int(starts[b] - starts[a])
            if size:
                for source, out in stored:
                    target = np.s_[place : place + size]
                    source.read_direct(out, np.s_[starts[a] : starts[b]], target)
            place += size
        return compressed(data, indices, indptr, self.shape[1])

    def _through_columns(self, rows: Int[ndarray, " n"]) -> sparse.csr_matrix:
        parts = [self._columns(a, b)[rows] for a, b in self._column_spans()]
        return sparse.hstack(parts, format="csr")

    def _column_spans(self) -> list[Span]:
        return _spans_of(12 * self.starts + 8 * np.arange(len(self.starts)))

    def _columns(self, a: int, b: int) -> sparse.csc_matrix:
        if self._memory is not None:
            return self._memory[:, a:b]
        node, starts = self._open(), self.starts
        first, last = int(starts[a]), int(starts[b])
        parts = (node["data"][first:last], node["indices"][first:last], starts[a : b + 1] - first)
        return sparse.csc_matrix(parts, shape=(self.shape[0], b - a))


def compressed(
    data: ndarray, indices: ndarray, indptr: ndarray, n_columns: int
) -> sparse.csr_matrix:
    """A CSR matrix around the arrays, without a copy and without a pass over them."""
    matrix = sparse.csr_matrix((len(indptr) - 1, n_columns), dtype=data.dtype)
    if indptr[-1] > np.iinfo(indices.dtype).max:
        indices = indices.astype(np.int64)
    matrix.data, matrix.indices = data, indices
    matrix.indptr = indptr.astype(indices.dtype, copy=False)
    return matrix


def as_rows(x: Any) -> Rows:
    """An in-memory selection as a plain array or a CSR matrix."""
    if hasattr(x, "indptr"):
        return sparse.csr_matrix(x)
    return np.asarray(x)


def _rows_of(spans: Sequence[Span]) -> Int[ndarray, " n"]:
    return np.concatenate([np.arange(a, b) for a, b in spans] or [np.arange(0)])


def _spans_of(ends: Int[ndarray, " n"]) -> list[Span]:
    """Runs of neighbours of at most BLOCK_BYTES, one at least; `ends` are cumulated bytes."""
    spans, a, n = [], 0, len(ends) - 1
    while a < n:
        b = int(np.searchsorted(ends, ends[a] + BLOCK_BYTES, side="right")) - 1
        b = min(max(b, a + 1), n)
        spans.append((a, b))
        a = b
    return spans
