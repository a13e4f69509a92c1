"""Flux-form advection on the staggered grid, eager and differentiable."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "ADVECTION_SCHEMES",
    "AdvectionScheme",
    "advect_scalar",
    "advect_velocity",
    "advection_from_fluxes",
    "face_value",
    "face_velocities",
    "van_leer_limited",
]

AdvectionScheme = Literal["van_leer", "central", "upwind", "lax_wendroff"]
ADVECTION_SCHEMES: tuple[AdvectionScheme, ...] = ("van_leer", "central", "upwind", "lax_wendroff")
Spacing = tuple[float, float]


def van_leer_limited(
    c_before: Tensor,
    c_left: Tensor,
    c_right: Tensor,
    c_after: Tensor,
    velocity: Tensor,
    high_order: Tensor,
) -> Tensor:
    """A face value between upwind and a high-order one, limited so that no new extremum appears.

    c = c_up + φ(r) (c_high − c_up), φ(r) = 2r/(1 + r) for r > 0, else 0, with r the ratio of the
    slope behind the upwind cell to the slope across the face. Written as φ = 2b/(a + b) with the
    slopes a (across) and b (behind), so that no division by zero happens where c is constant and
    the gradient stays finite there.

    Parameters
    ----------
    c_before, c_left, c_right, c_after : the four cells along the axis; the face is between
        `c_left` and `c_right`.
    velocity : at the face, positive from left to right.
    high_order : the value to be limited, e.g. Lax-Wendroff's, or one that a network has learned.

    References
    ----------
    van Leer, "Towards the ultimate conservative difference scheme II", J. Comput. Phys. 14, 1974.

    Examples
    --------
    >>> c = [torch.tensor(x) for x in (0.0, 1.0, 2.0, 3.0)]
    >>> van_leer_limited(*c, torch.tensor(1.0), torch.tensor(1.4)).item()  # smooth: high order
    1.399999976158142
    >>> c[0] = torch.tensor(2.0)  # an extremum: upwind
    >>> van_leer_limited(*c, torch.tensor(1.0), torch.tensor(1.4)).item()
    1.0
    """
    rightwards = velocity > 0
    across = c_right - c_left
    behind = torch.where(rightwards, c_left - c_before, c_after - c_right)
    upwind = torch.where(rightwards, c_left, c_right)
    smooth = across * behind > 0
    phi = torch.where(smooth, 2 * behind / torch.where(smooth, across + behind, 1.0), 0.0)
    return upwind + phi * (high_order - upwind)


def face_value(
    c: Float[Tensor, "*batch nx ny"],
    velocity: Float[Tensor, "*batch nx ny"],
    axis: int,
    ratio: float,
    scheme: AdvectionScheme,
) -> Float[Tensor, "*batch nx ny"]:
    """Value of c on the face between each cell and its next one along an axis.

    With C = velocity · dt/h: central (c_L + c_R)/2; upwind; Lax-Wendroff
    c_up + (1 − |C|)/2 (c_down − c_up); van Leer limits Lax-Wendroff.

    Parameters
    ----------
    c : (*batch, nx, ny).
    velocity : at the faces, (*batch, nx, ny).
    axis : −2 for x, −1 for y.
    ratio : dt/h.
    scheme : see above.

    Examples
    --------
    >>> c = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    >>> face_value(c, torch.ones_like(c), -1, 0.5, "upwind")
    tensor([[0., 1., 2., 3.]])
    """
    c_right = c.roll(-1, axis)
    if scheme == "central":
        return (c + c_right) / 2
    rightwards = velocity > 0
    upwind = torch.where(rightwards, c, c_right)
    if scheme == "upwind":
        return upwind
    downwind = torch.where(rightwards, c_right, c)
    lax_wendroff = upwind + (1 - ratio * velocity.abs()) / 2 * (downwind - upwind)
    if scheme == "lax_wendroff":
        return lax_wendroff
    return van_leer_limited(c.roll(1, axis), c, c_right, c.roll(-2, axis), velocity, lax_wendroff)


def face_velocities(
    velocity: Float[Tensor, "*batch 2 nx ny"],
) -> Float[Tensor, "*batch 2 2 nx ny"]:
    """The advecting velocity on the faces of each component's control volumes, centred linear.

    Entry [c, d] advects component c across the face ahead of it along axis d: for u at (3/2, 1/2)
    and (1, 1), for v at (1, 1) and (1/2, 3/2).
    """
    u, v = velocity.unbind(-3)
    across_u = torch.stack([u + u.roll(-1, -2), v + v.roll(-1, -2)], -3)
    across_v = torch.stack([u + u.roll(-1, -1), v + v.roll(-1, -1)], -3)
    return torch.stack([across_u, across_v], -4) / 2


def advection_from_fluxes(
    fluxes: Float[Tensor, "*batch 2 2 nx ny"], spacing: Spacing
) -> Float[Tensor, "*batch 2 nx ny"]:
    """−div of the fluxes [component, axis], each on the face ahead of its cell."""
    x, y = fluxes.unbind(-3)
    return -(x - x.roll(1, -2)) / spacing[0] - (y - y.roll(1, -1)) / spacing[1]


def advect_scalar(
    c: Float[Tensor, "*batch nx ny"],
    velocity: Float[Tensor, "*batch 2 nx ny"],
    spacing: Spacing,
    dt: float,
    scheme: AdvectionScheme = "van_leer",
) -> Float[Tensor, "*batch nx ny"]:
    """−div(c v) of a scalar at the cell centres, in flux form; one Euler step is c + dt times it.

    The sum of c is kept to rounding. With van Leer and upwind, and a Courant number of at most 1,
    a step along one axis makes no new extremum, so the total variation never rises.

    Parameters
    ----------
    c : (*batch, nx, ny), cell means.
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    spacing, dt, scheme : as in `advect_velocity`.

    Examples
    --------
    >>> c, v = torch.ones(4, 4), torch.ones(2, 4, 4)
    >>> advect_scalar(c, v, (0.1, 0.1), 0.01).abs().max().item()
    0.0
    """
    total = torch.zeros_like(c)
    for axis in (0, 1):
        carrier = velocity[..., axis, :, :]
        flux = carrier * face_value(c, carrier, axis - 2, dt / spacing[axis], scheme)
        total = total - (flux - flux.roll(1, axis - 2)) / spacing[axis]
    return total


def advect_velocity(
    velocity: Float[Tensor, "*batch 2 nx ny"],
    spacing: Spacing,
    dt: float,
    scheme: AdvectionScheme = "van_leer",
) -> Float[Tensor, "*batch 2 nx ny"]:
    """−div(v v): each component advected as a scalar by the velocity, in flux form.

    Momentum is kept to rounding, whatever the scheme.

    Parameters
    ----------
    velocity : (*batch, 2, nx, ny), u and v on the faces.
    spacing : (hx, hy).
    dt : time step; Lax-Wendroff and van Leer depend on it.
    scheme : "van_leer" (second order where smooth, first at extrema), "central", "upwind",
        "lax_wendroff".

    Examples
    --------
    >>> advect_velocity(torch.ones(2, 4, 4), (0.1, 0.1), 0.01).abs().max().item()
    0.0
    """
    carriers = face_velocities(velocity)
    fluxes = []
    for axis in (0, 1):
        carrier = carriers[..., :, axis, :, :]
        value = face_value(velocity, carrier, axis - 2, dt / spacing[axis], scheme)
        fluxes.append(carrier * value)
    return advection_from_fluxes(torch.stack(fluxes, -3), spacing)
