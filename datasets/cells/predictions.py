"""Predicted treated cells as AnnData files: ours going out, anyone's coming in."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from pushforward.datasets.cells.data import BLOCK, CellData, check_gene_names, shown
from pushforward.datasets.cells.features import CellFeatures
from pushforward.datasets.cells.reader import measure_of, read_h5ad
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
    path : h5ad, written atomically, X in blocks.
    data, rows : the control cells that were moved.
    features : the coordinates of `predicted`.
    predicted : where each cell was sent.
    treatment : the label of the predicted condition.
    attributes : provenance, kept in `uns["provenance"]`.
    """
    import anndata
    import h5py
    import pandas as pd

    obs = data.adata.obs.iloc[rows].copy()
    obs["source_condition"] = obs[data.condition_key].astype(str).astype("category")
    obs[data.condition_key] = pd.Categorical([treatment] * len(obs))
    predicted = np.asarray(predicted, dtype=np.float32)
    cells = anndata.AnnData(
        obs=obs,
        var=pd.DataFrame(index=list(features.genes)),
        obsm={"X_features": predicted},
        uns={"provenance": attributes},
    )
    with atomic_path(path) as temporary:
        cells.write_h5ad(temporary, compression="gzip")
        # X may be larger than memory, so it is decoded and written block by block.
        with h5py.File(temporary, "r+") as file:
            if "X" in file:
                del file["X"]
            x = file.create_dataset("X", cells.shape, np.float32, compression="gzip")
            x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            for a in range(0, len(predicted), BLOCK):
                x[a : a + BLOCK] = features.decode(predicted[a : a + BLOCK])


class CellPredictions:
    """Predicted treated cells, addressed by population and treatment.

    Made by `open_predictions`. `encoded` gives their coordinates in fitted features.
    """

    def __init__(self, adata: "AnnData", data: CellData, source: str):
        self.adata, self.source = adata, source
        # Predictions are log-normalised already, whatever they look like.
        self.cells = CellData(
            adata, data.population_key, data.condition_key, data.control, "log-normalised", source
        )

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(population, treatment) pairs that were predicted, sorted."""
        pairs = [(p, c) for p in self.cells.populations for c in self.cells.conditions]
        return [pair for pair in pairs if len(self.cells.rows(*pair))]

    def encoded(
        self, population: str, treatment: str, features: CellFeatures
    ) -> Float[ndarray, "n k"]:
        """Coordinates of one group's predicted cells.

        Raises
        ------
        DataError : the file lacks genes that the features use.
        """
        return features.transform(self.cells, self.cells.rows(population, treatment))


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
    adata = read_h5ad(path)
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
        n = len(predictions.cells.rows(population, treatment))
        if n < 2:
            raise DataError(f"{path}: only {n} predicted cell of {population!r}; 2 are needed.")
    measure_of(adata, str(path))
    return predictions
