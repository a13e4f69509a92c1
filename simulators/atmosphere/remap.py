"""One sweep of the transport along lines of cells, as a remapping of air and of what it carries.

Air f_i passes face i of a line. The air that fills cell i afterwards lay between the departure
points of its two faces, found by going back from each face until the passed cells hold f_i. So the
new cell is put together from pieces of old cells, whatever the Courant number; a new mass that is
not positive is the only thing that cannot be done. Written for a step of less than a cell this is
the usual flux form, and for moments it is Prather's scheme.
"""

import torch
from torch import Tensor

from pushforward.simulators.atmosphere.reconstruction import GHOST, limited, padded, reconstruct
from pushforward.simulators.atmosphere.schemes import SCHEMES, Scheme, chains

__all__ = ["greatest_outflow", "remap_chains", "sweep_lines", "swept_mass"]

AXIS = {"x": -1, "y": -2, "z": -3}


def sweep_lines(
    scheme: Scheme, axis: str, mass: Tensor, amounts: Tensor, flux: Tensor
) -> tuple[Tensor, Tensor]:
    """Move air and tracers along one axis; with gradients, any device.

    Parameters
    ----------
    scheme : see `SCHEMES`.
    axis : "x", "y" or "z".
    mass : air of the cells (*batch, layer, lat, lon), kg.
    amounts : (*batch, tracer, moment, layer, lat, lon), kg: air mass times coefficients.
    flux : air through the faces in kg, one more along the axis than cells; along x the first face
        is that west of cell 0 and the last repeats it.

    Returns
    -------
    New mass and amounts; NaN where a cell would be emptied.
    """
    return remap_chains(scheme, axis, chains(scheme, axis, mass.shape[-3]), mass, amounts, flux)


def remap_chains(
    scheme: Scheme,
    axis: str,
    together: list[tuple[int, ...]],
    mass: Tensor,
    amounts: Tensor,
    flux: Tensor,
) -> tuple[Tensor, Tensor]:
    """`sweep_lines` for amounts of which those of each tuple form a polynomial along the axis."""
    dim = AXIS[axis]
    air, passed = mass.movedim(dim, -1), flux.movedim(dim, -1)
    cell, place = _departures(air, passed)
    pieces = _pieces(air, cell, place)
    new_air = sum((piece[1] for piece in pieces), torch.zeros_like(air))
    columns: list[Tensor] = [torch.empty(0)] * amounts.shape[-4]
    ghost_air = padded(mass, axis)[..., GHOST - 1 : -GHOST + 1].unsqueeze(-4)
    for number, chain in enumerate(together):
        c = _coefficients(scheme, axis, mass, ghost_air, amounts, chain, first=number == 0)
        c = tuple(a[..., 1:-1] for a in c)
        for index, new in zip(chain, _project(pieces, new_air, c, len(chain)), strict=True):
            columns[index] = new
    return new_air.movedim(-1, dim), torch.stack(columns, -4).movedim(-1, dim)


def greatest_outflow(axis: str, mass: Tensor, flux: Tensor) -> Tensor:
    """Share of a cell's air that leaves it through both faces of one axis: the Courant number."""
    air, passed = mass.movedim(AXIS[axis], -1), flux.movedim(AXIS[axis], -1)
    leaving = (-passed[..., :-1]).clamp(min=0) + passed[..., 1:].clamp(min=0)
    return (leaving / air).movedim(-1, AXIS[axis])


def swept_mass(axis: str, mass: Tensor, area: Tensor, swept: Tensor) -> Tensor:
    """Air in the swept areas, kg, from piecewise parabolas of the density m/A, Courant <= 1.

    Parameters
    ----------
    mass : (*batch, layer, lat, lon), kg.
    area : (lat, lon), m².
    swept : area that passes each face, m², shaped as the fluxes of `sweep_lines`.
    """
    density = padded(mass / area, axis)
    c0, c1, c2 = reconstruct(SCHEMES["ppm"], density)
    whole = padded(area.expand_as(mass), axis)[..., GHOST - 1 : -GHOST + 1]
    moved = swept.movedim(AXIS[axis], -1)
    forth, back = moved.clamp(min=0), (-moved).clamp(min=0)
    h, g = forth / whole[..., :-1], back / whole[..., 1:]
    left = c0[..., :-1] + (1 - h) * (c1[..., :-1] + (1 - 2 * h) * c2[..., :-1])
    right = c0[..., 1:] + (1 - g) * ((1 - 2 * g) * c2[..., 1:] - c1[..., 1:])
    return (forth * left - back * right).movedim(-1, AXIS[axis])


