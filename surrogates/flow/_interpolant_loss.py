"""Losses of stochastic interpolants: one for each of the fields b, v, s and η."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Coupling, IndependentCoupling
from ._objective import Field, call_field, follow_conditions
from ._path import Path, broadcast_time
from ._time import TimeLaw, draw_times

__all__ = ["InterpolantLoss"]


class InterpolantLoss:
    """The quadratic losses whose minimisers are the fields of a stochastic interpolant.

    With x_t = I + γ z: L_b = E[|b|²/2 - (dI/dt + γ' z)·b], L_v = E[|v|²/2 - dI/dt·v],
    L_η = E[|η|²/2 - z·η], L_s = E[|s|²/2 + z·s/γ]; here each per axis of the data. The signs make
    η = E[z | x_t] and s = -η/γ, and b = v - γ γ' s. The losses may be negative.

    Arguments: ``path`` with γ > 0; ``field`` "b", "v", "eta" or "s"; ``coupling``, `time` as in
    `FlowMatchingLoss`; ``antithetic`` (default) evaluates the model at +z and -z: for γ = √(t(1-t))
    the targets of b and s have infinite variance at the ends without it. Cost: two model calls
    per step with ``antithetic``, else one. Raises `DataError` for an unknown field or noise-free
    path.

    Source: Albergo, Boffi, Vanden-Eijnden, *Stochastic Interpolants*, 2023.

    >>> from pushforward.surrogates.flow import StochasticInterpolant
    >>> loss = InterpolantLoss(StochasticInterpolant(), "eta")
    >>> zero = lambda x, t: torch.zeros_like(x)
    >>> loss(zero, torch.zeros(4, 2), torch.ones(4, 2)).item() == 0
    True
    """

    def __init__(
        self,
        path: Path,
        field: str = "b",
        coupling: Coupling | None = None,
        *,
        antithetic: bool = True,
        time: TimeLaw = "uniform",
        time_range: tuple[float | int, float | int] | None = None,
        condition_key: str | None = None,
    ) -> None:
        if field not in ("b", "v", "eta", "s"):
            raise DataError(f"unknown field {field!r}; 'b', 'v', 'eta' or 's'.")
        if field in ("eta", "s") and not path.noisy:
            raise DataError(
                f"field {field!r} of {type(path).__name__}: the path has no noise γ z. Choose a "
                "gamma, or ScoreMatchingLoss if x0 is Gaussian."
            )
        self.path, self.field, self.antithetic, self.time = path, field, antithetic, time
        self.coupling: Coupling = IndependentCoupling() if coupling is None else coupling
        lo, hi = path.time_range if time_range is None else time_range
        # 1/γ of the score is infinite at both ends.
        self.time_range = (max(lo, 1e-3), min(hi, 1 - 1e-3)) if field == "s" else (lo, hi)
        self.condition_key = condition_key

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
        t = draw_times(
            len(pairs.x1),
            self.time,
            time_range=self.time_range,
            generator=generator,
            device=x1.device,
            dtype=x1.dtype,
        )
        z = torch.randn(pairs.x1.shape, generator=generator, dtype=x1.dtype, device=x1.device)
        signs = (z, -z) if self.antithetic and self.path.noisy else (z,)
        terms = [self._one(model, pairs.x0, pairs.x1, t, s, condition) for s in signs]
        loss = torch.stack(terms).mean(0)
        return (loss if pairs.weight is None else loss * pairs.weight).mean()

    def _one(
        self,
        model: Field,
        x0: Tensor,
        x1: Tensor,
        t: Tensor,
        z: Tensor,
        condition: dict[str, Any],
    ) -> Tensor:
        tb = broadcast_time(t, x1)
        point = self.path.sample(x0, x1, t, z=z)
        out = call_field(model, point.x_t, t, **condition)
        if self.field == "b":
            target = point.dx_t
        elif self.field == "v":
            target = self.path.d_alpha(tb) * x1 + self.path.d_sigma(tb) * x0
        elif self.field == "eta":
            target = z
        else:
            target = -z / self.path.gamma(tb)
        return (out.square() / 2 - target * out).flatten(1).mean(1)
