"""Paths with extra noise between paired ends: bridges and stochastic interpolants."""

import math

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._path import Path
from ._schedules import LinearPath

__all__ = ["BrownianBridgePath", "ConstantNoisePath", "StochasticInterpolant"]


class _MeanPath(Path):
    """A path whose noise-free part is another path's."""

    def __init__(self, mean: Path) -> None:
        self.mean = mean

    def alpha(self, t: Tensor) -> Tensor:
        return self.mean.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.mean.sigma(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.mean.d_alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return self.mean.d_sigma(t)

    def _join(self, x0: Tensor, x1: Tensor, tb: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean._join(x0, x1, tb)


class ConstantNoisePath(_MeanPath):
    """x_t = mean_t + std z with a constant ``std``: the bridge of (minibatch OT) conditional FM.

    The target has no noise term, since γ' = 0. Both ends are blurred by ``std``. ``mean`` is the
    path without noise, `LinearPath` by default.

    >>> ConstantNoisePath(0.1).gamma(torch.tensor([0.0, 0.5])).tolist()
    [0.1..., 0.1...]
    """

    def __init__(self, std: float | int = 0.1, mean: Path | None = None) -> None:
        if std < 0:
            raise DataError(f"std = {std}; a standard deviation is not negative.")
        super().__init__(LinearPath() if mean is None else mean)
        self.std = std
        self.noisy = std > 0

    def gamma(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.std)

    def _add_noise(self, x_t: Tensor, dx_t: Tensor, tb: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.add(x_t, z, alpha=self.std), dx_t


class BrownianBridgePath(_MeanPath):
    """x_t = t x1 + (1-t) x0 + std √(t(1-t)) z: the bridge of the Schrödinger problem.

    dx_t = x1 - x0 + (1-2t)/(2t(1-t)) (x_t - mean_t). With an entropic coupling at eps = 2 std²
    the marginals are those of the Schrödinger bridge. The noise term of dx_t grows like 1/√t at
    the ends (cut off at γ = 1e-4), where a loss has a large variance.
    """

    noisy = True

    def __init__(self, std: float | int = 1.0) -> None:
        if std <= 0:
            raise DataError(f"std = {std}; a bridge needs std > 0 (LinearPath has none).")
        super().__init__(LinearPath())
        self.std = std

    def gamma(self, t: Tensor) -> Tensor:
        return self.std * torch.sqrt(t * (1 - t))

    def gamma_d_gamma(self, t: Tensor) -> Tensor:
        return self.std**2 * (1 - 2 * t) / 2


Interpolant = str
Noise = str


class StochasticInterpolant(Path):
    """x_t = I(t, x0, x1) + γ(t) z with independent z ~ N(0, I), γ(0) = γ(1) = 0.

    The fields of interest are b = E[dI/dt + γ' z | x_t] (probability flow), v = E[dI/dt | x_t],
    η = E[z | x_t] and the score s = -η/γ, tied by b = v - γ γ' s; `InterpolantLoss` learns each.

    Arguments: ``kind``, the interpolant I = σ x0 + α x1: "linear" (default), "trigonometric"
    (scaled by √(1-γ²), so that unit variance is kept), "encoding_decoding" (x0 to pure noise at 1/2
    to x1), "mirror" (x1 + γ z, x0 unused), "one_sided" (linear without γ; x0 must be Gaussian);
    ``gamma``: "brownian" √(a t(1-t)) (default), "quadratic" t(1-t), "sine_squared" sin²(π t),
    "none"; ``a`` the factor of the Brownian form. γ γ' is exact where γ' is infinite.
    Source: Albergo, Boffi, Vanden-Eijnden, *Stochastic Interpolants*, 2023.

    >>> path = StochasticInterpolant("linear", "brownian")
    >>> path.gamma_d_gamma(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0.5, 0.0, -0.5]
    """

    def __init__(
        self, kind: Interpolant = "linear", gamma: Noise | None = None, a: float | int = 1.0
    ) -> None:
        kinds = ("linear", "trigonometric", "encoding_decoding", "mirror", "one_sided")
        noises = ("brownian", "quadratic", "sine_squared", "none")
        if gamma is None:
            defaults: dict[str, Noise] = {
                "one_sided": "none",
                "encoding_decoding": "sine_squared",
            }
            gamma = defaults.get(kind, "brownian")
        if kind not in kinds:
            raise DataError(f"unknown interpolant {kind!r}; choose one of {kinds}.")
        if gamma not in noises:
            raise DataError(f"unknown gamma {gamma!r}; choose one of {noises}.")
        if a <= 0:
            raise DataError(f"a = {a}; the factor of t(1-t) must be positive.")
        if kind == "trigonometric" and gamma == "brownian" and a > 4:
            raise DataError(f"a = {a}; the trigonometric interpolant needs γ ≤ 1, that is a ≤ 4.")
        if kind == "one_sided" and gamma != "none":
            raise DataError("a one-sided interpolant has no γ: its noise is x0; leave gamma out.")
        if kind == "encoding_decoding" and gamma == "none":
            raise DataError("an encoding-decoding interpolant is pure noise at 1/2: it needs γ.")
        self.kind, self.noise, self.a = kind, gamma, a
        self.noisy = gamma != "none"
        # A Brownian target blows up like 1/√t, so losses keep away from both ends.
        self.time_range = (1e-3, 1 - 1e-3) if gamma == "brownian" else (0.0, 1.0)  # type: ignore[misc]

    def gamma(self, t: Tensor) -> Tensor:
        if self.noise == "brownian":
            return torch.sqrt(self.a * t * (1 - t))
        if self.noise == "quadratic":
            return t * (1 - t)
        if self.noise == "sine_squared":
            return torch.sin(math.pi * t) ** 2
        return torch.zeros_like(t)

    def gamma_d_gamma(self, t: Tensor) -> Tensor:
        if self.noise == "brownian":
            return self.a * (1 - 2 * t) / 2
        if self.noise == "quadratic":
            return t * (1 - t) * (1 - 2 * t)
        if self.noise == "sine_squared":
            return math.pi * torch.sin(math.pi * t) ** 2 * torch.sin(2 * math.pi * t)
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        if self.kind == "trigonometric":
            return self._shrink(t) * torch.cos(math.pi / 2 * t)
        if self.kind == "encoding_decoding":
            return torch.where(t <= 0.5, torch.cos(math.pi * t) ** 2, 0.0)
        return torch.zeros_like(t) if self.kind == "mirror" else 1 - t

    def alpha(self, t: Tensor) -> Tensor:
        if self.kind == "trigonometric":
            return self._shrink(t) * torch.sin(math.pi / 2 * t)
        if self.kind == "encoding_decoding":
            return torch.where(t > 0.5, torch.cos(math.pi * t) ** 2, 0.0)
        return torch.ones_like(t) if self.kind == "mirror" else t

    def d_sigma(self, t: Tensor) -> Tensor:
        if self.kind == "trigonometric":
            turn = -math.pi / 2 * torch.sin(math.pi / 2 * t)
            return self._shrink(t) * turn + self._d_shrink(t) * torch.cos(math.pi / 2 * t)
        if self.kind == "encoding_decoding":
            return torch.where(t <= 0.5, -math.pi * torch.sin(2 * math.pi * t), 0.0)
        return torch.zeros_like(t) if self.kind == "mirror" else -torch.ones_like(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        if self.kind == "trigonometric":
            turn = math.pi / 2 * torch.cos(math.pi / 2 * t)
            return self._shrink(t) * turn + self._d_shrink(t) * torch.sin(math.pi / 2 * t)
        if self.kind == "encoding_decoding":
            return torch.where(t > 0.5, -math.pi * torch.sin(2 * math.pi * t), 0.0)
        return torch.zeros_like(t) if self.kind == "mirror" else torch.ones_like(t)

    def _shrink(self, t: Tensor) -> Tensor:
        return torch.sqrt(1 - self.gamma(t) ** 2)

    def _d_shrink(self, t: Tensor) -> Tensor:
        return -self.gamma_d_gamma(t) / self._shrink(t).clamp_min(1e-4)
