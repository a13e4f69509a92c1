"""A simulated screen in the coordinates of its training cells, with the true answers beside."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pushforward.datasets.cells import CellData, CellFeatures, open_cells
from pushforward.simulators.cells import DrugScreen
from pushforward.simulators.cells.screens import CONTROL, condition_label
from pushforward.surrogates.cells import DescriptorTable

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Group", "Screen", "open_screen"]


@dataclass(frozen=True)
class Group:
    """One line under one drug at one dose."""

    line: str
    drug: str
    dose: float

    @property
    def condition(self) -> dict[str, Any]:
        """As the conditional map takes it."""
        return {"drug": self.drug, "dose": self.dose, "line": self.line}


@dataclass(frozen=True)
class Screen:
    """Cells of a screen: each condition's treated cells in two halves, one to fit, one to judge.

    Control cells are split alike: maps are fitted on the first half of a line's, and move the
    second.
    """

    cells: "AnnData"
    data: CellData
    table: DescriptorTable
    groups: tuple[Group, ...]
    features: CellFeatures | None = None

    @property
    def drugs(self) -> list[str]:
        """Labels of the drugs, in the order of the table."""
        return list(self.table.names)

    def fitted_on(self, groups: "list[Group]") -> "Screen":
        """The same screen in principal components of these groups' fitting halves."""
        rows = [_half(self._rows(g), 0) for g in groups]
        rows += [_half(self._control(line), 0) for line in {g.line for g in groups}]
        fitted = CellFeatures.fit(
            self.data,
            np.concatenate(rows),
            n_genes=self.data.adata.n_vars,
            n_components=self.cells.obsm["latent"].shape[1],
        )
        return replace(self, features=fitted)

    def pair(self, group: Group) -> tuple[Tensor, Tensor]:
        """Control and treated cells to fit on."""
        return (
            self._encoded(_half(self._control(group.line), 0)),
            self._encoded(_half(self._rows(group), 0)),
        )

    def given(self, group: Group) -> Tensor:
        """Control cells to be moved."""
        return self._encoded(_half(self._control(group.line), 1))

    def asked(self, group: Group) -> Tensor:
        """Treated cells to judge by."""
        return self._encoded(_half(self._rows(group), 1))

    def truth(self, group: Group) -> Tensor:
        """Where the optimal map sends `given`."""
        z = self.cells.obsm["latent"][_half(self._control(group.line), 1)]
        moved = DrugScreen.optimal_map(self.cells, z, drug=group.drug, dose=group.dose)
        known = self.cells.uns["truth"]
        features = self._features()
        x = (known["base"] + moved @ known["decoder"])[:, features.columns]
        return torch.from_numpy(features.encode(x))

    def _features(self) -> CellFeatures:
        if self.features is None:
            raise RuntimeError("choose the training groups first: screen.fitted_on(groups)")
        return self.features

    def _encoded(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self._features().transform(self.data, rows))

    def _control(self, line: str) -> np.ndarray:
        return self.data.rows(line, CONTROL)

    def _rows(self, group: Group) -> np.ndarray:
        return self.data.rows(group.line, condition_label(group.drug, group.dose))


def open_screen(simulation: DrugScreen, *, seed: int) -> Screen:
    """Draw a screen and open it as any AnnData is opened."""
    cells = simulation.simulate(seed=seed)
    data = open_cells(cells, population_key="cell_type", condition_key="condition", control=CONTROL)
    table = DescriptorTable.from_frame(cells.uns["descriptors"])
    groups = tuple(
        Group(line, drug, dose)
        for line in data.populations
        for drug in table.names
        for dose in simulation.doses
    )
    return Screen(cells, data, table, groups)


def _half(rows: np.ndarray, which: int) -> np.ndarray:
    return rows[which::2]
