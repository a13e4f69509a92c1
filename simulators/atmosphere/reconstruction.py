"""Polynomials inside the cells of a line, from the means of the neighbours, and their limiters.

In a cell, with x running from −1 to 1 in proportion to the air passed, the mixing ratio is
q(x) = c₀ + c₁ x + c₂ (3x² − 1)/2. Lines lie along the last axis and carry `GHOST` cells beyond
both ends.
"""

import torch
from torch import Tensor

from pushforward.simulators.atmosphere.schemes import Scheme

__all__ = ["GHOST", "limited", "padded", "reconstruct"]

GHOST = 3


def padded(field: Tensor, axis: str) -> Tensor:
    """Lines along `axis` of (..., layer, lat, lon) as the last axis, ghost cells added.

    Circles of latitude are periodic; beyond a pole a meridian goes on in the opposite column;
    beyond the surface and the top lies the mirror image.

    Examples
    --------
    >>> padded(torch.arange(4.0).reshape(1, 1, 4), "x")
    tensor([[[1., 2., 3., 0., 1., 2., 3., 0., 1., 2.]]])
    """
    if axis == "x":
        n = field.shape[-1]
        return field[..., torch.arange(-GHOST, n + GHOST) % n]
    beyond = field.roll(field.shape[-1] // 2, -1) if axis == "y" else field
    inside, beyond = (f.movedim(-2 if axis == "y" else -3, -1) for f in (field, beyond))
    n = inside.shape[-1]
    low = [min(GHOST - 1 - g, n - 1) for g in range(GHOST)]
    high = [max(n - 1 - g, 0) for g in range(GHOST)]
    return torch.cat((beyond[..., low], inside, beyond[..., high]), -1)


def reconstruct(scheme: Scheme, means: Tensor) -> tuple[Tensor, ...]:
    """Coefficients (c₀, c₁, …) of the n + 2 cells from one before to one after the line.

    First order: c₀ alone. Van Leer: slopes by monotonised central differences. Piecewise parabolas
    (Colella and Woodward, JCP 54, 1984): edge values (7(q₋₁ + q₀) − (q₋₂ + q₁))/12, or with
    limited slopes and their three corrections if monotone.
    """
    near = means[..., GHOST - 1 : means.shape[-1] - GHOST + 1]
    if scheme.degree == 0:
        return (near,)
    if scheme.degree == 1:
        return near, _slopes(means)[..., GHOST - 2 : means.shape[-1] - GHOST] / 2
    if scheme.limiter == "monotone":
        slope = _slopes(means)  # of all cells but the first and the last
        inner = means[..., 1:-1]
        edges = (inner[..., :-1] + inner[..., 1:]) / 2 - (slope[..., 1:] - slope[..., :-1]) / 6
    else:
        pair = means[..., 1:-2] + means[..., 2:-1]
        edges = (7 * pair - (means[..., :-3] + means[..., 3:])) / 12
    left, right = edges[..., :-1], edges[..., 1:]
    if scheme.limiter == "monotone":
        jump, curve = right - left, 6 * near - 3 * (left + right)
        extremum = (right - near) * (near - left) <= 0
        steep_left = ~extremum & (jump * curve > jump * jump)
        steep_right = ~extremum & (jump * curve < -jump * jump)
        left, right = (
            torch.where(extremum, near, torch.where(steep_left, 3 * near - 2 * right, left)),
            torch.where(extremum, near, torch.where(steep_right, 3 * near - 2 * left, right)),
        )
    return near, (right - left) / 2, (left + right) / 2 - near


def _slopes(means: Tensor) -> Tensor:
    """Monotonised central differences of all cells but the first and the last."""
    left = means[..., 1:-1] - means[..., :-2]
    right = means[..., 2:] - means[..., 1:-1]
    size = torch.minimum((left + right).abs() / 4, torch.minimum(left.abs(), right.abs()))
    return torch.where(left * right > 0, 2 * size * torch.sign(left + right), 0.0)


def limited(scheme: Scheme, means: Tensor, c: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Shrink c₁, c₂ about the mean until the polynomial keeps its bounds.

    The bounds are 0 and infinity for positive schemes, the least and greatest of the three
    neighbouring means for monotone ones. Source: Zhang and Shu, JCP 229, 2010.

    Parameters
    ----------
    means : (..., n + 2 ghosts).
    c : coefficients of the n + 2 cells of `reconstruct`.
    """
    c0, c1 = c[:2]
    c2 = c[2] if len(c) > 2 else torch.zeros_like(c1)
    rise, fall = torch.maximum(c2 + c1, c2 - c1), torch.minimum(c2 + c1, c2 - c1)
    inside = c1.abs() < 3 * c2.abs()
    inner = -c2 / 2 - c1 * c1 / (6 * torch.where(inside, c2, 1.0))
    rise = torch.where(inside, torch.maximum(rise, inner), rise)
    fall = torch.where(inside, torch.minimum(fall, inner), fall)
    if scheme.limiter == "monotone":
        first, last = GHOST - 2, means.shape[-1] - GHOST + 2
        three = torch.stack([means[..., first + k : last - 2 + k] for k in range(3)])
        above, below = three.amax(0) - c0, c0 - three.amin(0)
    else:
        above, below = torch.full_like(c0, torch.inf), c0.clamp(min=0)
    factor = torch.where(rise > above, above / torch.where(rise > above, rise, 1.0), 1.0)
    drop = torch.where(-fall > below, below / torch.where(-fall > below, -fall, 1.0), 1.0)
    factor = torch.minimum(factor, drop)
    return (c0, factor * c1, factor * c2)[: len(c)]
