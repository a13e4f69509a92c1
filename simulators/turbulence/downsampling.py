"""From fine to coarse without losing what the coarse grid conserves."""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["downsample_velocity"]


def downsample_velocity(
    velocity: Float[Tensor, "*batch 2 nx ny"], factor: int
) -> Float[Tensor, "*batch 2 coarse_x coarse_y"]:
    """Face means of a coarser grid: exact fluxes through its faces.

    A coarse face of u is made of `factor` fine faces, whose mean is taken along y; along x every
    `factor`-th face is kept (indices s−1, 2s−1, …). Likewise v with x and y exchanged. A velocity
    free of divergence stays so to rounding, and fine → medium → coarse equals fine → coarse.

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    factor : s, a divisor of nx and ny.

    Raises
    ------
    DataError : the factor does not divide both sizes.

    Examples
    --------
    >>> field = torch.arange(16.0).reshape(4, 4)
    >>> downsample_velocity(torch.stack([field, field]), 2)
    tensor([[[ 4.5000,  6.5000],
             [12.5000, 14.5000]],
    <BLANKLINE>
            [[ 3.0000,  5.0000],
             [11.0000, 13.0000]]])
    """
    nx, ny = velocity.shape[-2:]
    if factor < 1 or nx % factor or ny % factor:
        divisors = [s for s in range(2, min(nx, ny) + 1) if nx % s == 0 and ny % s == 0]
        raise DataError(
            f"factor {factor} does not divide the grid {nx} x {ny}; divisors of both: {divisors}."
        )
    u, v = velocity.unbind(-3)
    blocks_y = u[..., factor - 1 :: factor, :].unflatten(-1, (ny // factor, factor))
    blocks_x = v[..., factor - 1 :: factor].unflatten(-2, (nx // factor, factor))
    return torch.stack([blocks_y.mean(-1), blocks_x.mean(-2)], -3)
