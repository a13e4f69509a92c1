"""Flows whose solution is known in closed form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.turbulence.grid import Number, PeriodicGrid

__all__ = ["taylor_green"]

Pair = tuple[Number, Number]


def taylor_green(
    grid: PeriodicGrid,
    offsets: tuple[Pair, Pair],
    t: Number,
    *,
    viscosity: Number,
    drag: Number = 0.0,
    waves: tuple[int, int] = (1, 1),
    drift: Pair = (0.0, 0.0),
) -> Float[Tensor, "2 nx ny"]:
    """Vortices that decay and are carried along, an exact solution.

    u = U + d cos(kx X) sin(ky Y), v = V − d (kx/ky) sin(kx X) cos(ky Y), X = x − U t, Y = y − V t,
    d = exp(−(ν (kx² + ky²) + μ) t). The ratio kx/ky keeps the divergence at zero.

    Parameters
    ----------
    grid, offsets : the places of u and v.
    t : time.
    viscosity, drag : ν, μ; with a drag, only for no drift.
    waves : along x and y; kx = 2 pi waves/Lx.
    drift : (U, V).

    Examples
    --------
    >>> grid = PeriodicGrid.of((8, 8), 2 * math.pi)
    >>> field = taylor_green(grid, ((1, 0.5), (0.5, 1)), 0.0, viscosity=0.0)
    >>> round(field[0].max().item(), 4)  # cos 0 sin(3 pi/8)
    0.9239
    """
    kx, ky = (2 * math.pi * m / s for m, s in zip(waves, grid.lengths, strict=True))
    decay = math.exp(-(viscosity * (kx**2 + ky**2) + drag) * t)
    fields = []
    for component, offset in enumerate(offsets):
        x, y = grid.points(offset)
        x, y = kx * (x - drift[0] * t), ky * (y - drift[1] * t)
        wave = x.cos() * y.sin() if component == 0 else -kx / ky * x.sin() * y.cos()
        fields.append(drift[component] + decay * wave)
    return torch.stack(fields)
