"""The questions of a cells run: its splits, and each split in coordinates fitted on training."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pushforward.benchmarks.tasks.cells.conditions import chunks_of, conditions_of, drug_table
from pushforward.datasets.cells import (
    CellData,
    CellFeatures,
    CellSplit,
    hold_out_cells,
    hold_out_condition,
    hold_out_population,
)
from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import DescriptorTable
from pushforward.surrogates.cells.references import Populations

if TYPE_CHECKING:
    from pushforward.benchmarks.tasks.cells.config import CellsConfig

__all__ = ["SPLIT_KINDS", "Question", "Training", "plan", "pose"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What a model may see of a split while it is fitted: nothing of the held-out cells.

    Parameters
    ----------
    populations : (control, treated) coordinates of each training group.
    groups : (population, treatment) of each training group.
    treatment : the treated condition that is asked for.
    features : the coordinates, for models that need to know the genes.
    conditions : what was done, by treatment: its drug and dose, or its label.
    drugs : descriptors of the drugs, if there are any.
    """

    populations: Populations
    groups: dict[str, tuple[str, str]]
    treatment: str
    features: CellFeatures
    conditions: dict[str, dict[str, Any]]
    drugs: DescriptorTable | None


@dataclass(frozen=True)
class Question:
    """One split in fitted coordinates: training groups, given and asked-for cells."""

    split: CellSplit
    features: CellFeatures
    populations: Populations
    control: Tensor
    treated: Tensor
    conditions: dict[str, dict[str, Any]]
    drugs: DescriptorTable | None

    @property
    def other_effects(self) -> Tensor:
        """Mean changes of the training groups, (groups, d)."""
        pairs = self.populations.values()
        return torch.stack([treated.mean(0) - control.mean(0) for control, treated in pairs])

    def training(self, device: torch.device) -> Training:
        """The part that models are fitted on, on a device."""
        populations = {
            name: (control.to(device), treated.to(device))
            for name, (control, treated) in self.populations.items()
        }
        return Training(
            populations,
            self.split.groups,
            self.split.treatment,
            self.features,
            self.conditions,
            self.drugs,
        )


def _by_population(data: CellData, config: "CellsConfig", treatment: str) -> list[CellSplit]:
    populations = config.hold_out
    if populations is None:
        populations = data.populations_with(treatment)
        for left in sorted(set(data.populations) - set(populations)):
            log.warning("population %r lacks control or %r cells: left out", left, treatment)
    if not populations:
        raise DataError(f"no population has 2 control and 2 {treatment!r} cells.")
    return [hold_out_population(data, p, treatment) for p in populations]


def _by_condition(data: CellData, config: "CellsConfig", treatment: str) -> list[CellSplit]:
    return [hold_out_condition(data, treatment)]


def _by_cells(data: CellData, config: "CellsConfig", treatment: str) -> list[CellSplit]:
    return [hold_out_cells(data, treatment)]


def _by_part(part: str) -> "Callable[[CellData, CellsConfig, str], list[CellSplit]]":
    """Leave out a treatment with all others of the same drug, or of the same dose."""

    def splits(data: CellData, config: "CellsConfig", treatment: str) -> list[CellSplit]:
        conditions = conditions_of(data, config)
        if part not in conditions[treatment]:
            raise DataError(f"split = {part!r} needs {part}_key, the obs column of the {part}.")
        same = [t for t, c in conditions.items() if c[part] == conditions[treatment][part]]
        return [hold_out_condition(data, treatment, without=same)]

    return splits


SPLIT_KINDS: dict[str, Callable[[CellData, "CellsConfig", str], list[CellSplit]]] = {
    "population": _by_population,
    "condition": _by_condition,
    "drug": _by_part("drug"),
    "dose": _by_part("dose"),
    "cells": _by_cells,
}
"""Name -> (data, config, treatment) -> the splits that hold that kind of thing out."""


def plan(config: "CellsConfig", data: CellData) -> list[CellSplit]:
    """The splits of a run; everything wrong with the labels is found here, before any work."""
    if config.hold_out is not None and config.split != "population":
        raise DataError(
            f"hold_out names populations, but split = {config.split!r}. Name the condition with "
            "--treatment, or leave --hold_out away."
        )
    treatments = data.treatments if config.treatment is None else [config.treatment]
    splits = [s for t in treatments for s in SPLIT_KINDS[config.split](data, config, t)]
    for split in splits:
        if len(split.test_treated) < 4:
            raise DataError(
                f"population {split.name!r} has {len(split.test_treated)} treated cells; a score "
                "needs at least 4 (two halves of 2). Leave it out of --hold_out."
            )
    if "conditional_map" in config.models:
        conditions, drugs = conditions_of(data, config), drug_table(data, config)
        for split in splits:
            known = [conditions[t] for _, t in split.groups.values()]
            chunks_of(known, conditions[split.treatment], drugs, split.treatment, config.dose_curve)
    return splits


def pose(data: CellData, split: CellSplit, config: "CellsConfig") -> Question:
    """Fit the coordinates on the training cells of a split and look at all its cells in them."""
    options = config.features
    features = CellFeatures.fit(
        data,
        split.training_rows,
        n_genes=options.n_genes,
        n_components=options.n_components,
        unit_variance=options.unit_variance,
    )

    def cloud(rows: np.ndarray) -> Tensor:
        return torch.from_numpy(features.transform(data, rows))

    populations = {
        name: (cloud(split.control[name]), cloud(split.treated[name])) for name in split.control
    }
    return Question(
        split,
        features,
        populations,
        cloud(split.test_control),
        cloud(split.test_treated),
        conditions_of(data, config),
        drug_table(data, config),
    )
