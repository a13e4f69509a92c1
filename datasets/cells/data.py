"""Cells in memory or on disk, addressed by population and condition."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from pushforward.datasets.cells.storage import RowStore
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import Series

__all__ = ["CellData", "Measure"]

Measure = Literal["counts", "log-normalised", "normalised", "scaled"]

FINGERPRINT_RUNS = 256
BLOCK = 4096  # rows read at once: 4096 x 20,000 genes of float32 are 330 MB at the very worst


@dataclass(frozen=True)
class CellData:
    """Perturbed cells: who they are (population, condition) and what was measured.

    Made by `open_cells`. `expression` always yields log-normalised values: counts are divided by
    the cell's total, multiplied by 10,000 and passed through log(1 + x) on the way out; data that
    are already log-normalised, or scaled, come as they are.

    Parameters
    ----------
    adata : the AnnData behind; X may stay on disk.
    population_key, condition_key : columns of `obs`.
    control : label of the untreated condition.
    measure : what X was found to hold.
    source : path, or a name for simulated cells.

    Examples
    --------
    >>> from pushforward.simulators.cells import PerturbedPopulations
    >>> from pushforward.datasets import open_cells
    >>> data = open_cells(PerturbedPopulations(n_populations=2, n_cells=20).simulate(seed=0))
    >>> data.populations, data.treatments, data.measure
    (['P00', 'P01'], ['treated'], 'counts')
    >>> data.expression(data.rows("P00", "ctrl")).shape
    (20, 200)
    """

    adata: "AnnData"
    population_key: str
    condition_key: str
    control: str
    measure: Measure
    source: str

    @cached_property
    def store(self) -> RowStore:
        """X by rows, in memory or on disk."""
        return RowStore.of(self.adata)

    @property
    def populations(self) -> list[str]:
        """Labels of the populations, sorted."""
        return list(self._groups.populations)

    @property
    def conditions(self) -> list[str]:
        """Labels of the conditions, sorted, the control among them."""
        return list(self._groups.conditions)

    @property
    def treatments(self) -> list[str]:
        """Labels of the conditions without the control."""
        return [label for label in self.conditions if label != self.control]

    @property
    def genes(self) -> list[str]:
        """Names of the columns of X."""
        return [str(name) for name in self.adata.var_names]

    def rows(
        self, population: str | None = None, condition: str | None = None
    ) -> Int[ndarray, " n"]:
        """Rows of one population and condition (None: all of them), ascending."""
        groups = self._groups
        parts = [
            groups.rows_of(i, j)
            for i, p in enumerate(groups.populations)
            for j, c in enumerate(groups.conditions)
            if population in (None, p) and condition in (None, c)
        ]
        return np.sort(np.concatenate(parts or [np.arange(0)]))

    def populations_with(self, treatment: str) -> list[str]:
        """Populations measured both as control and under `treatment`, two cells or more each."""
        return [
            p
            for p in self.populations
            if len(self.rows(p, treatment)) >= 2 and len(self.rows(p, self.control)) >= 2
        ]

    def expression(
        self, rows: Int[ndarray, " n"], *, genes: Int[ndarray, " genes"] | None = None
    ) -> Float[ndarray, "n genes"]:
        """Log-normalised expression of some cells, dense float32, in the order asked for.

        Parameters
        ----------
        rows : row numbers; may repeat and be in any order.
        genes : column numbers to keep (None: all). Normalisation uses the whole cell.
        """
        wanted, back = np.unique(rows, return_inverse=True)
        blocks = [self._read(wanted[i : i + BLOCK], genes) for i in range(0, len(wanted), BLOCK)]
        if not blocks:
            width = self.adata.n_vars if genes is None else len(genes)
            return np.empty((0, width), dtype=np.float32)
        return np.concatenate(blocks)[back]

    def expression_blocks(
        self, rows: Int[ndarray, " n"], *, genes: Int[ndarray, " genes"] | None = None
    ) -> Iterator[Float[ndarray, "block genes"]]:
        """As `expression`, block by block in ascending order, for sums over more than fits."""
        wanted = np.unique(rows)
        for start in range(0, len(wanted), BLOCK):
            yield self._read(wanted[start : start + BLOCK], genes)

    def _read(
        self, ascending: Int[ndarray, " n"], genes: Int[ndarray, " genes"] | None
    ) -> Float[ndarray, "n genes"]:
        return normalised(self.store.take(ascending), self.measure, genes=genes)

    def fingerprint(self) -> str:
        """First 16 hex digits of SHA-256 over labels, gene names and expression.

        Of more than 65,536 cells only 256 runs of 256 are looked at, evenly spread: it tells data
        sets apart, and does not prove that no value of a million cells was edited.
        """
        digest = hashlib.sha256()
        for column in (self.population_key, self.condition_key):
            digest.update("\n".join(self.adata.obs[column].astype(str)).encode())
        digest.update("\n".join(self.genes).encode())
        n = self.adata.n_obs
        rows = np.arange(n)
        if n > FINGERPRINT_RUNS**2:
            starts = np.linspace(0, n - FINGERPRINT_RUNS, FINGERPRINT_RUNS).astype(np.int64)
            rows = np.unique(starts[:, None] + np.arange(FINGERPRINT_RUNS))
        for block in self.expression_blocks(rows):
            digest.update(np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()[:16]

    def summary(self) -> dict[str, Any]:
        """What the data hold: sizes, labels, cells of each population and condition."""
        groups = self._groups
        cells: dict[str, dict[str, int]] = {}
        for i, population in enumerate(groups.populations):
            counts = {c: len(groups.rows_of(i, j)) for j, c in enumerate(groups.conditions)}
            cells[population] = {c: n for c, n in counts.items() if n}
        return {
            "source": self.source,
            "cells": self.adata.n_obs,
            "genes": self.adata.n_vars,
            "X holds": self.measure,
            "population": self.population_key,
            "condition": self.condition_key,
            "control": self.control,
            "cells of each population and condition": cells,
        }

    @cached_property
    def _groups(self) -> "_Groups":
        populations, of_population = _labels(self.adata.obs[self.population_key])
        conditions, of_condition = _labels(self.adata.obs[self.condition_key])
        code = of_population.astype(np.int64) * len(conditions) + of_condition
        order = np.argsort(code, kind="stable")
        edges = np.searchsorted(code[order], np.arange(len(populations) * len(conditions) + 1))
        return _Groups(tuple(populations), tuple(conditions), order, edges)


@dataclass(frozen=True)
class _Groups:
    """Rows sorted by population and condition, ascending within each."""

    populations: tuple[str, ...]
    conditions: tuple[str, ...]
    order: Int[ndarray, " cells"]
    edges: Int[ndarray, " groups_and_one"]

    def rows_of(self, population: int, condition: int) -> Int[ndarray, " n"]:
        group = population * len(self.conditions) + condition
        return self.order[self.edges[group] : self.edges[group + 1]]


def _labels(column: "Series") -> tuple[list[str], Int[ndarray, " cells"]]:
    """Sorted labels that occur, as text, and the number of each cell's label."""
    categories = column.astype("category").cat
    text = [str(label) for label in categories.categories]
    codes = categories.codes.to_numpy()
    names = sorted({text[code] for code in np.unique(codes)})
    position = {name: i for i, name in enumerate(names)}
    return names, np.array([position.get(label, -1) for label in text])[codes]


