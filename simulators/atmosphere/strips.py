"""Sweeps in which the wind varies across a cell: its strips move by different distances.

A face passes air, but not the same amount along its whole length: near a pole the air closer to it
turns further. Moments across the sweep, moved with the cell's mean wind, then point the wrong way.
So each cell is cut along the sweep into `STRIPS` strips of equal air; a parabola through the
neighbouring faces shares the flux out to them; each strip is remapped by itself; and the moments
across are fitted to the strips' means. At the pole the parabola goes on in the opposite meridian,
where east is west.

The strips of a cell lose and gain air unequally, and only the other axis' sweep makes up for it.
Hence the first sweep of a step along x ("opening") starts with equal strips and keeps count of
what they hold at its end; the last ("closing") starts with unequal ones, such that they end equal.
Sweeps along y ("steady") look at strips as fixed places. How the wind changes with height inside a
layer is left out.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pushforward.simulators.atmosphere.grid import LatLonGrid

__all__ = [
    "ACROSS",
    "STRIPS",
    "Moves",
    "Phase",
    "flux_weights",
    "gather",
    "sheared_sweep",
    "spread",
    "strip_chains",
]

Phase = Literal["opening", "closing", "steady"]
STRIPS = 4  # three fit a parabola; the fourth makes rotation over the poles a sixth better
KEPT = 0.02  # least share of its air that a strip keeps; else the wind is made more even

# Moments along the sweep (s, ss), across it (t, tt), and st, z, zz, sz, tz.
ACROSS = {"x": (1, 3, 2, 4, 5, 6, 7, 8, 9), "y": (2, 4, 1, 3, 5, 6, 7, 9, 8)}


def strip_chains(layers: int) -> list[tuple[int, ...]]:
    """As `schemes.chains`, for the moments of a strip: 1, s, ss, z, sz, zz."""
    return [(0, 1, 2), (3, 4), (5,)][: 1 if layers == 1 else None]


def flux_weights(grid: LatLonGrid, axis: str) -> Tensor:
    """What each strip's flux takes from five faces side by side, (row, strip, 5).

    Along y there is one row, for all meridians are alike; along x the strips of a row have equal
    areas and the parabola goes through fluxes per degree of latitude.
    """
    part = torch.linspace(-1, 1, STRIPS + 1, dtype=torch.float64)
    if axis == "y":
        cut = part[None]
    else:
        sine = torch.deg2rad(grid.lat_edges).sin()[:, None]
        between = (sine[1:] + sine[:-1] + part * sine.diff(dim=0)) / 2
        degrees = torch.rad2deg(between.clamp(-1, 1).asin())
        cut = (degrees - grid.lat[:, None]) * (2 / grid.spacing[0])
        cut[:, 0], cut[:, -1] = -1.0, 1.0
    low = torch.tensor([-1, 7, 7, -1, 0], dtype=torch.float64) / 12
    high = low.roll(1)
    mean = torch.tensor([0, 0, 1, 0, 0], dtype=torch.float64)
    slope, curve = (high - low) / 2, (low + high) / 2 - mean
    y = cut[..., None]
    upto = (y * mean + (y**2 - 1) / 2 * slope + (y**3 - y) / 2 * curve) / 2
    return upto.diff(dim=1)


class Moves(NamedTuple):
    """How a sweep is done: with tensors, see `spread` and `gather`, or by the kernels.

    `remap(mass, amounts, flux)` moves lines of strips, laid side by side as further rows (axis x)
    or columns (y), with the moments of `strip_chains`.
    """

    spread: Callable[[str, Tensor, Tensor], Tensor]
    remap: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    gather: Callable[[str, Tensor, Tensor], Tensor]


def sheared_sweep(
    axis: str,
    phase: Phase,
    weights: Tensor,
    mass: Tensor,
    amounts: Tensor,
    flux: Tensor,
    moves: Moves,
) -> tuple[Tensor, Tensor]:
    """As `sweep_lines`, strip by strip.

    Parameters
    ----------
    phase : what the strips' air is at the start and the end, see above.
    weights : of `flux_weights`.
    """
    fluxes = _strip_fluxes(axis, phase, weights, mass, flux)  # strips lie before the longitudes
    whole = mass.unsqueeze(-2)
    equal = torch.full((STRIPS, 1), 1 / STRIPS, dtype=mass.dtype, device=mass.device)
    share = equal
    if phase == "closing":
        gain = -fluxes.diff(dim=-1)
        share = ((whole + gain.sum(-2, keepdim=True)) / STRIPS - gain) / whole
    y, square = _legendre(share)
    cells = (*mass.shape[:-1], STRIPS, mass.shape[-1])
    parts = torch.stack([f.expand(cells) for f in (share, share * y, share * square)])
    held = moves.spread(axis, parts, amounts)
    merged = (-3, -2) if axis == "x" else (-2, -1)
    after, moved = moves.remap(
        (share * whole).flatten(*merged), held.flatten(*merged), fluxes.flatten(*merged)
    )
    after = after.reshape(cells)
    moved = moved.reshape(*moved.shape[:-2], *cells[-3:])
    total = after.sum(-2)
    share = after / total.unsqueeze(-2) if phase == "opening" else equal
    return total, moves.gather(axis, _fit(share, total.unsqueeze(-2) / after), moved)


def _strip_fluxes(axis: str, phase: Phase, weights: Tensor, mass: Tensor, flux: Tensor) -> Tensor:
    """Air through the faces of the strips, (..., row of cells or faces, strip, face or cell)."""
    weights, n = weights.to(flux)[..., None], flux.shape[-2 if axis == "x" else -1]
    if axis == "x":
        opposite = -flux[..., :-1].roll((flux.shape[-1] - 1) // 2, -1)
        opposite = torch.cat((opposite, opposite[..., :1]), -1)
        south, north = [min(1, n - 1), 0], [n - 1, max(n - 2, 0)]
        wide = torch.cat((opposite[..., south, :], flux, opposite[..., north, :]), -2)
    else:
        wide = torch.cat((flux[..., -2:], flux, flux[..., :2]), -1)
    views = [wide.narrow(-2 if axis == "x" else -1, d, n).unsqueeze(-2) for d in range(5)]
    strips = sum(
        (weights[:, :, d] * view for d, view in enumerate(views[1:], 1)),
        weights[:, :, 0] * views[0],
    )
    even = (flux / STRIPS).unsqueeze(-2)
    along = -1 if axis == "x" else -3
    now = (mass / STRIPS).unsqueeze(-2)
    if phase == "steady":
        even_out = _outflow(even, along)
        room = ((1 - KEPT) * now - even_out).clamp(min=0)
        need = _outflow(strips, along) - even_out
    elif phase == "opening":
        room, need = (1 - KEPT) * (now - even.diff(dim=along)), (strips - even).diff(dim=along)
    else:
        room, need = (1 - KEPT) * now, (even - strips).diff(dim=along)
    tight = need > room
    factor = torch.where(tight, room / torch.where(tight, need, 1.0), 1.0)
    return even + factor.amin((along, -2), keepdim=True) * (strips - even)


def _outflow(fluxes: Tensor, along: int) -> Tensor:
    n = fluxes.shape[along] - 1
    return (-fluxes).clamp(min=0).narrow(along, 0, n) + fluxes.clamp(min=0).narrow(along, 1, n)


def _legendre(share: Tensor) -> tuple[Tensor, Tensor]:
    """Means of y and (3y² − 1)/2 over strips with these shares of a cell −1 < y < 1."""
    high = 2 * share.cumsum(-2) - 1
    low = high - 2 * share
    return (low + high) / 2, (high**2 + high * low + low**2 - 1) / 2


def _fit(share: Tensor, per_air: Tensor) -> Tensor:
    """Least squares in y and (3y² − 1)/2: what the strips' amounts give to the cell's, three rows.

    Both have the mean 0 over the strips. The first row is of a line alone.
    """
    y, square = _legendre(share)
    yy, mixed, squares = ((share * a).sum(-2, keepdim=True) for a in (y * y, y * square, square**2))
    scale = share / (yy * squares - mixed**2)
    rows = (
        share * y / yy,
        scale * (squares * y - mixed * square),
        scale * (yy * square - mixed * y),
    )
    return torch.stack([row * per_air for row in rows])


def spread(axis: str, parts: Tensor, amounts: Tensor) -> Tensor:
    """Amounts of the strips: 1, s, ss and, with layers, z, sz, zz.

    Parameters
    ----------
    parts : share of a strip, and that times the means of y and (3y² − 1)/2 over it,
        (3, *batch, layer, lat, strip, lon).
    amounts : of the cells, (*batch, tracer, moment, layer, lat, lon).

    Returns
    -------
    (*batch, tracer, moment, layer, lat, strip, lon)
    """
    a = amounts.unsqueeze(-2).unbind(-5)
    s, ss, t, tt, st, z, zz, sz, tz = ACROSS[axis]
    one, y, square = parts.unsqueeze(-5)
    own = [one * a[0] + y * a[t] + square * a[tt], one * a[s] + y * a[st], one * a[ss]]
    if len(a) > 6:
        own += [one * a[z] + y * a[tz], one * a[sz], one * a[zz]]
    return torch.stack(own, -5)


def gather(axis: str, fit: Tensor, moved: Tensor) -> Tensor:
    """Amounts of the cells: sums over strips along the sweep, least squares across it.

    Parameters
    ----------
    fit : rows of the least squares, (3, *batch, layer, lat, strip, lon).
    moved : of the strips, as `spread` returns them.
    """
    s, ss, t, tt, st, z, zz, sz, tz = ACROSS[axis]
    line, first, second = fit.unsqueeze(-5)
    own, total = moved.unbind(-5), moved.sum(-2).unbind(-4)
    columns: list[Tensor] = [torch.empty(0)] * (6 if len(own) == 3 else 10)
    columns[0], columns[s], columns[ss] = total[:3]
    columns[t], columns[tt] = (first * own[0]).sum(-2), (second * own[0]).sum(-2)
    columns[st] = (line * own[1]).sum(-2)
    if len(own) > 3:
        columns[z], columns[sz], columns[zz] = total[3:]
        columns[tz] = (line * own[3]).sum(-2)
    return torch.stack(columns, -4)
