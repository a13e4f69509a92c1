"""Random initial velocity: filtered noise without divergence."""

import math

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.grid import Number, PeriodicGrid
from pushforward.simulators.turbulence.operators import project

__all__ = ["filtered_noise", "random_velocity"]


def filtered_noise(
    grid: PeriodicGrid, *, seed: int, peak_wavenumber: Number, batch: tuple[int, ...] = ()
) -> Tensor:
    """White noise times s(k) = exp(−(m − ln k)²/(2 s₂) − ln k)/k with m = ln k_peak + s₂, s₂ = 1/4.

    Returns (*batch, 2, nx, ny) in float64, of no particular size. The noise comes from a CPU
    generator of its own, so a seed gives the same field on every device and for every dtype.
    """
    kx, ky = grid.wavenumbers()
    k = torch.sqrt(kx**2 + ky**2)
    k[0, 0] = 1.0
    variance = 0.25
    log_mean = math.log(peak_wavenumber) + variance
    amplitude = torch.exp(-((log_mean - k.log()) ** 2) / (2 * variance)) / k**2
    amplitude[0, 0] = 0.0
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((*batch, 2, *grid.shape), generator=generator, dtype=torch.float64)
    return torch.fft.irfft2(torch.fft.rfft2(noise) * amplitude, s=grid.shape)


def random_velocity(
    grid: PeriodicGrid,
    *,
    seed: int,
    max_velocity: Number = 7.0,
    peak_wavenumber: Number = 4.0,
    batch: tuple[int, ...] = (),
) -> Tensor:
    """Random staggered velocity, free of divergence, whose greatest speed is `max_velocity`.

    Each component is white noise whose amplitude spectrum is shaped to a log-normal in k about
    `peak_wavenumber`; then, three times, the divergence is projected out and the field scaled so
    that the largest sqrt(u² + v²), components as stored, is `max_velocity`.

    Parameters
    ----------
    grid : where.
    seed : of the noise.
    max_velocity : greatest speed of each field of the batch; 7 in the published data sets.
    peak_wavenumber : in radians per unit length; 4 in the published data sets.
    batch : leading axes.

    Returns
    -------
    (*batch, 2, nx, ny), float64.

    References
    ----------
    Kochkov et al., "Machine learning-accelerated computational fluid dynamics", PNAS 2021, and its
    code (jax-cfd, `filtered_velocity_field`).

    Examples
    --------
    >>> v = random_velocity(PeriodicGrid.of((32, 32), 2 * math.pi), seed=0, max_velocity=2.0)
    >>> round(v.square().sum(0).sqrt().max().item(), 6)
    2.0
    """
    for name, value in (("max_velocity", max_velocity), ("peak_wavenumber", peak_wavenumber)):
        if not 0 < value < math.inf:
            raise DataError(f"{name} = {value} must be positive.")
    velocity = filtered_noise(grid, seed=seed, peak_wavenumber=peak_wavenumber, batch=batch)
    for _ in range(3):
        velocity = project(velocity, grid.spacing)
        speed = velocity.square().sum(-3, keepdim=True).sqrt().amax((-2, -1), keepdim=True)
        velocity = velocity / speed * max_velocity
    return velocity
