"""Fitting a population transport and calibrating it by leaving training populations out."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.surrogates.cells.population_calibration import (
    Calibration,
    CalibrationSettings,
    PopulationTransport,
)
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.flow import mmd
from pushforward.surrogates.ot import cost_matrix, wasserstein
from pushforward.surrogates.training import Optimisation, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ChoiceOptions", "FittedTransport", "fit_transport"]

log = logging.getLogger(__name__)

CANDIDATES: dict[str, tuple[float, ...]] = {
    "effect": (0.0, 0.4, 0.6, 0.8, 1.0),
    "alignment": (0.0, 0.1, 0.2, 0.3, 0.4, 0.6),
    "detail": (0.0, 0.5, 1.0),
}
"""Values tried for each number of a calibration, one number after the other."""

SWEEPS = 3  # over the three numbers, from the uncalibrated displacement on
BANDWIDTHS = (0.1, 0.25, 0.5)  # variances of the kernels, in mean squared distances


@dataclass(frozen=True)
class ChoiceOptions:
    """How a calibration is chosen, by leaving training populations out.

    Parameters
    ----------
    calibrate
        choose one; without it the raw prediction is taken
    cells
        cells a side in the score; the exact distance is cubic in their number
    """

    calibrate: bool = True
    cells: int = 250

    def __post_init__(self) -> None:
        if self.cells < 2:
            raise DataError(f"cells = {self.cells}; must be at least 2.")


@dataclass(frozen=True)
class FittedTransport:
    """A trained model, and the calibrations that were tried with their scores (1: identity)."""

    model: PopulationTransport
    steps: int
    selection: list[dict[str, float]]


Build = Callable[[Populations], tuple[nn.Module, PopulationTransport, Callable]]
"""Training groups -> what is trained, the transport inside it, and its objective."""


def fit_transport(
    populations: Populations,
    build: Build,
    *,
    groups: dict[str, tuple[str, str]],
    optimisation: Optimisation,
    choice: ChoiceOptions,
    seed: int,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "transport",
) -> FittedTransport:
    r"""Fit a model on all groups, as boldly as served left-out training populations.

    Each training population in turn is left out and a model is fitted on the others. Its raw
    prediction for the one left out is calibrated with candidates, and the one with the lowest
    mean score over populations is taken for the final model, which is fitted on all groups:

        S = max{ (W₂(T#μ, ν) − F)/(W₂(μ, ν) − F),  MMD²(T#μ, ν)/MMD²(μ, ν) }

    F is the distance between halves of ν, so that 1 is doing nothing and 0 as good as a second
    sample. The worse of the two counts, so that neither is bought with the other. Nothing of the
    caller's held-out data takes part. With one training population there is nothing to choose by,
    and the raw prediction stays.

    Parameters
    ----------
    populations : training groups by name, each (control, treated).
    build : called for the final model and for each left-out one; same seed, same initial weights.
    groups : group -> (population, treatment): whole populations are left out.
    optimisation : steps and AdamW.
    choice : see `ChoiceOptions`.
    seed : of the batches.
    folder : where checkpoints are kept, so that a killed fit goes on; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.
    """

    def fit(chosen: Populations, part: str) -> PopulationTransport:
        trained, transport, objective = build(chosen)
        trained.to(next(iter(chosen.values()))[0].device)
        train(
            trained,
            objective,
            optimisation,
            seed=seed,
            folder=folder / part if folder else None,
            fabric=fabric,
            label=f"{label} ({part})",
        )
        return transport.eval()

    people = sorted({groups[name][0] for name in populations})
    selection: list[dict[str, float]] = []
    if choice.calibrate and len(people) > 1:
        cached = folder / "selection.json" if folder else None
        if cached is not None and cached.exists():
            selection = json.loads(cached.read_text())
        else:
            left_out = []
            for i, person in enumerate(people):
                unseen = {k: v for k, v in populations.items() if groups[k][0] == person}
                others = {k: v for k, v in populations.items() if k not in unseen}
                transport = fit(others, f"without-{i}")
                left_out += [
                    _LeftOut(transport, pair, groups[name], _controls(others), choice.cells)
                    for name, pair in unseen.items()
                ]
            selection = _search(left_out)
            if cached is not None:
                write_json(cached, selection)
    elif choice.calibrate:
        log.info("%s: one training population, so nothing to calibrate by", label)
    model = fit(populations, "final")
    if selection:
        best = min(selection, key=lambda point: point["score"])
        settings = CalibrationSettings(**{k: best[k] for k in CANDIDATES})
        log.debug("%s: %s, score %.3f", label, settings, best["score"])
        model.calibration.set(settings, _controls(populations))
    return FittedTransport(model, optimisation.steps, selection)


def _controls(populations: Populations) -> list[Tensor]:
    return [control for control, _ in populations.values()]


def _search(left_out: list["_LeftOut"]) -> list[dict[str, float]]:
    """Coordinate descent over the candidates; every point tried, with its mean score."""
    scores: dict[CalibrationSettings, float] = {}
    usable = [part for part in left_out if part.has_effect]

    def score(settings: CalibrationSettings) -> float:
        if settings not in scores:
            scores[settings] = sum(part.score(settings) for part in usable) / len(usable)
        return scores[settings]

    if not usable:
        return []
    best = CalibrationSettings()
    for _ in range(SWEEPS):
        before = best
        for name, values in CANDIDATES.items():
            best = min((replace(best, **{name: value}) for value in values), key=score)
        if best == before:
            break
    return [{**asdict(settings), "score": value} for settings, value in scores.items()]


class _LeftOut:
    """S of a raw prediction for a left-out group under any calibration, on fixed cells."""

    def __init__(
        self,
        transport: PopulationTransport,
        pair: tuple[Tensor, Tensor],
        group: tuple[str, str],
        controls: list[Tensor],
        cells: int,
    ):
        control, treated = pair
        # A left-out population stands for an unseen one, whose name a model cannot know.
        condition = {"population": f"(unseen) {group[0]}", "treatment": group[1]}
        with torch.no_grad():
            self.moved = transport(control, condition=condition)
        self.control, self.controls = control, controls
        self.n = max(min(len(control), len(treated) // 2, cells), 2)
        self.target = _thin(treated[1::2], self.n)
        self.bandwidths = [b * cost_matrix(treated, treated).mean().item() for b in BANDWIDTHS]
        self.floor = wasserstein(_thin(treated[::2], self.n), self.target).item()
        self.identity = self._distances(control)
        self.has_effect = self.identity[0] > self.floor and self.identity[1] > 0

    def score(self, settings: CalibrationSettings) -> float:
        calibration = Calibration(self.control.shape[1]).to(self.control.device)
        calibration.set(settings, self.controls)
        w2, kernel = self._distances(calibration(self.control, self.moved))
        start, kernel_start = self.identity
        return max((w2 - self.floor) / (start - self.floor), kernel / kernel_start)

    def _distances(self, cloud: Tensor) -> tuple[float, float]:
        x = _thin(cloud, self.n)
        distance = mmd(x, self.target, bandwidths=self.bandwidths)
        return wasserstein(x, self.target).item(), distance.item()


def _thin(cloud: Float[Tensor, "n d"], n: int) -> Float[Tensor, "k d"]:
    """`n` rows spread evenly over the cloud."""
    index = torch.linspace(0, len(cloud) - 1, n, device=cloud.device).round().long()
    return cloud[index]
