"""Perturbed single cells: AnnData files in, splits and training-only preprocessing."""

from pushforward.datasets.cells.batches import CellBatch, CellBatches
from pushforward.datasets.cells.conversion import write_csr
from pushforward.datasets.cells.data import CellData
from pushforward.datasets.cells.features import CellFeatures
from pushforward.datasets.cells.predictions import (
    CellPredictions,
    open_predictions,
    write_predictions,
)
from pushforward.datasets.cells.reader import open_cells
from pushforward.datasets.cells.splits import (
    CellSplit,
    hold_out_cells,
    hold_out_condition,
    hold_out_population,
)

__all__ = [
    "CellBatch",
    "CellBatches",
    "CellData",
    "CellFeatures",
    "CellPredictions",
    "CellSplit",
    "hold_out_cells",
    "hold_out_condition",
    "hold_out_population",
    "open_cells",
    "open_predictions",
    "write_csr",
    "write_predictions",
]