def log_normalised(x: Any, measure: Measure) -> Any:
    """Whole rows of X, dense or CSR, on the log-normalised scale, float32, as they are kept."""
    if measure != "counts":
        return x.astype(np.float32, copy=False)
    total = np.asarray(x.sum(1), dtype=np.float64).reshape(-1)
    scale = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0)
    if not sparse.issparse(x):
        return np.log1p(x.astype(np.float32) * scale[:, None]).astype(np.float32)
    logged = np.log1p(x.data.astype(np.float32) * np.repeat(scale, np.diff(x.indptr)))
    return sparse.csr_matrix((logged.astype(np.float32), x.indices, x.indptr), x.shape)


def normalised(
    x: Any, measure: Measure, *, genes: Int[ndarray, " genes"] | None = None
) -> Float[ndarray, "n genes"]:
    """As `log_normalised`, dense, some columns of it; normalisation uses the whole cell."""
    x = log_normalised(x, measure)
    dense = x.toarray() if sparse.issparse(x) else x
    return dense if genes is None else dense[:, genes]


def shown(labels: Sequence[str], limit: int = 12) -> str:
    """A list of labels for an error message, cut when it is long."""
    quoted = [repr(str(label)) for label in labels[:limit]]
    more = len(labels) - limit
    return ", ".join(quoted) + (f" and {more} more" if more > 0 else "")


def duplicates(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, each once, in order of first repetition."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name in names:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)


def check_gene_names(genes: Sequence[str], where: str) -> None:
    """Refuse duplicate gene names."""
    twice = duplicates(genes)
    if twice:
        raise DataError(
            f"{where}: {len(twice)} gene names occur more than once ({shown(twice)}). "
            "Run adata.var_names_make_unique() or sum the duplicates, then write the file again."
        )
