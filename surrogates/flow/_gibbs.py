"""Gibbs-weighted coupling: independent pairs, weighted towards short ones."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ..ot import cost_matrix, displacement_cost, solve
from ._coupling import Pairs, check_batches

__all__ = ["GibbsCoupling"]

Cost = str | Callable[[Tensor, Tensor], Tensor]


class GibbsCoupling:
    """Weight each independent pair by w = exp(-c(x0, x1)/eps), normalised to mean 1 in the batch.

    It costs nothing beside the loss and equals training on π ∝ exp(-c/eps) p0 p1. That is an
    entropic plan *of its own marginals*: both are tilted towards each other, the more so the
    smaller eps is. ``potentials=True`` removes the tilt with the entropic potentials of the batch,
    w = exp((f(x0) + g(x1) - c)/eps): the expected weight of every point is then 1, at the price of
    an entropic solve (O(n²) a sweep).

    Arguments: ``eps`` in units of the cost, or of the batch's mean pair cost if ``relative``;
    ``cost`` "euclidean" by default, because squares spread the weights more. Watch the effective
    sample share mean(w)²/mean(w²). Raises `DataError` for eps ≤ 0 or unequal batches.

    Source: Calvo-Ordonez et al., weighted conditional flow matching, 2025.

    >>> w = GibbsCoupling(1.0)(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]])).weight
    >>> [round(v, 4) for v in w.tolist()]
    [1.4621, 0.5379]
    """

    uses_conditions = False

    def __init__(
        self,
        eps: float | int = 1.0,
        *,
        cost: Cost = "euclidean",
        relative: bool = False,
        potentials: bool = False,
    ) -> None:
        if not eps > 0:
            raise DataError(f"eps = {eps}; the Gibbs weight needs eps > 0.")
        self.eps, self.cost, self.relative, self.potentials = eps, cost, relative, potentials

    def __call__(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Row i with row i, and the weights; conditions are not looked at."""
        check_batches(x0, x1, name="GibbsCoupling")
        with torch.no_grad():
            if self.potentials:
                log_w = self._log_weight_with_potentials(x0, x1)
            else:
                c = displacement_cost(x0.flatten(1), x1.flatten(1), cost=self.cost)
                log_w = -c / self._strength(c)
            # softmax is exp over its sum, with the maximum subtracted first: no overflow.
            weight = log_w.softmax(0) * len(x0)
        return Pairs(x0, x1, weight=weight)

    def _strength(self, c: Tensor) -> float | Tensor:
        return self.eps * c.mean().clamp_min(1e-30) if self.relative else self.eps

    def _log_weight_with_potentials(self, x0: Tensor, x1: Tensor) -> Tensor:
        c = cost_matrix(x0.flatten(1), x1.flatten(1), cost=self.cost)
        eps = float(self._strength(c.diagonal()))
        f, g = solve(c, eps=eps).potentials
        return (f + g - c.diagonal()) / eps
