"""A small network that carries the velocity from one step to the next (FlowTurbo)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._objective import Field, call_field
from ._path import broadcast_time
from ._solution import Solution, check_finite

__all__ = ["RefinedSampler", "RefinerLoss"]

#: refiner(x, t, v_previous, **condition) -> correction of the velocity, shape of x.
Refiner = Callable[..., Tensor]


class RefinerLoss:
    """E|r(x', t', v) + v - u(x', t')|², x' = x_t + δ v, t' = t + δ: learn the change of velocity.

    The teacher u is frozen, v = u(x_t, t) on the linear path between noise and data, δ uniform in
    (0, ``max_step``) (0.12 as released) and cut so that t' ≤ 1. A velocity changes little over a
    step, so a network of a few per cent of the teacher's size can follow it.

    Source: Zhao et al., *FlowTurbo*, 2024.

    >>> teacher = lambda x, t: torch.ones_like(x)
    >>> none = lambda x, t, v: torch.zeros_like(x)
    >>> RefinerLoss(teacher)(none, torch.zeros(4, 2), torch.ones(4, 2)).item()
    0.0
    """

    def __init__(self, teacher: Field, *, max_step: float | int = 0.12) -> None:
        if not 0 < max_step <= 1:
            raise DataError(f"max_step = {max_step}; expected a step in (0, 1].")
        self.teacher, self.max_step = teacher, max_step

    def __call__(
        self,
        refiner: Refiner,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Float[Tensor, ""]:
        """The loss of one batch, a scalar."""
        draws = torch.rand((2, len(x1)), generator=generator, dtype=x1.dtype, device=x1.device)
        t = draws[0]
        later = (t + self.max_step * draws[1]).clamp_max(1)
        with torch.no_grad():
            x_t = torch.lerp(x0, x1, broadcast_time(t, x1))
            v = call_field(self.teacher, x_t, t, **condition)
            moved = x_t + broadcast_time(later - t, x1) * v
            target = call_field(self.teacher, moved, later, **condition) - v
        return torch.nn.functional.mse_loss(refiner(moved, later, v, **condition), target)


class RefinedSampler:
    """``heun`` Heun steps, then ``pseudo`` pseudo-corrector steps, then ``refined`` steps.

    On a uniform grid of all their steps. A refined step is Heun's with both slopes from the
    refiner: d = v + r(x, t, v), then d + r(x + h d, t + h, d). ``nfe`` counts calls of the field,
    2 heun + pseudo (+ 1 if there is no Heun step before); each refined step is 2 cheap calls.

    >>> still = lambda x, t: torch.ones_like(x)
    >>> keep = lambda x, t, v: torch.zeros_like(x)
    >>> sampler = RefinedSampler(still, keep, heun=1, pseudo=1, refined=2)
    >>> solution = sampler.sample(torch.zeros(1, 1))
    >>> solution.x.item(), solution.nfe
    (1.0, 3)
    """

    def __init__(
        self, field: Field, refiner: Refiner, *, heun: int, pseudo: int, refined: int
    ) -> None:
        if min(heun, pseudo, refined) < 0 or heun + pseudo + refined < 1:
            raise DataError(
                f"heun = {heun}, pseudo = {pseudo}, refined = {refined}; none is negative."
            )
        self.field, self.refiner = field, refiner
        self.plan = "H" * heun + "P" * pseudo + "R" * refined

    def sample(self, x0: Float[Tensor, "..."], **condition: Any) -> Solution:
        """Carry x0 (batch, *shape) from time 0 to 1, without gradients."""
        nfe = 0

        def u(x: Tensor, t: Tensor) -> Tensor:
            nonlocal nfe
            nfe += 1
            return call_field(self.field, x, t.expand(len(x)), **condition)

        def r(x: Tensor, t: Tensor, v: Tensor) -> Tensor:
            return v + self.refiner(x, t.expand(len(x)), v, **condition)

        ts = torch.linspace(0, 1, len(self.plan) + 1, dtype=x0.dtype, device=x0.device)
        x, last = x0, None
        with torch.no_grad():
            for i, kind in enumerate(self.plan):
                t, s = ts[i], ts[i + 1]
                h = s - t
                if kind == "R":
                    d = r(x, t, u(x, t) if last is None else last)
                    end = r(x + h * d, s, d)
                    x, last = x + h / 2 * (d + end), d
                else:
                    d = u(x, t) if kind == "H" or last is None else last
                    last = u(x + h * d, s)
                    x = x + h / 2 * (d + last)
                check_finite(x, step=i, t=float(s), method="refined")
        return Solution(x, ts, None, nfe)
