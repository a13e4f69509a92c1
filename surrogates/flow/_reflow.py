"""Few-step training on the pairs a field makes itself: reflow, distillation, straightening."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Pairs
from ._objective import Field, call_field, per_sample_loss
from ._ode import Method, ODESampler
from ._path import broadcast_time

__all__ = ["DistillationLoss", "StraighteningLoss", "reflow"]


def reflow(
    field: Field,
    x0: Float[Tensor, "..."],
    *,
    steps: int = 100,
    method: Method = "heun",
    sampler: ODESampler | None = None,
    **condition: Any,
) -> Pairs:
    """The pairs (x0, ODE(x0)) of a field, to train the next one with `PairedCoupling`.

    Marginals are kept and no convex transport cost rises; straight couplings are fixed points.
    Solve with more steps than you evaluate with: each round keeps the error of the one before, so
    two rounds are usually enough. With ``FlowMatchingLoss(path, PairedCoupling(), prediction=...,
    loss="huber")`` the same pairs make Rectified Diffusion: any path, any prediction, the goal
    being a first-order (not a straight) trajectory, see `first_order_defect`.

    ``steps`` and ``method`` of the solver, or a ready ``sampler``, e.g. for other predictions.
    Sources: Liu, Gong, Liu, *Flow Straight and Fast*, 2022; Wang et al., *Rectified Diffusion*,
    2024.

    >>> pairs = reflow(lambda x, t: torch.ones_like(x), torch.zeros(2, 1), steps=4)
    >>> pairs.x1.flatten().tolist()
    [1.0, 1.0]
    """
    if sampler is None:
        sampler = ODESampler(field, method=method, steps=steps)
    x1 = sampler.sample(x0, **condition).x
    return Pairs(x0, x1)


class DistillationLoss:
    """k-step distillation on pairs: the flow-matching loss at times 0, 1/k, ..., (k-1)/k only.

    For k = 1 it is |x0 + v(x0, 0) - x1|². Only the times that k Euler steps visit are trained.
    Distil after reflow: pairs of a curved flow cannot be joined by few straight steps.

    >>> loss = DistillationLoss(2)
    >>> loss(lambda x, t: torch.ones_like(x), torch.zeros(4, 1), torch.ones(4, 1)).item()
    0.0
    """

    def __init__(self, steps: int = 1) -> None:
        if steps < 1:
            raise DataError(f"steps = {steps}; at least one step is needed.")
        self.steps = steps

    def __call__(
        self,
        model: Field,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Float[Tensor, ""]:
        """The loss of one batch of pairs, a scalar."""
        k = torch.randint(self.steps, (len(x0),), generator=generator, device=x0.device)
        t = k.to(x0.dtype) / self.steps
        x_t = torch.lerp(x0, x1, broadcast_time(t, x0))
        return torch.nn.functional.mse_loss(call_field(model, x_t, t, **condition), x1 - x0)


class StraighteningLoss:
    """E|v(x_a, a) - (x_b - x_a)/(b - a)|² over the intervals (a, b) of a grid (BOSS).

    Takes what `straightening_pairs` returns, whole or a batch of its rows.

    >>> x, t = torch.zeros(3, 1), torch.zeros(3)
    >>> StraighteningLoss()(lambda x, t: 2 + 0 * x, x, x + 1, t, t + 0.5).item()
    0.0
    """

    def __call__(
        self,
        model: Field,
        start: Float[Tensor, "..."],
        end: Float[Tensor, "..."],
        t_start: Float[Tensor, "..."],
        t_end: Float[Tensor, "..."],
        **condition: Any,
    ) -> Float[Tensor, ""]:
        """The loss of rows (batch, *shape) with their times (batch,)."""
        width = broadcast_time(t_end - t_start, start)
        out = call_field(model, start, t_start, **condition)
        return per_sample_loss(out - (end - start) / width, "mse").mean()
