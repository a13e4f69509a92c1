"""Difference operators on the staggered grid: divergence, vorticity, projection, diffusion."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "divergence",
    "inverse_laplacian_eigenvalues",
    "laplacian",
    "laplacian_eigenvalues",
    "project",
    "solve_diffusion",
    "vorticity",
]

Spacing = tuple[float, float]


def divergence(
    velocity: Float[Tensor, "*batch 2 nx ny"], spacing: Spacing
) -> Float[Tensor, "*batch nx ny"]:
    """Divergence at the cell centres, by backward differences.

    D_ij = (u_ij − u_{i−1,j})/hx + (v_ij − v_{i,j−1})/hy: the exact outflow of a cell whose face
    values are u at offset (1, 1/2) and v at (1/2, 1).

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    spacing : (hx, hy).

    Examples
    --------
    >>> divergence(torch.ones(2, 4, 4), (0.1, 0.1)).abs().max().item()
    0.0
    """
    u, v = velocity.unbind(-3)
    return (u - u.roll(1, -2)) / spacing[0] + (v - v.roll(1, -1)) / spacing[1]


def vorticity(
    velocity: Float[Tensor, "*batch 2 nx ny"], spacing: Spacing
) -> Float[Tensor, "*batch nx ny"]:
    """Vorticity ω = ∂v/∂x − ∂u/∂y at the cell corners, offset (1, 1), by forward differences.

    ω_ij = (v_{i+1,j} − v_ij)/hx − (u_{i,j+1} − u_ij)/hy.

    Examples
    --------
    >>> vorticity(torch.ones(2, 4, 4), (0.1, 0.1)).abs().max().item()
    0.0
    """
    u, v = velocity.unbind(-3)
    return (v.roll(-1, -2) - v) / spacing[0] - (u.roll(-1, -1) - u) / spacing[1]


def laplacian(
    field: Float[Tensor, "*batch nx ny"], spacing: Spacing
) -> Float[Tensor, "*batch nx ny"]:
    """The five-point Laplacian, at the points of the field.

    Examples
    --------
    >>> laplacian(torch.ones(4, 4), (0.1, 0.1)).abs().max().item()
    0.0
    """
    along_x = field.roll(-1, -2) + field.roll(1, -2) - 2 * field
    along_y = field.roll(-1, -1) + field.roll(1, -1) - 2 * field
    return along_x / spacing[0] ** 2 + along_y / spacing[1] ** 2


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept here must serve gradients later
def laplacian_eigenvalues(
    shape: tuple[int, int],
    spacing: Spacing,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Eigenvalues of the five-point Laplacian for the modes of `rfft2`, (nx, ny // 2 + 1).

    λ(k) = (2 cos(kx hx) − 2)/hx² + (2 cos(ky hy) − 2)/hy², written with sines so that small
    wave numbers keep their digits. The tensor is shared between callers: do not write into it.
    """
    (nx, ny), (hx, hy) = shape, spacing
    x = torch.fft.fftfreq(nx, dtype=torch.float64)[:, None]
    y = torch.fft.rfftfreq(ny, dtype=torch.float64)[None, :]
    values = -((2 / hx * torch.sin(math.pi * x)) ** 2) - (2 / hy * torch.sin(math.pi * y)) ** 2
    return values.to(device, dtype)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept here must serve gradients later
def inverse_laplacian_eigenvalues(
    shape: tuple[int, int],
    spacing: Spacing,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """1/λ of `laplacian_eigenvalues`, and 0 for the mean. Shared between callers: do not write."""
    values = laplacian_eigenvalues(shape, spacing).clone()
    values[0, 0] = 1.0
    inverse = 1 / values
    inverse[0, 0] = 0.0
    return inverse.to(device, dtype)


def project(
    velocity: Float[Tensor, "*batch 2 nx ny"], spacing: Spacing
) -> Float[Tensor, "*batch 2 nx ny"]:
    """Remove the divergence: v − G q with Δ_h q = D v, solved exactly by a real FFT.

    G is the forward difference and Δ_h = D G the five-point Laplacian, so the result's discrete
    divergence is zero to rounding. The mean of each component is untouched, and so is a velocity
    that is free of divergence.

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    spacing : (hx, hy).

    Examples
    --------
    >>> v = torch.randn(2, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> bool(divergence(project(v, (0.1, 0.2)), (0.1, 0.2)).abs().max() < 1e-12)
    True
    """
    nx, ny = velocity.shape[-2:]
    inverse = inverse_laplacian_eigenvalues((nx, ny), spacing, velocity.dtype, velocity.device)
    modes = torch.fft.rfft2(divergence(velocity, spacing)) * inverse
    q = torch.fft.irfft2(modes, s=(nx, ny))
    gradient = torch.stack(
        [(q.roll(-1, -2) - q) / spacing[0], (q.roll(-1, -1) - q) / spacing[1]], -3
    )
    return velocity - gradient


def solve_diffusion(
    velocity: Float[Tensor, "*batch 2 nx ny"], spacing: Spacing, coefficient: float
) -> Float[Tensor, "*batch 2 nx ny"]:
    """Solve (1 − c Δ_h) v' = v, one backward Euler step of diffusion with c = ν dt.

    Computed as v + [c λ/(1 − c λ)] v in Fourier space, which keeps the digits of v where c is
    small (it matters in float32). Divergence and mean are kept.

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny).
    spacing : (hx, hy).
    coefficient : c = ν dt, at least 0.

    Examples
    --------
    >>> solve_diffusion(torch.ones(2, 4, 4), (0.1, 0.1), 0.5).max().item()
    1.0
    """
    nx, ny = velocity.shape[-2:]
    eigenvalues = laplacian_eigenvalues((nx, ny), spacing, velocity.dtype, velocity.device)
    damping = coefficient * eigenvalues / (1 - coefficient * eigenvalues)
    return velocity + torch.fft.irfft2(torch.fft.rfft2(velocity) * damping, s=(nx, ny))
