"""Affine paths x_t = α x1 + σ x0 and the conversions between what a network may predict."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._path import Path, broadcast_time

__all__ = ["AffinePath", "Prediction", "SchedulePath"]

Prediction = str
_PREDICTIONS = ("velocity", "x1", "noise", "score")


class AffinePath(Path):
    """A path without extra noise, x_t = α(t) x1 + σ(t) x0, with Δ = α' σ - α σ' > 0.

    With the conditional means x̂1 = E[x1 | x_t] and x̂0 = E[x0 | x_t] the velocity is
    u = α' x̂1 + σ' x̂0, and x_t = α x̂1 + σ x̂0; any one of the three gives the other two. The
    score is -x̂0/σ if x0 is standard normal, and only then.
    """

    def snr(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Signal-to-noise ratio α/σ (infinite where σ = 0)."""
        return self.alpha(t) / self.sigma(t)

    def snr_inverse(self, s: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The time at which α/σ = s, by bisection (sub-classes know it in closed form)."""
        lo, hi = torch.zeros_like(s), torch.ones_like(s)
        for _ in range(60 if s.dtype == torch.float64 else 30):
            mid = (lo + hi) / 2
            # α < s σ instead of α/σ < s: no division, so s = inf and σ = 0 are harmless.
            below = torch.where(s.isinf(), True, self.alpha(mid) < s * self.sigma(mid))
            lo, hi = torch.where(below, mid, lo), torch.where(below, hi, mid)
        return (lo + hi) / 2

    def endpoints(
        self,
        prediction: Float[Tensor, "..."],
        x_t: Float[Tensor, "..."],
        t: float | int | Tensor,
        *,
        source: Prediction = "velocity",
    ) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """Both conditional means (x̂1, x̂0) from one prediction of kind ``source``.

        Raises `DataError` for an unknown kind. Where the kind does not determine the means
        (noise at α = 0, x1 and score at σ = 0) the result is not finite.
        """
        tb = broadcast_time(t, x_t)
        a, s = self.alpha(tb), self.sigma(tb)
        if source == "velocity":
            da, ds = self.d_alpha(tb), self.d_sigma(tb)
            delta = da * s - a * ds
            return (s * prediction - ds * x_t) / delta, (da * x_t - a * prediction) / delta
        if source == "x1":
            return prediction, (x_t - a * prediction) / s
        if source == "noise":
            return (x_t - s * prediction) / a, prediction
        if source == "score":
            return (x_t + s * s * prediction) / a, -s * prediction
        raise DataError(f"unknown kind of prediction {source!r}; choose one of {_PREDICTIONS}.")

    def convert(
        self,
        prediction: Float[Tensor, "..."],
        x_t: Float[Tensor, "..."],
        t: float | int | Tensor,
        *,
        source: Prediction,
        target: Prediction,
    ) -> Float[Tensor, "..."]:
        """One prediction as another kind: velocity, x1 (data), noise (x0) or score.

        The score assumes x0 ~ N(0, I). Raises `DataError` for an unknown kind. Conversions that
        divide by α fail at t = 0, those that divide by σ at t = 1: the result is then not finite.

        >>> from pushforward.surrogates.flow import LinearPath
        >>> x = torch.tensor([[0.5]])
        >>> LinearPath().convert(torch.tensor([[1.0]]), x, 0.5, source="velocity", target="x1")
        tensor([[1.]])
        """
        if source == target and source in _PREDICTIONS:
            return prediction
        if target == "velocity" and source == "score":
            # Direct form: finite at σ = 0, where the detour over x̂1 and x̂0 may not be.
            tb = broadcast_time(t, x_t)
            a, s, da, ds = self.alpha(tb), self.sigma(tb), self.d_alpha(tb), self.d_sigma(tb)
            return (da / a) * x_t + s * (da * s - a * ds) / a * prediction
        x1, x0 = self.endpoints(prediction, x_t, t, source=source)
        if target == "x1":
            return x1
        if target == "noise":
            return x0
        tb = broadcast_time(t, x_t)
        if target == "velocity":
            return self.d_alpha(tb) * x1 + self.d_sigma(tb) * x0
        if target == "score":
            return -x0 / self.sigma(tb)
        raise DataError(f"unknown kind of prediction {target!r}; choose one of {_PREDICTIONS}.")


class SchedulePath(AffinePath):
    """An affine path from two functions of time; derivatives by forward-mode differentiation.

    ``alpha`` and ``sigma`` map a tensor of times to a tensor of the same shape, elementwise, with
    α(1) = 1, σ(0) = 1, σ(1) = 0 and α/σ increasing.

    >>> path = SchedulePath(lambda t: t**3, lambda t: 1 - t**3)
    >>> round(path.d_alpha(torch.tensor(0.5)).item(), 4)
    0.75
    """

    def __init__(
        self, alpha: Callable[[Tensor], Tensor], sigma: Callable[[Tensor], Tensor]
    ) -> None:
        self._alpha, self._sigma = alpha, sigma

    def alpha(self, t: Tensor) -> Tensor:
        return self._alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self._sigma(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.func.jvp(self._alpha, (t.clone(),), (torch.ones_like(t),))[1]

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.func.jvp(self._sigma, (t.clone(),), (torch.ones_like(t),))[1]
