"""The affine paths in use, one class each, with inverse signal-to-noise ratio in closed form."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath

__all__ = [
    "CosinePath",
    "LinearPath",
    "LinearVPPath",
    "PolynomialPath",
    "TargetPath",
    "VPPath",
]


class LinearPath(AffinePath):
    """x_t = t x1 + (1 - t) x0: straight lines at constant speed (rectified flow, OT path).

    The only path whose velocity prediction is finite at both ends with Δ = 1; the default.
    Source: Liu, Gong, Liu, *Flow Straight and Fast*, 2022.

    >>> LinearPath().snr(torch.tensor(0.75)).item()
    3.0
    """

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return 1 - t

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return 1 / (1 + 1 / s)

    def _join(self, x0: Tensor, x1: Tensor, tb: Tensor) -> tuple[Tensor, Tensor]:
        # One kernel, exact at both ends; the generic form takes four.
        return torch.lerp(x0, x1, tb), x1 - x0


class CosinePath(AffinePath):
    """x_t = sin(π t/2) x1 + cos(π t/2) x0: keeps the variance of independent unit-variance ends.

    torchcfm calls this path variance preserving; here `VPPath` is the diffusion schedule.
    """

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t)

    def d_alpha(self, t: Tensor) -> Tensor:
        return math.pi / 2 * torch.cos(math.pi / 2 * t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * torch.sin(math.pi / 2 * t)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return torch.atan(s) * (2 / math.pi)

    def _join(self, x0: Tensor, x1: Tensor, tb: Tensor) -> tuple[Tensor, Tensor]:
        a, s = self.alpha(tb), self.sigma(tb)
        return a * x1 + s * x0, math.pi / 2 * (s * x1 - a * x0)


class VPPath(AffinePath):
    """The continuous DDPM schedule: α = exp(-T/2), σ² = 1 - exp(-T).

    T(t) = (1-t)² (β_max - β_min)/2 + (1-t) β_min. α(0) = 0.0066 at the usual β, not 0: at t = 0 the
    state still holds a trace of the data. σ' is infinite at t = 1, so losses draw below 0.999.
    """

    time_range: ClassVar[tuple[float, float]] = (0.0, 0.999)

    def __init__(self, beta_min: float | int = 0.1, beta_max: float | int = 20.0) -> None:
        if not 0 < beta_min < beta_max:
            raise DataError(
                f"beta_min = {beta_min}, beta_max = {beta_max}; expected 0 < beta_min < beta_max."
            )
        self.beta_min, self.beta_max = beta_min, beta_max

    def _integral(self, t: Tensor) -> Tensor:
        u = 1 - t
        return u * u * ((self.beta_max - self.beta_min) / 2) + u * self.beta_min

    def _rate(self, t: Tensor) -> Tensor:
        """-dT/dt."""
        return (1 - t) * (self.beta_max - self.beta_min) + self.beta_min

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self._integral(t) / 2)

    def sigma(self, t: Tensor) -> Tensor:
        # expm1 keeps the digits that 1 - exp(-T) loses near t = 1.
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def d_alpha(self, t: Tensor) -> Tensor:
        return self._rate(t) / 2 * self.alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -self._rate(t) * self.alpha(t) ** 2 / (2 * self.sigma(t))

    def snr_inverse(self, s: Tensor) -> Tensor:
        integral = torch.log1p(s**-2)
        slope = self.beta_max - self.beta_min
        return 1 - (torch.sqrt(self.beta_min**2 + 2 * slope * integral) - self.beta_min) / slope


class LinearVPPath(AffinePath):
    """α = t, σ = √(1 - t²): variance preserving with a linear signal.

    σ' tends to -∞ at t = 1, so losses draw times below 0.999.
    """

    time_range: ClassVar[tuple[float, float]] = (0.0, 0.999)

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt((1 - t) * (1 + t))

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -t / self.sigma(t)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return 1 / torch.sqrt(1 + s**-2)


class PolynomialPath(AffinePath):
    """α = tⁿ, σ = 1 - tⁿ for a power n ≥ 1 (n = 1 is the linear path)."""

    def __init__(self, power: float | int = 2.0) -> None:
        if power < 1:
            raise DataError(f"power = {power}; below 1 the velocity is infinite at t = 0.")
        self.power = power

    def alpha(self, t: Tensor) -> Tensor:
        return t**self.power

    def sigma(self, t: Tensor) -> Tensor:
        return 1 - t**self.power

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.power * t ** (self.power - 1)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -self.d_alpha(t)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return (1 / (1 + 1 / s)) ** (1 / self.power)


class TargetPath(AffinePath):
    """Lipman's path: α = t, σ = 1 - (1 - σ_min) t, which ends in N(x1, σ_min² I).

    For a given x1 the velocity is (x1 - (1-σ_min) x)/(1 - (1-σ_min) t); σ_min > 0 keeps it finite.

    >>> TargetPath(0.1).sigma(torch.tensor(1.0)).item()
    0.1...
    """

    def __init__(self, sigma_min: float | int = 1e-4) -> None:
        if not 0 <= sigma_min <= 1:
            raise DataError(f"sigma_min = {sigma_min}; expected a number in [0, 1].")
        self.sigma_min = sigma_min

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return 1 - (1 - self.sigma_min) * t

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.sigma_min - 1)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return 1 / (1 - self.sigma_min + 1 / s)
