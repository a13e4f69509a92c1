"""What a Monge map minimises: the Sinkhorn divergence to the treated cells plus the Monge gap."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.surrogates.cells.conditions import Context
from pushforward.surrogates.cells.costs import ElasticCost, PNormCost
from pushforward.surrogates.cells.offsets import PopulationOffsets
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.ot import (
    cost_matrix,
    displacement_cost,
    monge_gap,
    sinkhorn_divergence,
    solve_sample,
)

__all__ = ["MongeObjective", "MongeOptions"]

GroundCost = str | Callable[[Tensor, Tensor], Tensor]

# The value's error is of second order in the marginal's.
SOLVER: dict[str, Any] = {"tol": 1e-2, "max_iter": 200, "warn": False}

FARTHEST = 1e15  # squared distances stay below the largest float32, 3e38, with room to spare
LARGEST_SAMPLE = 1024  # cells looked at to measure the cost scale; the mean is stable by then


@dataclass(frozen=True)
class MongeOptions:
    """The objective of a Monge map.

    Parameters
    ----------
    cost
        ground cost of both terms: |z|², |z|, the elastic ½|z|² + γ|z|₁, or Σ|z_j|^p / p of the
        displacement z
    fit_eps
        entropic strength of the Sinkhorn divergence
    gap_eps
        entropic strength of the Monge gap; none computes it exactly, by assignment
    eps_unit
        mean_cost multiplies both by the mean cost (0.1 of it is the ott tutorial's rule);
        absolute takes them as they are
    gap_weight
        weight of the Monge gap beside the fit
    batch_size
        control and treated cells drawn from a population in a step
    populations_per_step
        populations in a step; fewer where there are fewer
    independent_batches
        compare cells with cells of another batch, not of the same one, in both terms; see
        `MongeObjective`
    l1_weight
        γ of the elastic cost, in the unit of the cells
    power
        p of the p_norm cost, between 1 and 2
    offset_spread
        size of the random offset given to both clouds of a population, as a multiple of how far
        apart the control means of the training populations lie; 0 gives none
    """

    cost: Literal["sqeuclidean", "euclidean", "elastic", "p_norm"] = "sqeuclidean"
    fit_eps: float = 0.1
    gap_eps: float | None = None
    eps_unit: Literal["mean_cost", "absolute"] = "mean_cost"
    gap_weight: float = 1.0
    batch_size: int = 128
    populations_per_step: int = 4
    independent_batches: bool = False
    l1_weight: float = 1.0
    power: float = 1.5
    offset_spread: float = 0.0

    def __post_init__(self) -> None:
        for name in ("fit_eps", "batch_size", "populations_per_step"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} = {getattr(self, name)} must be positive.")
        if self.gap_eps is not None and not self.gap_eps > 0:
            raise DataError(f"gap_eps = {self.gap_eps} must be positive, or none for exact.")
        if self.gap_weight < 0:
            raise DataError(f"gap_weight = {self.gap_weight} must not be negative.")
        if self.independent_batches and self.batch_size < 4:
            raise DataError(f"batch_size = {self.batch_size}; independent halves need at least 4.")
        _ = self.ground_cost  # refuses what its parameters cannot be

    @property
    def ground_cost(self) -> GroundCost:
        """The cost as `pushforward.surrogates.ot` takes it: a name, or a function."""
        if self.cost == "elastic":
            return ElasticCost(self.l1_weight)
        if self.cost == "p_norm":
            return PNormCost(self.power)
        return self.cost


class MongeObjective:
    r"""Fit and gap, averaged over the populations of a step.

        L(T) = mean_p [ S_ε(T#μ_p, ν_p) + λ M(T; μ_p) ] / c̄

    μ_p, ν_p are the control and treated cells of population p: a population is only ever compared
    with itself, so that differences between patients are not taken for effects of the treatment.
    S leaves out the term that does not depend on T. Estimated on n cells, its self term compares
    each cell with itself too, and the fitted cloud comes out too narrow, the more so the higher
    the dimension. With `independent_batches` halves A, B of a batch take its place,

        Ŝ = ½ OT_ε(T A, ν_A) + ½ OT_ε(T B, ν_B) − ½ OT_ε(T A, T B),

    whose error in the mean is the same for all three terms once T#μ = ν. The gap is then taken
    against the divergence, likewise on halves,

        M̂ = mean c(x, T x) − ½ OT_ε(A, T B) − ½ OT_ε(B, T A) + ½ OT_ε(A, B) + ½ OT_ε(T A, T B).

    Its mean is 0 for a translation and E c(x, T x) for a map that preserves μ, at any n and ε. The
    gap on one batch sees the pairs (x, T x) within it: in many dimensions they are the plan, and
    at an ε that lets others in it rewards spreading out. M̂ is blurred by ε and draws a little
    towards short displacements, so its weight is to be small (0.1).

    c̄, the mean cost within treated populations, makes the number (and so the learning rate)
    independent of the units of the cells.

    Parameters
    ----------
    populations : training populations by name, each (control, treated), on the model's device.
    options : see `MongeOptions`.
    context : for a conditional map, the encoded condition of each population in the order of
        `populations`, as `ConditionalMongeMap.encode` gives them; None for a map without.
    cost : a ground cost of one's own, a symmetric function of (*batch, n, d) and (*batch, m, d)
        that returns (*batch, n, m); None takes the one that `options` names.

    Raises
    ------
    DataError : no population, one with fewer than 2 cells, or not one condition a population.

    References
    ----------
    Uscidda and Cuturi, "The Monge Gap", ICML 2023, the training problem.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import MongeMap, MongeObjective, MongeOptions
    >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    >>> objective = MongeObjective({"a": (x, x + 1)}, MongeOptions(batch_size=32))
    >>> sorted(objective(MongeMap(2), torch.Generator().manual_seed(1)))
    ['fit', 'gap', 'loss']
    """

    def __init__(
        self,
        populations: Populations,
        options: MongeOptions,
        *,
        context: Context | None = None,
        cost: GroundCost | None = None,
    ):
        if not populations:
            raise DataError("no training population; give at least one (control, treated) pair.")
        for name, (control, treated) in populations.items():
            if len(control) < 2 or len(treated) < 2:
                raise DataError(
                    f"population {name!r} has {len(control)} control and {len(treated)} treated "
                    "cells; both need at least 2."
                )
        if context is not None and any(len(part) != len(populations) for part in context):
            raise DataError(
                f"{len(populations)} populations and {[len(part) for part in context]} encoded "
                "conditions; expected one condition for each population."
            )
        self.populations = dict(populations)
        self.options = options
        self.context = context
        self.cost = options.ground_cost if cost is None else cost
        self.cost_scale = self._mean_cost([(t, t) for _, t in populations.values()])
        between = self._mean_cost(list(populations.values()))
        relative = options.eps_unit == "mean_cost"
        self._offsets = PopulationOffsets(populations, options.offset_spread)
        self.fit_eps = options.fit_eps * (self.cost_scale if relative else 1.0)
        gap = options.gap_eps
        self.gap_eps = None if gap is None else gap * (between if relative else 1.0)

    def __call__(self, model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        """Loss and its two terms on a batch drawn from the generator."""
        names = list(self.populations)
        chosen = torch.randperm(len(names), generator=generator)[
            : self.options.populations_per_step
        ]
        chosen = chosen.sort().values
        batches = [self._draw(names[i], generator) for i in chosen.tolist()]
        x = torch.stack([control for control, _ in batches])
        y = torch.stack([treated for _, treated in batches])
        if self.context is None:
            moved = check_bounded(model(x))
        else:
            moved = check_bounded(model(x, condition=tuple(part[chosen] for part in self.context)))
        fit = self._fit(moved, y).mean()
        gap = self._gap(x, moved).mean()
        loss = (fit + self.options.gap_weight * gap) / self.cost_scale
        return {"loss": loss, "fit": fit.detach(), "gap": gap.detach()}

    def _fit(self, moved: Tensor, y: Tensor) -> Tensor:
        """The divergence of each population, without the term of the targets alone."""
        options = {"cost": self.cost, "eps": self.fit_eps, **SOLVER}
        if not self.options.independent_batches:
            return sinkhorn_divergence(moved, y, constant_target=True, **options)
        half = moved.shape[-2] // 2
        a, b = moved[..., :half, :], moved[..., half : 2 * half, :]
        y_a, y_b = y[..., :half, :], y[..., half : 2 * half, :]
        # One batch of three problems costs little more than one problem.
        found = solve_sample(torch.stack([a, b, a]), torch.stack([y_a, y_b, b]), **options)
        return (found.value[0] + found.value[1] - found.value[2]) / 2

    def _gap(self, x: Tensor, moved: Tensor) -> Tensor:
        """The Monge gap of each population."""
        options = {"cost": self.cost, "eps": self.gap_eps, **SOLVER}
        if not self.options.independent_batches:
            return monge_gap(x, moved, **options)
        half = x.shape[-2] // 2
        (a, b), (t_a, t_b) = ((c[..., :half, :], c[..., half : 2 * half, :]) for c in (x, moved))
        displacement = displacement_cost(x, moved, cost=self.cost).mean(-1)
        first, second = torch.stack([a, b, a, t_a]), torch.stack([t_b, t_a, b, t_b])
        across = solve_sample(first, second, **options).value
        return displacement - (across[0] + across[1] - across[2] - across[3]) / 2

    def _draw(self, name: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch of both clouds, with replacement, as in the papers' code."""
        size = (self.options.batch_size,)
        control, treated = (
            cloud[torch.randint(len(cloud), size, generator=generator).to(cloud.device)]
            for cloud in self.populations[name]
        )
        offset = self._offsets.draw(generator)
        return control + offset, treated + offset

    def _mean_cost(self, pairs: list[tuple[Tensor, Tensor]]) -> float:
        means = []
        for x, y in pairs:
            few = [c[:: -(-len(c) // LARGEST_SAMPLE)] for c in (x, y)]
            means.append(cost_matrix(few[0], few[1], cost=self.cost).mean())
        mean = torch.stack(means).mean().item()
        if not mean > 0:
            raise DataError("all treated cells coincide: their mean cost is 0, nothing to fit.")
        return mean


def check_bounded(moved: Tensor) -> Tensor:
    """The moved cells, unless some are not finite or so far away that their costs overflow.

    Raises
    ------
    DivergedError : says how many cells and how far.
    """
    largest = moved.detach().abs().amax(-1)
    lost = int((~(largest < FARTHEST)).sum())
    if lost:
        raise DivergedError(
            f"the map sends {lost} of {largest.numel()} cells out of range "
            f"(largest coordinate {largest.max().item():.3g})"
        )
    return moved
