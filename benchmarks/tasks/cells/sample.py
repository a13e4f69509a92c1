"""What a results file keeps of the cells themselves, for the figures of the report."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.benchmarks.tasks.cells.question import Question
from pushforward.datasets.cells import CellData

__all__ = ["gene_symbols", "population_sample"]

SHOWN_CELLS = 150  # points of each cloud in the scatter plot
SHOWN_ARROWS = 60  # displacements in the quiver plot
SHOWN_GENES = 12  # those whose mean changes most in truth
SYMBOL_COLUMNS = ("symbol", "gene_symbol", "gene_symbols", "gene_name")
QUANTILES = (0.1, 0.5, 0.9)


def gene_symbols(data: CellData) -> dict[str, str]:
    """Names for people, by gene name, where the data's `var` has a column of them."""
    var = data.adata.var
    column = next((c for c in SYMBOL_COLUMNS if c in var.columns), None)
    if column is None:
        return {}
    return dict(zip(data.genes, var[column].astype(str), strict=True))


def population_sample(
    question: Question, predicted: Tensor, symbols: Mapping[str, str]
) -> dict[str, Any]:
    """Some cells in the first two coordinates, some displacements, and the genes that changed most.

    Parameters
    ----------
    question : control cells given and treated cells asked for.
    predicted : cells of one model. Displacements are kept where there is one for each control cell.
    symbols : names of genes for people, see `gene_symbols`; others keep the name they have.

    Returns
    -------
    Plain values: `clouds` (points of control, treated, predicted), `arrows` (from, to), `genes`
    (names, and for each cloud the 10, 50 and 90 % quantiles of expression as the coordinates
    see it: decoded, so that all three clouds have lost the same detail).
    """
    clouds = {"control": question.control, "treated": question.treated, "predicted": predicted}
    explained = question.features.explained[:2].tolist()
    sample: dict[str, Any] = {
        "kind": "scatter",
        "axes": [f"PC{i + 1} ({100 * e:.0f} %)" for i, e in enumerate(explained)],
        "clouds": {name: _rounded(_few(c, SHOWN_CELLS)[:, :2]) for name, c in clouds.items()},
        "genes": _genes(question, clouds, symbols),
    }
    if len(predicted) == len(question.control):
        ends = torch.cat((question.control[:, :2], predicted[:, :2]), 1)
        sample["arrows"] = _rounded(_few(ends, SHOWN_ARROWS))
    return sample


def _genes(
    question: Question, clouds: dict[str, Tensor], symbols: Mapping[str, str]
) -> dict[str, Any]:
    decoded = {name: question.features.decode(cloud.numpy()) for name, cloud in clouds.items()}
    change = decoded["treated"].mean(0) - decoded["control"].mean(0)
    top = np.argsort(-np.abs(change), kind="stable")[:SHOWN_GENES]
    quantiles = {
        name: np.quantile(x[:, top], QUANTILES, axis=0).T.round(3).tolist()
        for name, x in decoded.items()
    }
    names = [question.features.genes[i] for i in top]
    return {"names": [symbols.get(name, name) for name in names], **quantiles}


def _few(cloud: Tensor, n: int) -> Tensor:
    return cloud[:: -(-len(cloud) // n)]


def _rounded(points: Tensor) -> list[list[float]]:
    return [[round(v, 3) for v in row] for row in points.tolist()]
