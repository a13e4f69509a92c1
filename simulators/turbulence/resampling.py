"""Between grids through the Fourier interpolant: other points, other resolutions."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.grid import PeriodicGrid
from pushforward.simulators.turbulence.operators import project

__all__ = ["fourier_resample", "refine_velocity"]

FACES = ((1.0, 0.5), (0.5, 1.0))


def fourier_resample(
    field: Float[Tensor, "*batch nx ny"],
    *,
    offset: tuple[float, float],
    to_cells: int | tuple[int, int],
    to_offset: tuple[float, float],
) -> Float[Tensor, "*batch mx my"]:
    """Values of a field's Fourier interpolant at the points of another grid of the same rectangle.

    Modes that either grid cannot tell from others (half its size and beyond) are left out.

    Parameters
    ----------
    field : (*batch, nx, ny) at `offset`, in its own cells.
    to_cells, to_offset : the other grid; one number of cells for both sides, or one each.

    Examples
    --------
    >>> import math, torch
    >>> x = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
    >>> wave = torch.cos(x)[:, None].expand(8, 8)
    >>> moved = fourier_resample(wave, offset=(0.0, 0.0), to_cells=4, to_offset=(0.5, 0.5))
    >>> [round(v, 6) for v in moved[:, 0].tolist()]
    [0.707107, -0.707107, -0.707107, 0.707107]
    """
    shape = tuple(field.shape[-2:])
    target = (to_cells, to_cells) if isinstance(to_cells, int) else to_cells
    waves, phases = [], []
    for n, m, a, b in zip(shape, target, offset, to_offset, strict=True):
        largest = (min(n, m) - 1) // 2
        waves.append(torch.arange(-largest, largest + 1))
        phases.append(torch.exp(2j * math.pi * (b / m - a / n) * waves[-1].double()))
    modes = torch.fft.fft2(field.double())
    kept = modes[..., (waves[0] % shape[0])[:, None], (waves[1] % shape[1])[None, :]]
    phase = (phases[0][:, None] * phases[1][None, :]).to(field.device)
    out = kept.new_zeros(*kept.shape[:-2], *target)
    out[..., (waves[0] % target[0])[:, None], (waves[1] % target[1])[None, :]] = kept * phase
    scale = target[0] * target[1] / (shape[0] * shape[1])
    return (torch.fft.ifft2(out).real * scale).to(field.dtype)


def refine_velocity(
    velocity: Float[Tensor, "*batch 2 nx ny"], grid: PeriodicGrid
) -> Float[Tensor, "*batch 2 mx my"]:
    """A staggered velocity on a finer grid of the same rectangle, free of divergence there.

    Each component's Fourier interpolant is taken at the finer faces and the result is projected.

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    grid : the finer one.

    Raises
    ------
    DataError : the grid is coarser than the velocity's; see `downsample_velocity` for that way.

    Examples
    --------
    >>> fine = refine_velocity(torch.ones(2, 8, 8), PeriodicGrid.of((16, 16), 1.0))
    >>> tuple(fine.shape), round(fine.max().item(), 6)
    ((2, 16, 16), 1.0)
    """
    nx, ny = velocity.shape[-2:]
    if grid.shape[0] < nx or grid.shape[1] < ny:
        raise DataError(
            f"cannot refine {nx} x {ny} cells to {grid.shape[0]} x {grid.shape[1]}: that is "
            "coarser. Use downsample_velocity."
        )
    parts = [
        fourier_resample(velocity[..., i, :, :], offset=o, to_cells=grid.shape, to_offset=o)
        for i, o in enumerate(FACES)
    ]
    return project(torch.stack(parts, -3), grid.spacing)
