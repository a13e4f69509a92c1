"""MeanFlow: learn the average velocity over an interval, for sampling in one step."""

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Coupling, IndependentCoupling
from ._objective import Field, follow_conditions, weighted_mean
from ._path import Path, broadcast_time
from ._schedules import LinearPath
from ._solution import Solution, check_finite
from ._time import TimeLaw, draw_times

__all__ = ["MeanFlowLoss", "MeanFlowSampler"]


class MeanFlowLoss:
    """Match u(x, t, s) = (1/(s-t)) ∫_t^s v dτ, the mean velocity from time t to a later time s.

    The identity u = v + (s-t) (∂_t u + (∇_x u) v) gives the regression target; its bracket is one
    forward-mode derivative of the network along (v, 1, 0), and no gradient flows through the
    target. With v replaced by the conditional velocity dx_t the minimiser is unchanged. A step of
    any length is then exact: x_s = x_t + (s-t) u(x_t, t, s), see `MeanFlowSampler`.

    The model is called ``model(x, t, s, **condition)`` with t, s of shape (batch,).

    Arguments: ``path``, ``coupling``, ``time`` as in `FlowMatchingLoss`; ``share_equal``, the
    share of pairs with s = t, which is plain flow matching (0.75, as in the released code);
    ``power`` p of the adaptive weight 1/(|error|² + c)^p with ``c`` (1 and 0.01, as released;
    power=0: plain squares); ``velocity``, an exact or taught field v(x, t) to use in place of the
    conditional velocity (distillation). Cost: about two forward passes and one backward.

    Source: Geng et al., *Mean Flows for One-step Generative Modeling*, 2025 (there time runs from
    data to noise, and the identity has the opposite sign).

    >>> still = lambda x, t, s: torch.ones_like(x)
    >>> MeanFlowLoss(power=0)(still, torch.zeros(4, 2), torch.ones(4, 2)).item()
    0.0
    """

    def __init__(
        self,
        path: Path | None = None,
        coupling: Coupling | None = None,
        *,
        share_equal: float | int = 0.75,
        power: float | int = 1.0,
        c: float | int = 0.01,
        time: TimeLaw = "uniform",
        velocity: Field | None = None,
        condition_key: str | None = None,
    ) -> None:
        if not 0 <= share_equal <= 1:
            raise DataError(f"share_equal = {share_equal}; expected a share in [0, 1].")
        self.path: Path = LinearPath() if path is None else path
        self.coupling: Coupling = IndependentCoupling() if coupling is None else coupling
        self.share_equal, self.power, self.c = share_equal, power, c
        self.time, self.velocity, self.condition_key = time, velocity, condition_key

    def __call__(
        self,
        model: Field,
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
        n = len(pairs.x1)
        t, s = self._interval(n, generator, x1)
        point = self.path.sample(pairs.x0, pairs.x1, t, generator=generator)
        if self.velocity is None:
            v = point.dx_t
        else:
            with torch.no_grad():
                v = self.velocity(point.x_t, t, **condition)

        def mean_velocity(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
            return model(x, t, s, **condition)

        tangents = (v, torch.ones_like(t), torch.zeros_like(s))
        u, rate = torch.func.jvp(mean_velocity, (point.x_t, t, s), tangents)[:2]
        if u.shape != point.x_t.shape:
            raise DataError(
                f"the model returned {tuple(u.shape)} for x of shape {tuple(point.x_t.shape)}; it "
                "must return the shape of x."
            )
        target = v + broadcast_time(s - t, v) * rate
        square = (u - target.detach()).flatten(1).square()
        if self.power == 0:
            return weighted_mean(square.mean(1), pairs.weight)
        error = square.sum(1)
        return weighted_mean(error / (error.detach() + self.c) ** self.power, pairs.weight)

    def _interval(
        self, n: int, generator: torch.Generator | None, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        ends = draw_times(
            2 * n,
            self.time,
            time_range=self.path.time_range,
            generator=generator,
            device=x.device,
            dtype=x.dtype,
        ).view(2, n)
        t, s = ends.amin(0), ends.amax(0)
        equal = torch.rand(n, generator=generator, device=x.device) < self.share_equal
        return torch.where(equal, ends[0], t), torch.where(equal, ends[0], s)


class MeanFlowSampler:
    """x ← x + (s-t) u(x, t, s) over ``steps`` equal intervals; one network call each.

    >>> drift = lambda x, t, s: torch.ones_like(x)
    >>> MeanFlowSampler(drift, steps=2).sample(torch.zeros(1, 1)).x.item()
    1.0
    """

    def __init__(self, model: Field, *, steps: int = 1) -> None:
        if steps < 1:
            raise DataError(f"steps = {steps}; at least one step is needed.")
        self.model, self.steps = model, steps

    def sample(self, x0: Float[Tensor, "..."], **condition: Any) -> Solution:
        """Carry x0 (batch, *shape) from time 0 to 1, without gradients."""
        n, x = len(x0), x0
        ts = torch.linspace(0, 1, self.steps + 1, dtype=x0.dtype, device=x0.device)
        with torch.no_grad():
            for i, (t, s) in enumerate(itertools.pairwise(ts)):
                x = x + (s - t) * self.model(x, t.expand(n), s.expand(n), **condition)
                check_finite(x, step=i, t=float(t), method="meanflow")
        return Solution(x, ts, None, self.steps)
