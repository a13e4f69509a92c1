"""The nonlinear term in rotation form, u × ω, from the solver's unknowns."""

import torch
from jaxtyping import Complex
from torch import Tensor

from pushforward.simulators.channel.transforms import PlaneTransforms
from pushforward.simulators.channel.wall_normal import WallNormal, apply

__all__ = ["RotationForm"]


class RotationForm:
    """Coefficients of u × ω from v, φ = ∇²v, g = ω_y and the mean profiles.

    Products are formed on 3/2 finer planes, which frees them of aliasing in x and z. In y they are
    not dealiased: on coarse grids, where the spectrum in y does not fall off, part of the energy
    that a product carries beyond the last polynomial comes back, and a run that should be refined
    in y may gain or lose energy without an error message.

    Parameters
    ----------
    plane, wall : transforms over the planes and matrices between the walls.
    """

    def __init__(self, plane: PlaneTransforms, wall: WallNormal) -> None:
        self.plane, self.wall = plane, wall
        k2 = plane.k2.clone()
        k2[0, 0] = 1.0  # the mean is carried apart
        self.ikx_k2, self.ikz_k2 = 1j * plane.kx / k2, 1j * plane.kz / k2

    def __call__(
        self, v: Tensor, phi: Tensor, g: Tensor, mean: Tensor
    ) -> Complex[Tensor, "3 *batch ny kx kz"]:
        """u × ω, a cache's worth of planes at a time."""
        plane, fields = self.plane, self.velocity_and_vorticity(v, phi, g, mean)
        out = fields.new_empty(3, *v.shape)
        source, target = fields.flatten(1, -3), out.flatten(1, -3)
        for first in range(0, source.shape[1], plane.chunk):
            part = slice(first, first + plane.chunk)
            products = self._cross(plane.to_physical(source[:, part], padded=True))
            target[:, part] = plane.to_spectral(products)
        return out

    def velocity_and_vorticity(
        self, v: Tensor, phi: Tensor, g: Tensor, mean: Tensor
    ) -> Complex[Tensor, "6 *batch ny kx kz"]:
        """u, v, w, ω_x, ω_y, ω_z, in a buffer that the next call overwrites.

        With v'' = φ + k²v the vorticity along the walls is ω_x = (ikz φ + ikx g')/k² and
        ω_z = (ikz g' - ikx φ)/k². At walls φ is not quite v'' - k²v, but u = 0 multiplies it there.
        """
        slope, turn = apply(self.wall.first, torch.stack((v, g)))
        out = self.plane.buffer("kinematics", (6, *v.shape), v.dtype)
        for target, x, along_x, z, along_z in (
            (out[0], self.ikx_k2, slope, -self.ikz_k2, g),
            (out[2], self.ikx_k2, g, self.ikz_k2, slope),
            (out[3], self.ikx_k2, turn, self.ikz_k2, phi),
            (out[5], -self.ikx_k2, phi, self.ikz_k2, turn),
        ):
            torch.mul(x, along_x, out=target)
            target.addcmul_(z, along_z)
        out[1], out[4] = v, g
        shear = mean @ self.wall.first.T
        out[0, ..., 0, 0], out[2, ..., 0, 0] = mean[..., 0, :], mean[..., 1, :]
        out[3, ..., 0, 0], out[5, ..., 0, 0] = shear[..., 1, :], -shear[..., 0, :]
        return out

    def _cross(self, fields: Tensor) -> Tensor:
        """u × ω on the planes, into a buffer that the next call overwrites."""
        u, v, w, a, b, c = fields
        out = self.plane.buffer("cross", (3, *u.shape), u.dtype)
        for target, (p, q, r, s) in zip(
            out, ((v, c, w, b), (w, a, u, c), (u, b, v, a)), strict=True
        ):
            torch.mul(p, q, out=target)
            target.addcmul_(r, s, value=-1)
        return out
