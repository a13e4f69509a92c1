"""Predicted treated cells as AnnData files: ours going out, anyone's coming in."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from pushforward.datasets.cells.data import CellData, check_gene_names, shown
from pushforward.datasets.cells.features import CellFeatures
from pushforward.datasets.cells.reader import read_h5ad
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["CellPredictions", "open_predictions", "write_predictions"]


def write_predictions(
    path: str | os.PathLike[str],
    data: CellData,
    rows: Int[ndarray, " n"],
    features: CellFeatures,
    predicted: Float[ndarray, "n k"],
    *,
    treatment: str,
    attributes: dict[str, Any],
) -> None:
    """Write predicted cells: the control cells' `obs`, the expression decoded from the features.

    The condition column names the predicted treatment; the original label stands in
    `source_condition`. X holds log-normalised expression of the genes that the features use
    (principal components drop what they do not explain, and may leave values slightly below 0);
    `obsm["X_features"]` holds the coordinates that were predicted.

    Parameters
    ----------
    path : h5ad, written atomically.
    data, rows : the control cells that were moved.
    features : the coordinates of `predicted`.
    predicted : where each cell was sent.
    treatment : the label of the predicted condition.
    attributes : provenance, kept in `uns["provenance"]`.
    """
    import anndata
    import pandas as pd

    obs = data.adata.obs.iloc[rows].copy()
    obs["source_condition"] = obs[data.condition_key].astype(str).astype("category")
    obs[data.condition_key] = pd.Categorical([treatment] * len(obs))
    cells = anndata.AnnData(
        features.decode(predicted),
        obs=obs,
        var=pd.DataFrame(index=list(features.genes)),
        obsm={"X_features": np.asarray(predicted, dtype=np.float32)},
        uns={"provenance": attributes},
    )
    with atomic_path(path) as temporary:
        cells.write_h5ad(temporary, compression="gzip")


class CellPredictions:
    """Predicted treated cells, addressed by population and treatment.

    Made by `open_predictions`. `features(...)` gives their coordinates in fitted features.
    """

    def __init__(self, adata: "AnnData", data: CellData, source: str):
        self.adata, self.data, self.source = adata, data, source
        self._population = adata.obs[data.population_key].astype(str).to_numpy()
        self._condition = adata.obs[data.condition_key].astype(str).to_numpy()

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(population, treatment) pairs that were predicted, sorted."""
        return sorted(set(zip(self._population.tolist(), self._condition.tolist(), strict=True)))

    def encoded(
        self, population: str, treatment: str, features: CellFeatures
    ) -> Float[ndarray, "n k"]:
        """Coordinates of one group's predicted cells.

        Raises
        ------
        DataError : the file lacks genes that the features use.
        """
        position = {str(name): i for i, name in enumerate(self.adata.var_names)}
        missing = [g for g in features.genes if g not in position]
        if missing:
            raise DataError(
                f"genes differ between files: {self.source} lacks {len(missing)} of the "
                f"{len(features.genes)} genes that the score uses ({shown(missing, 5)}). "
                "Predict all genes of the data."
            )
        keep = (self._population == population) & (self._condition == treatment)
        x = self.adata.X[np.flatnonzero(keep)][:, [position[g] for g in features.genes]]
        dense = np.asarray(x.toarray() if hasattr(x, "toarray") else x)
        return features.encode(dense)


def open_predictions(path: str | os.PathLike[str], data: CellData) -> CellPredictions:
    """Open predicted treated cells of any model for scoring against `data`.

    The file needs the same `obs` columns as the data: the population that each predicted cell
    belongs to, and the treatment that is predicted. X is on the scale of `data.expression`:
    log-normalised.

    Raises
    ------
    DataError : no such file, not an h5ad, missing columns, unknown populations or treatments,
        a group with fewer than 2 cells, NaN or infinity in X.
    """
    path = Path(path)
    adata = read_h5ad(path, backed=False)
    for key in (data.population_key, data.condition_key):
        if key not in adata.obs:
            raise DataError(
                f"{path} has no obs column {key!r}. Columns present: "
                f"{shown(list(adata.obs.columns), 40)}. Name the population and the predicted "
                "treatment of each cell as the data do."
            )
    check_gene_names([str(g) for g in adata.var_names], str(path))
    predictions = CellPredictions(adata, data, str(path))
    for population, treatment in predictions.groups:
        if population not in data.populations:
            raise DataError(
                f"{path}: population {population!r} is not in the data, which hold "
                f"{shown(data.populations, 40)}."
            )
        if treatment not in data.treatments:
            raise DataError(
                f"{path}: predicted condition {treatment!r} is no treatment of the data, which "
                f"hold {shown(data.treatments, 40)} (control: {data.control!r})."
            )
        n = int(
            ((predictions._population == population) & (predictions._condition == treatment)).sum()
        )
        if n < 2:
            raise DataError(f"{path}: only {n} predicted cell of {population!r}; 2 are needed.")
    x: Any = adata.X
    values = x.data if hasattr(x, "indptr") else np.asarray(x)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(f"{path}: X holds {bad} values that are NaN or infinite.")
    return predictions
