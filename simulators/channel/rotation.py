"""The nonlinear term in rotation form, u × ω, from the solver's unknowns."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.channel.transforms import PlaneTransforms
from pushforward.simulators.channel.wall_normal import WallNormal, apply

__all__ = ["RotationForm"]


class RotationForm:
    """What u × ω adds to the equations of φ = ∇²v, g = ω_y and the mean profiles.

    Products are formed on 3/2 finer planes, which frees them of aliasing in x and z. In y they are
    not: what a product carries beyond the last polynomial is folded back onto the highest ones,
    and the caller takes those away (`WallNormal.smoothing`). Without that, a flow that the grid
    barely resolves gathers noise there, which its slopes at the walls multiply by ny².

    Parameters
    ----------
    plane, wall : transforms over the planes and matrices between the walls.
    """

    def __init__(self, plane: PlaneTransforms, wall: WallNormal) -> None:
        self.plane, self.wall = plane, wall
        k2 = plane.k2.clone()
        k2[0, 0] = 1.0  # the mean is carried apart
        self.ikx, self.ikz = 1j * plane.kx, 1j * plane.kz
        # Complex, for products of real with complex tensors copy the real one every time.
        self.k2 = plane.k2.to(torch.complex128)
        self.ikx_k2, self.ikz_k2 = 1j * plane.kx / k2, 1j * plane.kz / k2

    def __call__(
        self, v: Tensor, phi: Tensor, g: Tensor, mean: Tensor, extra: Tensor | None = None
    ) -> tuple[Complex[Tensor, "3 *batch ny kx kz"], Float[Tensor, "*batch 2 ny"]]:
        """(∂_x h_1 + ∂_z h_3, k² h_2, ∂_z h_1 - ∂_x h_3) and the plane means of h_1 and h_3.

        h = u × ω + ``extra`` (3, *batch, ny, kx, kz). All of it goes through a processor's cache a
        few planes at a time; only the two derivatives along y look at all planes.
        """
        plane, wall = self.plane, self.wall
        slope, turn = apply(wall.first, v), apply(wall.first, g)
        unknowns = [t.flatten(0, -3) for t in (v, phi, g, slope, turn)]
        profiles = torch.stack((mean, mean @ wall.first.T)).movedim(-2, 1).flatten(2)
        out = v.new_empty(3, *v.shape)
        target, added = out.flatten(1, -3), None if extra is None else extra.flatten(1, -3)
        means = mean.new_empty(2, target.shape[1])
        for first in range(0, target.shape[1], plane.chunk):
            part = slice(first, first + plane.chunk)
            fields = self._velocity_and_vorticity([t[part] for t in unknowns], profiles[..., part])
            h = plane.to_spectral(self._cross(plane.to_physical(fields, padded=True)))
            if added is not None:
                h += added[:, part]
            means[:, part] = h[::2, :, 0, 0].real
            torch.mul(self.ikx, h[0], out=target[0, part]).addcmul_(self.ikz, h[2])
            torch.mul(self.k2, h[1], out=target[1, part])
            torch.mul(self.ikz, h[0], out=target[2, part]).addcmul_(self.ikx, h[2], value=-1)
        return out, means.unflatten(1, v.shape[:-2]).movedim(0, -2)

    def _velocity_and_vorticity(
        self, unknowns: list[Tensor], profiles: Tensor
    ) -> Complex[Tensor, "6 planes kx kz"]:
        """u, v, w, ω_x, ω_y, ω_z, in a buffer that the next call overwrites.

        With v'' = φ + k²v the vorticity along the walls is ω_x = (ikz φ + ikx g')/k² and
        ω_z = (ikz g' - ikx φ)/k². At walls φ is not quite v'' - k²v, but u = 0 multiplies it there.
        """
        v, phi, g, slope, turn = unknowns
        (mean_u, mean_w), (shear_u, shear_w) = profiles
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
        out[0, :, 0, 0], out[2, :, 0, 0] = mean_u, mean_w
        out[3, :, 0, 0], out[5, :, 0, 0] = shear_w, -shear_u
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
