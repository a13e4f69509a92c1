"""Cells in memory or on disk, addressed by population and condition."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["CellData", "Measure"]

Measure = Literal["counts", "log-normalised", "normalised", "scaled"]

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

    @property
    def populations(self) -> list[str]:
        """Labels of the populations, sorted."""
        return sorted(set(self.adata.obs[self.population_key].astype(str)))

    @property
    def conditions(self) -> list[str]:
        """Labels of the conditions, sorted, the control among them."""
        return sorted(set(self.adata.obs[self.condition_key].astype(str)))

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
        keep = np.ones(self.adata.n_obs, dtype=bool)
        if population is not None:
            keep &= (self.adata.obs[self.population_key].astype(str) == population).to_numpy()
        if condition is not None:
            keep &= (self.adata.obs[self.condition_key].astype(str) == condition).to_numpy()
        return np.flatnonzero(keep)

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
        x = self.adata.X[ascending]
        if self.measure == "counts":
            total = np.asarray(x.sum(1), dtype=np.float64).reshape(-1, 1)
            scale = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0)
        if genes is not None:
            x = x[:, genes]
        dense = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=np.float32)
        if self.measure == "counts":
            dense = np.log1p(dense * scale).astype(np.float32)
        return dense

    def fingerprint(self) -> str:
        """First 16 hex digits of SHA-256 over labels, gene names and expression."""
        digest = hashlib.sha256()
        for column in (self.population_key, self.condition_key):
            digest.update("\n".join(self.adata.obs[column].astype(str)).encode())
        digest.update("\n".join(self.genes).encode())
        for block in self.expression_blocks(np.arange(self.adata.n_obs)):
            digest.update(np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()[:16]

    def summary(self) -> dict[str, Any]:
        """What the data hold: sizes, labels, cells of each population and condition."""
        obs = self.adata.obs
        table = obs.groupby(
            [obs[self.population_key].astype(str), obs[self.condition_key].astype(str)]
        ).size()
        cells: dict[str, dict[str, int]] = {}
        for (population, condition), count in table.items():
            cells.setdefault(population, {})[condition] = int(count)
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
