"""How far the flow carries its structures in a step, and carrying them there."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.channel.grid import ChannelGrid

__all__ = ["convect", "convection"]

CANDIDATES = 4096  # displacements tried, over one length of the box


def convect(
    velocity: Float[Tensor, "*batch x y z"], displacement: Float[Tensor, " y"], grid: ChannelGrid
) -> Float[Tensor, "*batch x y z"]:
    r"""Shift every plane along x: u(x − d(y), y, z), by Fourier interpolation.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelGrid
    >>> from pushforward.surrogates.channel.convection import convect
    >>> grid = ChannelGrid.chebyshev((8, 5, 4), (4.0, 2.0))
    >>> wave = torch.sin(torch.pi / 2 * torch.arange(8, dtype=torch.float64) / 2)
    >>> u = wave[:, None, None].expand(3, 8, 5, 4)
    >>> moved = convect(u, torch.full((5,), 0.5, dtype=torch.float64), grid)  # one cell
    >>> bool(torch.allclose(moved, u.roll(1, 1)))
    True
    """
    nx = grid.shape[0]
    k = 2 * math.pi / grid.lengths[0] * torch.arange(nx // 2 + 1, dtype=torch.float64)
    phase = torch.exp(-1j * k[:, None].to(velocity.device) * displacement.to(velocity.device))
    modes = torch.fft.rfft(velocity.double(), dim=-3) * phase[..., None]
    return torch.fft.irfft(modes, n=nx, dim=-3).to(velocity.dtype)


def convection(
    flows: Float[Tensor, "runs time 3 x y z"], mean: Float[Tensor, "3 1 y 1"], grid: ChannelGrid
) -> Float[Tensor, " y"]:
    r"""For every plane the shift along x that makes a frame most like the next one.

        d(y) = argmax_d ⟨u'(x − d, t) · u'(x, t + 1)⟩,   0 <= d < Lx

    averaged over runs, times, x, z and components; float64. Near the walls it exceeds the mean
    velocity: what is there is moved by what is above it. Symmetric in y on symmetric grids; the
    neighbours' at the walls, where nothing moves.
    """
    nx = grid.shape[0]
    cross = torch.zeros(nx // 2 + 1, grid.shape[1], dtype=torch.complex128, device=flows.device)
    for run in flows:  # one at a time: spectra in float64 take four times the data's memory
        modes = torch.fft.rfft((run - mean).double(), dim=2)
        cross += (modes[:-1].conj() * modes[1:]).sum((0, 1, 4))
    candidates = torch.arange(CANDIDATES, dtype=torch.float64) * (grid.lengths[0] / CANDIDATES)
    k = 2 * math.pi / grid.lengths[0] * torch.arange(nx // 2 + 1, dtype=torch.float64)
    phase = torch.exp(1j * k[:, None] * candidates).to(cross.device)
    # The zeroth mode does not depend on d, the Nyquist one has no shift.
    likeness = torch.einsum("ky,kd->yd", cross[1:-1], phase[1:-1]).real
    if grid.is_symmetric:
        likeness = likeness + likeness.flip(0)
    found = candidates.to(cross.device)[likeness.argmax(1)]
    found[0], found[-1] = found[1], found[-2]
    return found
