"""Tracers of the standard tests, as functions of longitude and latitude in radians."""

import math

import torch
from torch import Tensor

from pushforward.simulators.atmosphere.flows import PERIOD
from pushforward.simulators.atmosphere.state import Function

__all__ = [
    "correlated_bells",
    "correlation",
    "cosine_bell",
    "cosine_bells",
    "gaussian_hills",
    "slotted_cylinders",
    "vortices",
]

CENTRES = (5 * math.pi / 6, 7 * math.pi / 6)  # both on the equator


def correlation(x: Tensor) -> Tensor:
    """The parabola 0.9 − 0.8 x² on which cosine bells and correlated bells lie."""
    return 0.9 - 0.8 * x * x


def cosine_bell(lon: Tensor, lat: Tensor) -> Tensor:
    """500 (1 + cos(πr/r₀)) within r₀ = 1/3 of (3π/2, 0): Williamson et al. (1992), case 1."""
    r = _distance(lon, lat, 1.5 * math.pi)
    return torch.where(r < 1 / 3, 500 * (1 + (3 * math.pi * r).cos()), 0.0)


def gaussian_hills(lon: Tensor, lat: Tensor) -> Tensor:
    """Two hills 0.95 exp(−5 |x − x_i|²), x on the unit sphere: infinitely smooth."""
    hills = [0.95 * torch.exp(-10 * (1 - lat.cos() * (lon - c).cos())) for c in CENTRES]
    return hills[0] + hills[1]


def cosine_bells(lon: Tensor, lat: Tensor) -> Tensor:
    """0.1 + 0.9 (1 + cos 2πr_i)/2 within r_i < 1/2 of either centre: once differentiable."""
    total = torch.zeros_like(lon * lat)
    for centre in CENTRES:
        r = _distance(lon, lat, centre)
        total = total + torch.where(r < 0.5, (1 + (2 * math.pi * r).cos()) / 2, 0.0)
    return 0.1 + 0.9 * total


def correlated_bells(lon: Tensor, lat: Tensor) -> Tensor:
    """0.9 − 0.8 q², q the cosine bells."""
    return correlation(cosine_bells(lon, lat))


def slotted_cylinders(lon: Tensor, lat: Tensor) -> Tensor:
    """Discs of 1 on 0.1 with a slot each, open to opposite sides: discontinuous."""
    total = torch.full_like(lon * lat, 0.1)
    for centre, side in zip(CENTRES, (-1.0, 1.0), strict=True):
        inside = _distance(lon, lat, centre) <= 0.5
        away = (lon - centre).abs() >= 0.5 / 6
        below_the_slot = side * lat > 5 * 0.5 / 12
        total = torch.where(inside & (away | below_the_slot), 1.0, total)
    return total


def vortices(time: float, *, period: float | int = PERIOD) -> Function:
    """1 − tanh((ρ/5) sin(λ″ − ωt)): the tracer of `moving_vortices` at one time."""
    rate = 2 * math.pi / period

    def tracer(lon: Tensor, lat: Tensor) -> Tensor:
        moved = lon - rate * time
        rho = 3 * (1 - (lat.cos() * moved.sin()) ** 2).clamp(min=1e-30).sqrt()
        angular = rate * 1.5 * math.sqrt(3) * rho.tanh() / (rho * rho.cosh() ** 2)
        around = torch.atan2(-moved.cos() * lat.cos(), lat.sin() + 0 * moved)
        return 1 - torch.tanh(rho / 5 * (around - angular * time).sin())

    return tracer


def _distance(lon: Tensor, lat: Tensor, centre: float) -> Tensor:
    """Great-circle distance to a point on the equator, on the unit sphere."""
    return (lat.cos() * (lon - centre).cos()).clamp(-1, 1).acos()
