"""Transition matching: learn the law of the whole displacement, not only its mean."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Coupling, IndependentCoupling
from ._objective import follow_conditions, weighted_mean
from ._path import broadcast_time
from ._solution import Solution, check_finite

__all__ = ["TransitionMatchingLoss", "TransitionModel", "TransitionSampler"]


@runtime_checkable
class TransitionModel(Protocol):
    """What difference transition matching needs from a network: a backbone and a light head."""

    def features(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """h = f(x, t), computed once a step; t (batch,)."""
        ...

    def head(self, y: Tensor, s: Tensor, h: Tensor) -> Tensor:
        """Velocity of the inner flow at y (batch, *shape) and its time s (batch,), given h."""
        ...


class TransitionMatchingLoss:
    """Difference transition matching (DTM) with T outer steps.

    Given x_t = (1-t) x0 + t x1 at t = k/T the displacement Y = x1 - x0 has a law, which an inner
    flow from N(0, I) learns: E|g(Y_s, s, h) - (Y - Y_0)|², Y_s = (1-s) Y_0 + s Y, h = f(x_t, t),
    k uniform in 0..T-1 and s uniform in (0, 1). With a perfect head every marginal is exact for
    any T, where Euler steps of flow matching shrink the variance. T → ∞ is flow matching.

    Arguments: ``steps`` T; ``coupling`` as in `FlowMatchingLoss`. Called with a `TransitionModel`.
    Source: Shaul et al., *Transition Matching*, 2025.

    >>> class Zero:
    ...     def features(self, x, t): return x
    ...     def head(self, y, s, h): return 0 * y
    >>> loss = TransitionMatchingLoss(4)(Zero(), torch.zeros(8, 2), torch.zeros(8, 2),
    ...                                  generator=torch.Generator().manual_seed(0))
    >>> 0 < loss.item() < 3
    True
    """

    def __init__(
        self, steps: int, coupling: Coupling | None = None, *, condition_key: str | None = None
    ) -> None:
        if steps < 1:
            raise DataError(f"steps = {steps}; at least one transition is needed.")
        self.steps, self.condition_key = steps, condition_key
        self.coupling: Coupling = IndependentCoupling() if coupling is None else coupling

    def __call__(
        self,
        model: TransitionModel,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Float[Tensor, ""]:
        """The loss of one batch, a scalar."""
        pairs, condition = follow_conditions(
            self.coupling, x0, x1, condition, condition_key=self.condition_key, generator=generator
        )
        x0, x1, n = pairs.x0, pairs.x1, len(pairs.x1)
        k = torch.randint(self.steps, (n,), generator=generator, device=x1.device)
        t = k.to(x1.dtype) / self.steps
        s = torch.rand(n, generator=generator, dtype=x1.dtype, device=x1.device)
        y0 = torch.randn(x1.shape, generator=generator, dtype=x1.dtype, device=x1.device)
        y, sb = x1 - x0, broadcast_time(s, x1)
        h = model.features(torch.lerp(x0, x1, broadcast_time(t, x1)), t, **condition)
        out = model.head(torch.lerp(y0, y, sb), s, h)
        if out.shape != y.shape:
            raise DataError(
                f"the head returned {tuple(out.shape)} for y of shape {tuple(y.shape)}; it must "
                "return the shape of y."
            )
        return weighted_mean((out - (y - y0)).flatten(1).square().mean(1), pairs.weight)


class TransitionSampler:
    """x ← x + Y/T for T outer steps, Y drawn by ``head_steps`` Heun steps of the inner flow.

    ``nfe`` of the `Solution` counts backbone calls, T; the head is called 2 T head_steps times.

    >>> class Shift:
    ...     def features(self, x, t): return x
    ...     def head(self, y, s, h): return (1 - y) / (1 - s[:, None]).clamp_min(1e-3)
    >>> sampler = TransitionSampler(Shift(), steps=2, head_steps=1)
    >>> sampler.sample(torch.zeros(3, 1), generator=torch.Generator().manual_seed(0)).nfe
    2
    """

    def __init__(self, model: TransitionModel, *, steps: int, head_steps: int = 4) -> None:
        if steps < 1 or head_steps < 1:
            raise DataError(f"steps = {steps}, head_steps = {head_steps}; both are at least 1.")
        self.model, self.steps, self.head_steps = model, steps, head_steps

    def sample(
        self,
        x0: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Solution:
        """Carry x0 (batch, *shape) from time 0 to 1, without gradients."""
        n, x = len(x0), x0
        ts = torch.linspace(0, 1, self.steps + 1, dtype=x0.dtype, device=x0.device)
        inner = torch.linspace(0, 1, self.head_steps + 1, dtype=x0.dtype, device=x0.device)
        with torch.no_grad():
            for k in range(self.steps):
                h = self.model.features(x, ts[k].expand(n), **condition)
                y = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
                for i in range(self.head_steps):
                    a, b = inner[i], inner[i + 1]
                    d = self.model.head(y, a.expand(n), h)
                    d = (d + self.model.head(y + (b - a) * d, b.expand(n), h)) / 2
                    y = y + (b - a) * d
                x = x + y / self.steps
                check_finite(x, step=k, t=float(ts[k + 1]), method="transition")
        return Solution(x, ts, None, self.steps)
