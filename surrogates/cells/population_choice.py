"""Choosing the length of training and how far to go, on training populations alone."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.flow import mmd
from pushforward.surrogates.ot import cost_matrix, wasserstein
from pushforward.surrogates.training import Optimisation, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ChoiceOptions", "FittedTransport", "PopulationTransport", "fit_transport"]

log = logging.getLogger(__name__)

BANDWIDTHS = (0.05, 0.1, 0.25, 0.5, 1.0)  # variances of the kernels, in mean squared distances


@dataclass(frozen=True)
class ChoiceOptions:
    """How the number of steps and the horizon are chosen, by leaving training populations out.

    Parameters
    ----------
    every
        steps between candidates; 0 trains for all steps and goes all the way
    horizons
        candidates for how far along its path a cell is carried, from 0 (it stays) to 1
    cells
        cells a side in the score; the exact distance is cubic in their number
    """

    every: int = 100
    horizons: tuple[float, ...] = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    cells: int = 250

    def __post_init__(self) -> None:
        if self.every < 0 or self.cells < 2:
            raise DataError(
                f"every = {self.every}, cells = {self.cells}; must be at least 0 and 2."
            )
        ascending = all(a < b for a, b in zip(self.horizons, self.horizons[1:], strict=False))
        if not self.horizons or not ascending or not 0 < self.horizons[0] <= self.horizons[-1] <= 1:
            raise DataError(f"horizons = {self.horizons}; expected ascending numbers in (0, 1].")


class PopulationTransport(Protocol):
    """A model that moves a whole population and can stop on the way."""

    horizon: Tensor

    def trajectory(
        self,
        inputs: Tensor,
        horizons: Sequence[float],
        *,
        condition: dict[str, str] | None = None,
    ) -> list[Tensor]:
        """The population at each horizon."""
        ...


@dataclass(frozen=True)
class FittedTransport:
    """A trained model, its steps and horizon, and the scores that they were chosen from."""

    model: Surrogate
    steps: int
    horizon: float
    selection: list[dict[str, float]]


Build = Callable[[Populations], tuple[nn.Module, Surrogate, Callable]]
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
    r"""Fit a model on all groups, for as long and as far as served left-out training populations.

    Each training population in turn is left out, a model is fitted on the others, and its score
    on the one left out is followed over steps and horizons h:

        S = ½ W₂(T_h#μ, ν)/W₂(μ, ν) + ½ MMD(T_h#μ, ν)/MMD(μ, ν)

    1 is doing nothing, and is a candidate. The pair (steps, h) with the lowest mean over
    populations is taken. Going part of the way is what an unseen population, whose effect may be
    weaker, different or partly absent, asks for: the shrinkage that is right on average is
    measured, not assumed. Nothing of the caller's held-out data takes part.

    Parameters
    ----------
    populations : training groups by name, each (control, treated).
    build : called for the final model and for each left-out one; same seed, same initial weights.
    groups : group -> (population, treatment): whole populations are left out.
    optimisation : AdamW and the largest number of steps; a schedule needs `choice.every = 0`.
    choice : see `ChoiceOptions`.
    seed : of the batches.
    folder : where checkpoints are kept, so that a killed fit goes on; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Raises
    ------
    DataError : a learning-rate schedule together with a choice of steps.
    """
    if choice.every and optimisation.schedule != "constant":
        raise DataError(
            f"choice.every = {choice.every} needs schedule = constant, got "
            f"{optimisation.schedule!r}. Use one or the other."
        )

    def fit(chosen: Populations, steps: int, part: str, unseen: list[str]) -> tuple:
        trained, transport, objective = build(chosen)
        trained.to(next(iter(chosen.values()))[0].device)
        evaluate = _Score(transport, populations, groups, unseen, choice) if unseen else None
        history: list = []
        if steps:
            history = train(
                trained,
                objective,
                replace(optimisation, steps=steps),
                seed=seed,
                folder=folder / part if folder else None,
                evaluate=evaluate,
                evaluate_every=choice.every if evaluate else 0,
                fabric=fabric,
                label=f"{label} ({part})",
            ).history
        return transport.eval(), history

    steps, horizon, selection = optimisation.steps, 1.0, []
    people = sorted({groups[name][0] for name in populations})
    if choice.every and len(people) > 1:
        cached = folder / "selection.json" if folder else None
        if cached is not None and cached.exists():
            selection = json.loads(cached.read_text())
        else:
            curves = []
            for i, person in enumerate(people):
                unseen = [name for name in populations if groups[name][0] == person]
                others = {k: v for k, v in populations.items() if k not in unseen}
                curves.append(fit(others, steps, f"without-{i}", unseen)[1])
            selection = _mean_scores(curves, choice)
            if cached is not None:
                write_json(cached, selection)
        best = min(selection, key=lambda point: point["score"])
        steps, horizon = int(best["step"]), best["horizon"]
        log.debug("%s: %d steps, horizon %g chosen", label, steps, horizon)
    elif choice.every:
        log.info("%s: one training population, so nothing to choose by: all steps", label)
    model, _ = fit(populations, steps, "final", [])
    model.horizon.fill_(horizon)
    return FittedTransport(model, steps, horizon, selection)


def _mean_scores(curves: list[list[dict]], choice: ChoiceOptions) -> list[dict[str, float]]:
    selection = [{"step": 0.0, "horizon": 0.0, "score": 1.0}]
    for points in zip(*curves, strict=True):
        for h in choice.horizons:
            mean = sum(p[f"{h:g}"] for p in points) / len(points)
            selection.append({"step": float(points[0]["step"]), "horizon": h, "score": mean})
    return selection


class _Score:
    """S of the transport on some groups, at each horizon, on fixed cells."""

    def __init__(
        self,
        transport: Surrogate,
        populations: Populations,
        groups: dict[str, tuple[str, str]],
        names: list[str],
        choice: ChoiceOptions,
    ):
        self.transport, self.choice = cast(PopulationTransport, transport), choice
        self.parts = []
        for name in names:
            control, treated = populations[name]
            n = min(len(control), len(treated), choice.cells)
            own, target = (_thin(cloud, n) for cloud in (control, treated))
            person, treatment = groups[name]
            # A left-out population stands for an unseen one, whose name a model cannot know.
            condition = {"population": f"(unseen) {person}", "treatment": treatment}
            bandwidths = [b * cost_matrix(target, target).mean().item() for b in BANDWIDTHS]
            start = self._distances(own, target, bandwidths)
            self.parts.append((control, n, target, bandwidths, condition, start))

    def __call__(self, model: nn.Module) -> dict[str, float]:
        totals = dict.fromkeys(self.choice.horizons, 0.0)
        for control, n, target, bandwidths, condition, start in self.parts:
            path = self.transport.trajectory(control, self.choice.horizons, condition=condition)
            for h, moved in zip(self.choice.horizons, path, strict=True):
                now = self._distances(_thin(moved, n), target, bandwidths)
                ratios = [a / b if b > 0 else 1.0 for a, b in zip(now, start, strict=True)]
                totals[h] += sum(ratios) / len(ratios) / len(self.parts)
        return {f"{h:g}": total for h, total in totals.items()}

    @staticmethod
    def _distances(x: Tensor, y: Tensor, bandwidths: list[float]) -> tuple[float, float]:
        return wasserstein(x, y).item(), mmd(x, y, bandwidths=bandwidths).item()


def _thin(cloud: Float[Tensor, "n d"], n: int) -> Float[Tensor, "k d"]:
    """`n` rows spread evenly over the cloud."""
    index = torch.linspace(0, len(cloud) - 1, n, device=cloud.device).round().long()
    return cloud[index]