def _coefficients(
    scheme: Scheme,
    axis: str,
    mass: Tensor,
    ghost_air: Tensor,
    amounts: Tensor,
    chain: tuple[int, ...],
    *,
    first: bool,
) -> tuple[Tensor, ...]:
    """Polynomials of one chain in the cells from one before to one after each line."""
    if not first:
        near = slice(GHOST - 1, -GHOST + 1)
        return tuple(
            padded(amounts[..., i, :, :, :], axis)[..., near] / ghost_air.squeeze(-4).unsqueeze(-4)
            for i in chain
        )
    means = padded(amounts[..., 0, :, :, :] / mass.unsqueeze(-4), axis)
    if not scheme.carried:
        c = reconstruct(scheme, means)
        return limited(scheme, means, c) if scheme.limiter == "positive" else c
    near = slice(GHOST - 1, -GHOST + 1)
    higher = (padded(amounts[..., i, :, :, :], axis)[..., near] / ghost_air for i in chain[1:])
    c = (means[..., near], *higher)
    return c if scheme.limiter == "none" else limited(scheme, means, c)


def _departures(air: Tensor, flux: Tensor) -> tuple[Tensor, Tensor]:
    """Cell and place in it (0 to 1) from where the air at each face comes."""
    n = air.shape[-1]
    flux = flux.broadcast_to(*air.shape[:-1], n + 1)
    faces = torch.arange(n + 1, device=air.device).expand(flux.shape)
    forth = flux > 0
    left, cell = flux.abs(), torch.where(forth, faces - 1, faces)
    for _ in range(n):
        held = air.gather(-1, cell % n)
        beyond = (left > held) & torch.isfinite(left)
        if not bool(beyond.any()):
            break
        left = torch.where(beyond, left - held, left)
        cell = torch.where(beyond, torch.where(forth, cell - 1, cell + 1), cell)
    share = left / air.gather(-1, cell % n)
    return cell, torch.where(forth, 1 - share, share)


Piece = tuple[Tensor, Tensor, Tensor, Tensor]


def _pieces(air: Tensor, cell: Tensor, place: Tensor) -> list[Piece]:
    """Old cell, air, middle (−1 to 1) and share of each piece of the new cells, in order."""
    n = air.shape[-1]
    start, end = cell[..., :-1], cell[..., 1:]
    pieces = []
    for k in range(int((end - start).max().clamp(min=0, max=n)) + 1):
        now = start + k
        low = torch.where(now == start, place[..., :-1], 0.0)
        high = torch.where(now == end, place[..., 1:], 1.0)
        share = torch.where(now <= end, high - low, 0.0)
        index = now % n
        pieces.append((index, share * air.gather(-1, index), low + high - 1, share))
    return pieces


def _project(
    pieces: list[Piece], new_air: Tensor, c: tuple[Tensor, ...], wanted: int
) -> list[Tensor]:
    """Moments of the new cells, `wanted` of them: Legendre projections of the old polynomials.

    A piece has coefficients p in its own coordinate ξ, which lies at place + width ξ in the new
    cell; ∫ P_k(place + width ξ) p(ξ) dξ gives what it adds to moment k.
    """
    shape = c[0].shape
    totals = [torch.zeros(shape, dtype=c[0].dtype, device=c[0].device) for _ in range(wanted)]
    position = torch.zeros_like(new_air)
    for index, piece_air, piece_middle, piece_share in pieces:
        width = piece_air / new_air
        place = (2 * position + width - 1).unsqueeze(-4)
        position = position + width
        width, air = width.unsqueeze(-4), piece_air.unsqueeze(-4)
        middle, share = piece_middle.unsqueeze(-4), piece_share.unsqueeze(-4)
        at = index.unsqueeze(-4).expand(shape)
        c0 = c[0].gather(-1, at)
        c1 = c[1].gather(-1, at) if len(c) > 1 else torch.zeros_like(c0)
        c2 = c[2].gather(-1, at) if len(c) > 2 else torch.zeros_like(c0)
        p0 = c0 + middle * c1 + c2 * (3 * middle**2 - 1 + share**2) / 2
        totals[0] = totals[0] + air * p0
        if wanted > 1:
            p1 = share * (c1 + 3 * c2 * middle)
            totals[1] = totals[1] + air * (3 * place * p0 + width * p1)
        if wanted > 2:
            square = 2.5 * (3 * place**2 - 1 + width**2)
            p2 = share**2 * c2
            totals[2] = totals[2] + air * (square * p0 + 5 * place * width * p1 + width**2 * p2)
    return totals
