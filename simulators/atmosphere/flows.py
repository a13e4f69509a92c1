"""Winds of the standard two-dimensional tests, as mass fluxes from their stream functions."""

import math

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.atmosphere.fluxes import (
    MassFluxes,
    SweptAreas,
    Winds,
    from_stream_function,
)
from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.errors import DataError

__all__ = [
    "DAY",
    "PERIOD",
    "deformational_flow",
    "divergent_flow",
    "moving_vortices",
    "solid_body_rotation",
]

DAY = 86400.0
PERIOD = 12 * DAY


def solid_body_rotation(
    grid: LatLonGrid, *, angle: float | int = 0.0, period: float | int = PERIOD
) -> Winds:
    """Rotation of the whole sphere about a tilted axis: test case 1 of Williamson et al. (1992).

    ψ = −R u₀ (sin φ cos α − cos λ cos φ sin α), u₀ = 2πR/period. α = 0 moves along the equator,
    α = π/2 over the poles.

    Parameters
    ----------
    grid : see `latlon_grid`.
    angle : α between the axis and the poles, radians.
    period : of one revolution, s.

    Source: Williamson et al., J. Comput. Phys. 102, 1992.
    """
    strength = 2 * math.pi * grid.radius**2 / period

    def psi(lon: Tensor, lat: Tensor) -> Tensor:
        tilt = lon.cos() * lat.cos() * math.sin(angle)
        return -strength * (lat.sin() * math.cos(angle) - tilt)

    a_second = from_stream_function(grid, psi)
    return lambda time, dt: a_second.scaled(dt)


def deformational_flow(grid: LatLonGrid, *, case: int = 4, period: float | int = PERIOD) -> Winds:
    """Non-divergent deforming flow that comes back after a period (Nair and Lauritzen 2010).

    Case 4: ψ = (R²/T)[k sin²λ′ cos²φ cos(πt/T) − 2π sin φ], λ′ = λ − 2πt/T, k = 10; case 2 is
    the same without rotation and λ′ = λ; case 1 has sin²(λ/2) and k = 12.

    Parameters
    ----------
    case : 1, 2 or 4.
    period : T in seconds, after which every tracer is back.

    Source: Nair and Lauritzen, J. Comput. Phys. 229, 2010; case 4 as used by Lauritzen et al.,
    Geosci. Model Dev. 5, 2012.
    """
    if case not in (1, 2, 4):
        raise DataError(f"case = {case}; expected 1, 2 or 4 (3 is `divergent_flow`).")
    unit = grid.radius**2 / period
    strength, half = (12.0, 0.5) if case == 1 else (10.0, 1.0)
    turn = 2 * math.pi if case == 4 else 0.0

    def winds(time: float, dt: float) -> MassFluxes:
        middle = (time + dt / 2) / period

        def psi(lon: Tensor, lat: Tensor) -> Tensor:
            wave = (half * (lon - turn * middle)).sin() ** 2
            amplitude = unit * strength * math.cos(math.pi * middle) * lat.cos() ** 2
            return amplitude * wave - unit * turn * lat.sin()

        return from_stream_function(grid, psi).scaled(dt)

    return winds


def divergent_flow(grid: LatLonGrid, *, period: float | int = PERIOD) -> Winds:
    """Divergent flow on a rotation, back after a period (Nair and Lauritzen 2010, case 3).

    u = (R/T)[−5 sin²(λ′/2) sin 2φ cos²φ cos(πt/T) + 2π cos φ],
    v = (2.5 R/T) sin λ′ cos³φ cos(πt/T), λ′ = λ − 2πt/T.

    The density is not known beforehand, so these are `SweptAreas`: exact integrals of the velocity
    over the faces, with which the solver transports the air as well.

    Source: Nair and Lauritzen, J. Comput. Phys. 229, 2010; with rotation as used by Lauritzen et
    al., Geosci. Model Dev. 5, 2012.
    """
    lat, unit = torch.deg2rad(grid.lat_edges), grid.radius**2 / period

    def winds(time: float, dt: float) -> MassFluxes:
        middle = (time + dt / 2) / period
        lon = torch.deg2rad(grid.lon_edges) - 2 * math.pi * middle
        change = math.cos(math.pi * middle)
        bend = 2.5 * change * (lat.cos() ** 4).diff()[:, None] * (lon[1:] / 2).sin() ** 2
        east = unit * dt * (bend + 2 * math.pi * lat.sin().diff()[:, None])
        north = -2.5 * unit * dt * change * (lat.cos() ** 4)[:, None] * lon.cos().diff()
        north[[0, -1]] = 0.0  # cos π/2 is not quite 0
        up = torch.zeros(2, grid.n_lat, grid.n_lon, dtype=torch.float64)
        return SweptAreas(east[None], north[None], up)

    return winds


def moving_vortices(grid: LatLonGrid, *, period: float | int = PERIOD) -> Winds:
    """Two vortices on opposite sides that travel along the equator (Nair and Jablonowski 2008).

    With ρ = 3 √(1 − μ²), μ = cos φ sin λ′, λ′ = λ − Ωt, air circles each centre at the speed
    ω = ΩR (3√3/2) tanh ρ / (ρ cosh²ρ) times distance; its stream function is R ∫ω dμ. The tracer
    is `tracers.vortices`, known at all times.

    Source: Nair and Jablonowski, Mon. Wea. Rev. 136, 2008.
    """
    rate = 2 * math.pi / period
    chebyshev = np.polynomial.chebyshev
    degree = 120  # to rounding: ω is analytic in μ
    speed = chebyshev.Chebyshev.interpolate(_circling, degree).coef
    series = torch.from_numpy(chebyshev.chebint(speed))

    def winds(time: float, dt: float) -> MassFluxes:
        turn = rate * (time + dt / 2)

        def psi(lon: Tensor, lat: Tensor) -> Tensor:
            mu = lat.cos() * (lon - turn).sin()
            circling = torch.from_numpy(chebyshev.chebval(mu.numpy(), series.numpy()))
            return rate * grid.radius**2 * (circling - lat.sin())

        return from_stream_function(grid, psi).scaled(dt)

    return winds


def _circling(mu: np.ndarray) -> np.ndarray:
    rho = 3 * np.sqrt(np.maximum(1 - mu**2, 1e-30))
    return 1.5 * math.sqrt(3) * np.tanh(rho) / (rho * np.cosh(rho) ** 2)
