"""Which cells train and which are held out: by population, by condition, or by cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from pushforward.datasets.cells.data import CellData, shown
from pushforward.simulators.errors import DataError

__all__ = ["CellSplit", "hold_out_cells", "hold_out_condition", "hold_out_population"]


@dataclass(frozen=True)
class CellSplit:
    """Row numbers of training and held-out cells, for one question.

    Parameters
    ----------
    name : names the split in result files.
    treatment : the treated condition that is asked for.
    control, treated : training rows by group. The keys of both are the same.
    test_control : control cells that are given at test time.
    test_treated : treated cells that nothing but the score may see.
    groups : (population, treatment) of each training group.
    """

    name: str
    treatment: str
    control: dict[str, Int[ndarray, " _"]]
    treated: dict[str, Int[ndarray, " _"]]
    test_control: Int[ndarray, " _"]
    test_treated: Int[ndarray, " _"]
    groups: dict[str, tuple[str, str]]

    @property
    def training_rows(self) -> Int[ndarray, " n"]:
        """All training rows: what preprocessing may be fitted on."""
        return np.concatenate([*self.control.values(), *self.treated.values()])


def hold_out_population(data: CellData, population: str, treatment: str) -> CellSplit:
    """Leave one population out: its control cells are given, its treated cells are asked for.

    Raises
    ------
    DataError : unknown population or treatment, or no other population to learn from.
    """
    _check_treatment(data, treatment)
    usable = data.populations_with(treatment)
    if population not in data.populations:
        raise DataError(
            f"no population {population!r} in obs column {data.population_key!r}. "
            f"Populations present: {shown(data.populations, 40)}."
        )
    if population not in usable:
        raise DataError(
            f"population {population!r} has {len(data.rows(population, data.control))} control "
            f"and {len(data.rows(population, treatment))} {treatment!r} cells; holding it out "
            f"needs 2 of each. Populations with both: {shown(usable, 40)}."
        )
    others = [p for p in usable if p != population]
    if not others:
        raise DataError(
            f"only population {population!r} was measured under {treatment!r}; leaving it out "
            "leaves nothing to learn from. Give data of at least two populations."
        )
    return CellSplit(
        name=population if len(data.treatments) == 1 else f"{treatment}-{population}",
        treatment=treatment,
        control={p: data.rows(p, data.control) for p in others},
        treated={p: data.rows(p, treatment) for p in others},
        test_control=data.rows(population, data.control),
        test_treated=data.rows(population, treatment),
        groups={p: (p, treatment) for p in others},
    )


def hold_out_condition(data: CellData, treatment: str, *, without: Sequence[str] = ()) -> CellSplit:
    """Leave one treatment out: train on all others, one (population, treatment) a group.

    The groups' keys are `population|treatment`; the control cells of a population stand beside
    each of its treatments and are also the ones given at test time.

    Parameters
    ----------
    data : the cells.
    treatment : the one asked for.
    without : treatments that training must not see either, such as other doses of the same drug.

    Raises
    ------
    DataError : unknown treatment, nothing left to learn from, or no population with 2 cells of
        each kind.
    """
    _check_treatment(data, treatment)
    left_out = {treatment, *without}
    others = [t for t in data.treatments if t not in left_out]
    if not others:
        raise DataError(
            f"leaving out {shown(sorted(left_out))} leaves nothing to learn from: "
            f"{treatment!r} is the only treatment, or like all others."
        )
    groups = [(p, t) for t in others for p in data.populations_with(t)]
    asked = data.populations_with(treatment)
    if not groups or not asked:
        raise DataError(f"no population has 2 control and 2 treated cells beside {treatment!r}.")
    return CellSplit(
        name=treatment,
        treatment=treatment,
        control={f"{p}|{t}": data.rows(p, data.control) for p, t in groups},
        treated={f"{p}|{t}": data.rows(p, t) for p, t in groups},
        test_control=np.concatenate([data.rows(p, data.control) for p in asked]),
        test_treated=np.concatenate([data.rows(p, treatment) for p in asked]),
        groups={f"{p}|{t}": (p, t) for p, t in groups},
    )


def hold_out_cells(
    data: CellData, treatment: str, *, fraction: float = 0.2, seed: int = 0
) -> CellSplit:
    """Leave a random share of the cells of every population and condition out.

    Parameters
    ----------
    fraction : share held out of each group, at least one cell and never all of them.
    seed : of the draw; the same seed gives the same split.
    """
    _check_treatment(data, treatment)
    if not 0 < fraction < 1:
        raise DataError(f"fraction = {fraction} must lie strictly between 0 and 1.")
    rng = np.random.default_rng(seed)
    kept: dict[str, dict[str, ndarray]] = {data.control: {}, treatment: {}}
    tested: dict[str, list[ndarray]] = {data.control: [], treatment: []}
    usable = data.populations_with(treatment)
    if not usable:
        raise DataError(f"no population has 2 control and 2 {treatment!r} cells.")
    for population in usable:
        for condition in (data.control, treatment):
            rows = rng.permutation(data.rows(population, condition))
            n_test = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
            tested[condition].append(np.sort(rows[:n_test]))
            kept[condition][population] = np.sort(rows[n_test:])
    return CellSplit(
        name=f"{treatment}-cells",
        treatment=treatment,
        control=kept[data.control],
        treated=kept[treatment],
        test_control=np.concatenate(tested[data.control]),
        test_treated=np.concatenate(tested[treatment]),
        groups={p: (p, treatment) for p in usable},
    )


def _check_treatment(data: CellData, treatment: str) -> None:
    if treatment not in data.treatments:
        raise DataError(
            f"no treatment {treatment!r} in obs column {data.condition_key!r}. "
            f"Treatments present: {shown(data.treatments, 40)} (control: {data.control!r})."
        )
