"""Highly variable genes, scaling and principal components, fitted on training cells only."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pushforward.datasets.cells.data import CellData
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = ["CellFeatures"]


@dataclass(frozen=True)
class CellFeatures:
    r"""The coordinates in which populations are compared and moved.

        z = ((x − m) / s) V,    x ≈ m + s (z Vᵀ)

    x is the log-normalised expression of the selected genes, m and s their mean and scale, V the
    leading principal directions. Everything is fitted on the rows given to `fit`: hand it
    training cells only, or held-out cells leak into the coordinates.

    Parameters
    ----------
    genes : names of the selected genes, in the order of the columns below.
    columns : their column numbers in the data that was fitted.
    mean, scale : (genes,); scale is 1 unless asked for.
    components : (genes, k), orthonormal columns; each has its largest entry positive.
    explained : share of the training variance each component explains.

    Examples
    --------
    >>> from pushforward.simulators.cells import PerturbedPopulations
    >>> from pushforward.datasets import open_cells
    >>> data = open_cells(PerturbedPopulations(n_populations=2, n_cells=40).simulate(seed=0))
    >>> features = CellFeatures.fit(data, data.rows("P00"), n_components=5)
    >>> features.transform(data, data.rows("P01", "ctrl")).shape
    (40, 5)
    """

    genes: tuple[str, ...]
    columns: Int[ndarray, " genes"]
    mean: Float[ndarray, " genes"]
    scale: Float[ndarray, " genes"]
    components: Float[ndarray, "genes k"]
    explained: Float[ndarray, " k"]

    @classmethod
    def fit(
        cls,
        data: CellData,
        rows: Int[ndarray, " n"],
        *,
        n_genes: int = 2000,
        n_components: int = 20,
        unit_variance: bool = False,
    ) -> "CellFeatures":
        """Fit on the given (training) cells, reading them in blocks.

        Parameters
        ----------
        data : the cells.
        rows : training cells.
        n_genes : how many genes to keep, those of largest variance of log-expression (all, if
            there are fewer). 2000 is the field's habit.
        n_components : principal components to keep, at most the number of genes and of cells − 1.
        unit_variance : divide each gene by its standard deviation first. Off by default: the
            noise of rare genes would be blown up to the size of the signal.

        Raises
        ------
        DataError : fewer than 3 training cells, or n_components out of range.
        """
        if len(rows) < 3:
            raise DataError(f"only {len(rows)} training cells; principal components need 3.")
        total, total_sq = np.zeros(data.adata.n_vars), np.zeros(data.adata.n_vars)
        for block in data.expression_blocks(rows):
            wide = block.astype(np.float64)
            total += wide.sum(0)
            total_sq += (wide**2).sum(0)
        n = len(np.unique(rows))
        variance = np.maximum(total_sq / n - (total / n) ** 2, 0.0)
        kept = np.sort(np.argsort(-variance, kind="stable")[:n_genes])
        limit = min(len(kept), n - 1)
        if not 1 <= n_components <= limit:
            raise DataError(
                f"n_components = {n_components}; with {len(kept)} genes and {n} training cells "
                f"it must lie between 1 and {limit}."
            )
        mean = (total / n)[kept]
        deviation = np.sqrt(variance[kept])
        scale = np.where(deviation > 0, deviation, 1.0) if unit_variance else np.ones(len(kept))
        covariance = np.zeros((len(kept), len(kept)))
        for block in data.expression_blocks(rows, genes=kept):
            centred = (block.astype(np.float64) - mean) / scale
            covariance += centred.T @ centred / n
        values, vectors = np.linalg.eigh(covariance)
        leading = np.argsort(-values, kind="stable")[:n_components]
        components = vectors[:, leading]
        largest = np.abs(components).argmax(0)
        components = components * np.sign(components[largest, np.arange(n_components)])
        names = data.genes
        return cls(
            genes=tuple(names[c] for c in kept),
            columns=kept,
            mean=mean,
            scale=scale,
            components=components,
            explained=np.maximum(values[leading], 0.0) / max(values.sum(), 1e-300),
        )

    def transform(self, data: CellData, rows: Int[ndarray, " n"]) -> Float[ndarray, "n k"]:
        """Coordinates of some cells, float32.

        Raises
        ------
        DataError : `data` lacks some of the selected genes (lists them).
        """
        position = {name: i for i, name in enumerate(data.genes)}
        missing = [name for name in self.genes if name not in position]
        if missing:
            raise DataError(
                f"genes differ between files: {data.source} lacks {len(missing)} of the "
                f"{len(self.genes)} genes that the "
                f"features use, among them {missing[:5]}. Give data with the same genes."
            )
        columns = np.array([position[name] for name in self.genes])
        unique, back = np.unique(rows, return_inverse=True)
        parts = [self.encode(block) for block in data.expression_blocks(unique, genes=columns)]
        if not parts:
            return np.empty((0, self.components.shape[1]), dtype=np.float32)
        return np.concatenate(parts)[back]

    def encode(self, x: Float[ndarray, "n genes"]) -> Float[ndarray, "n k"]:
        """Coordinates of expression restricted to the selected genes."""
        return (((x.astype(np.float64) - self.mean) / self.scale) @ self.components).astype(
            np.float32
        )

    def decode(self, z: Float[ndarray, "n k"]) -> Float[ndarray, "n genes"]:
        """Expression of the selected genes from coordinates; may be slightly negative."""
        x = self.mean + self.scale * (z.astype(np.float64) @ self.components.T)
        return x.astype(np.float32)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them as one safetensors file; the genes' names are in its metadata.

        Examples
        --------
        >>> one = np.ones(2)
        >>> features = CellFeatures(("a", "b"), np.arange(2), one, one, np.eye(2), one)
        >>> features.save("features.safetensors")
        >>> CellFeatures.load("features.safetensors").genes
        ('a', 'b')
        """
        arrays = ("columns", "mean", "scale", "components", "explained")
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in arrays}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"genes": json.dumps(self.genes)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CellFeatures":
        """Read what `save` wrote.

        Raises
        ------
        DataError : no such file, or a damaged one.
        """
        if not Path(path).is_file():
            raise DataError(f"no such file of features: {path}.")
        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                genes = tuple(json.loads((file.metadata() or {})["genes"]))
            return cls(genes=genes, **arrays)
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise DataError(f"the features in {path} are damaged: {error}.") from error
