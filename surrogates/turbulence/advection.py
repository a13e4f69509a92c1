"""Advection of a staggered velocity by interpolations whose weights vary from face to face."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pushforward.simulators.turbulence.advection import (
    advection_from_fluxes,
    face_velocities,
    van_leer_limited,
)
from pushforward.surrogates.turbulence._advection_fast import FusedAdvection, fits

__all__ = ["advection", "eager_advection", "interpolate"]


def interpolate(
    velocity: Float[Tensor, "n 2 x y"], weights: Float[Tensor, "n 128 x y"]
) -> Float[Tensor, "n 2 2 2 x y"]:
    """The 8 interpolations of a step: of both components, twice, to the faces along x and y.

    Parameters
    ----------
    velocity : u at (1, 1/2), v at (1/2, 1), in cells.
    weights : of the 4x4 patch of the same component, ordered (component, use, axis, patch point);
        use 0 carries, use 1 is carried; patch points as in `face_stencils`.

    Returns
    -------
    (n, component, use, axis, x, y).
    """
    n, _, n_x, n_y = velocity.shape
    padded = F.pad(velocity, (1, 2, 1, 2), mode="circular")
    windows = padded.unfold(2, 4, 1).unfold(3, 4, 1)
    patches = windows.permute(0, 1, 4, 5, 2, 3).reshape(n, 2, 1, 16, n_x, n_y)
    return (weights.unflatten(1, (2, 4, 16)) * patches).sum(3).unflatten(2, (2, 2))


def advection(
    velocity: Float[Tensor, "n 2 x y"],
    weights: Float[Tensor, "n 128 x y"] | None,
    spacing: float,
) -> Float[Tensor, "n 2 x y"]:
    r"""−∇·(u u): both components carried through the faces of their control volumes.

    The flux of component c along d is component c at that face, limited by van Leer's function
    between its upwind and its interpolated value, times component d at that face. What leaves one
    control volume enters the next, so momentum is kept whatever the weights.

    Parameters
    ----------
    velocity : (n, 2, x, y), staggered.
    weights : see `interpolate`; None is the plain scheme, means of the two cells beside a face.
    spacing : h.

    References
    ----------
    Kochkov et al., "Machine learning-accelerated computational fluid dynamics", PNAS 2021.
    """
    if fits(velocity, weights):
        return FusedAdvection.apply(velocity, weights, spacing)
    return eager_advection(velocity, weights, spacing)


def eager_advection(
    velocity: Float[Tensor, "n 2 x y"],
    weights: Float[Tensor, "n 128 x y"] | None,
    spacing: float,
) -> Float[Tensor, "n 2 x y"]:
    """`advection` by torch's own operations: on any device, differentiable any number of times."""
    right, after = (torch.stack([velocity.roll(-s, d) for d in (2, 3)], 2) for s in (1, 2))
    before = torch.stack([velocity.roll(1, d) for d in (2, 3)], 2)
    left = velocity[:, :, None].expand_as(right)
    if weights is None:
        carrier, carried = face_velocities(velocity), (left + right) / 2
    else:
        carrying, carried = interpolate(velocity, weights).unbind(2)
        carrier = carrying.transpose(1, 2)  # [c, d]: component d, interpolated along axis c
    face = van_leer_limited(before, left, right, after, carrier, carried)
    return advection_from_fluxes(face * carrier, (spacing, spacing))
