"""Sub-grid models for large-eddy simulation: eddy viscosities from the resolved gradients."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.channel.wall_normal import apply
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from pushforward.simulators.channel.flow import ChannelFlow, ChannelState

__all__ = [
    "WALE",
    "Closure",
    "DynamicSmagorinsky",
    "VanDriestSmagorinsky",
    "filter_width",
    "subgrid_force",
]

# The six different entries of a symmetric tensor; the last three count twice in a sum over all.
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


@runtime_checkable
class Closure(Protocol):
    """A sub-grid model: eddy viscosity on the grid from the velocity and its gradients."""

    def __call__(
        self, velocity: Tensor, gradient: Tensor, flow: "ChannelFlow"
    ) -> Float[Tensor, "*batch ny nx nz"]:
        """ν_t ≥ -ν from velocity (3, *batch, ny, nx, nz) and gradient[i, j] = ∂u_i/∂x_j."""
        ...


def subgrid_force(
    flow: "ChannelFlow", state: "ChannelState", closure: Closure
) -> tuple[Tensor, Tensor, Tensor]:
    """∇·(2 ν_t S) as Fourier coefficients over the planes, one tensor a component."""
    velocity, gradient = flow.gradient(state)
    eddy = closure(velocity, gradient, flow)
    stress = flow.plane.to_spectral(2 * eddy * strain(gradient))
    xx, yy, zz, xy, xz, yz = stress
    dxy, dyy, dyz = apply(flow.wall.first, torch.stack((xy, yy, yz)))
    ikx, ikz = 1j * flow.plane.kx, 1j * flow.plane.kz
    return (
        (ikx * xx + dxy).addcmul_(ikz, xz),
        (ikx * xy + dyy).addcmul_(ikz, yz),
        (ikx * xz + dyz).addcmul_(ikz, zz),
    )


def strain(gradient: Tensor) -> Tensor:
    """S_ij = (∂u_i/∂x_j + ∂u_j/∂x_i)/2 for the six pairs, (6, ...)."""
    return torch.stack([(gradient[i, j] + gradient[j, i]) / 2 for i, j in PAIRS])


def magnitude(s: Tensor) -> Tensor:
    """|S| = √(2 S_ij S_ij)."""
    return (2 * contract(s, s)).sqrt()


def contract(a: Tensor, b: Tensor) -> Tensor:
    """a_ij b_ij of two symmetric tensors given by their six entries."""
    product = a * b
    return product[:3].sum(0) + 2 * product[3:].sum(0)


def filter_width(flow: "ChannelFlow") -> Tensor:
    """Δ = (Δx Δy Δz)^(1/3) on every plane, (ny, 1, 1); Δy is the mean gap to the neighbours."""
    dx, dz = flow.lengths[0] / flow.shape[0], flow.lengths[1] / flow.shape[2]
    dy = torch.gradient(flow.y)[0]
    return (dx * dz * dy).pow(1 / 3)[:, None, None]


class VanDriestSmagorinsky:
    """ν_t = (C_s Δ D)² |S| with D = 1 - exp(-d⁺/26), d⁺ the distance from the nearer wall.

    u_τ in d⁺ is that of the present mean profile.

    Parameters
    ----------
    constant : C_s; 0.1 is usual in channels.
    """

    def __init__(self, constant: float | int = 0.1) -> None:
        if constant < 0:
            raise DataError(f"constant = {constant} must not be negative.")
        self.constant = constant

    def __call__(self, velocity: Tensor, gradient: Tensor, flow: "ChannelFlow") -> Tensor:
        """Eddy viscosity (*batch, ny, nx, nz)."""
        shear = gradient[0, 1].mean((-1, -2))
        friction = flow.viscosity * (shear[..., :1].abs() + shear[..., -1:].abs()) / 2
        wall = (1 - flow.y.abs()) * friction.sqrt() / flow.viscosity
        damping = 1 - torch.exp(-wall / 26)
        length = self.constant * filter_width(flow) * damping[..., None, None]
        s = strain(gradient)
        return length.square() * magnitude(s)


class WALE:
    """ν_t = (C_w Δ)² (Sd:Sd)^{3/2} / ((S:S)^{5/2} + (Sd:Sd)^{5/4}).

    Sd is the traceless symmetric part of the squared velocity gradient. ν_t falls like d³ at a wall
    and vanishes in pure shear without any damping function; unlike Smagorinsky's it does not vanish
    in solid-body rotation.

    Parameters
    ----------
    constant : C_w; 0.5 in the original, 0.325 is in use for channels.

    Source: Nicoud, Ducros, Flow Turbul. Combust. 62, 1999.
    """

    def __init__(self, constant: float | int = 0.325) -> None:
        if constant < 0:
            raise DataError(f"constant = {constant} must not be negative.")
        self.constant = constant

    def __call__(self, velocity: Tensor, gradient: Tensor, flow: "ChannelFlow") -> Tensor:
        """Eddy viscosity (*batch, ny, nx, nz)."""
        square = torch.einsum("ik...,kj...->ij...", gradient, gradient)
        sd = (square + square.transpose(0, 1)) / 2
        trace = sd.diagonal(dim1=0, dim2=1).sum(-1) / 3
        sd = sd - torch.einsum(
            "ij,...->ij...", torch.eye(3, dtype=sd.dtype, device=sd.device), trace
        )
        a = sd.square().sum((0, 1))
        s = strain(gradient)
        b = contract(s, s)
        tiny = torch.finfo(a.dtype).tiny ** 0.5
        return (
            (self.constant * filter_width(flow)).square()
            * a.pow(1.5)
            / (b.pow(2.5) + a.pow(1.25) + tiny)
        )


class DynamicSmagorinsky:
    """ν_t = C Δ² |S| with C from the resolved scales, averaged over planes (Germano, Lilly).

    L_ij = (u_i u_j)^ - û_i û_j (deviatoric), M_ij = ratio² Δ² |Ŝ| Ŝ_ij - (Δ²|S| S_ij)^,
    C = -<L_ij M_ij> / (2 <M_ij M_ij>), clipped at 0. The test filter ^ is a trapezoid (1/4, 1/2,
    1/4) in x and z; since it does not act in y, the consistent ratio of the widths is 4^(1/3).

    Parameters
    ----------
    ratio : width of the test filter over the grid's.

    Source: Germano et al., Phys. Fluids A 3, 1991; Lilly, Phys. Fluids A 4, 1992.
    """

    def __init__(self, ratio: float | int = 4 ** (1 / 3)) -> None:
        if not ratio > 1:
            raise DataError(f"ratio = {ratio}; the test filter is wider than the grid's.")
        self.ratio = ratio

    def __call__(self, velocity: Tensor, gradient: Tensor, flow: "ChannelFlow") -> Tensor:
        """Eddy viscosity (*batch, ny, nx, nz)."""
        s = strain(gradient)
        size = filter_width(flow).square() * magnitude(s)
        return self._coefficient(velocity, s, size, flow) * size

    def coefficient(self, velocity: Tensor, gradient: Tensor, flow: "ChannelFlow") -> Tensor:
        """C(y), (*batch, ny, 1, 1)."""
        s = strain(gradient)
        size = filter_width(flow).square() * magnitude(s)
        return self._coefficient(velocity, s, size, flow)

    def _coefficient(
        self, velocity: Tensor, s: Tensor, size: Tensor, flow: "ChannelFlow"
    ) -> Tensor:
        products = torch.stack([velocity[i] * velocity[j] for i, j in PAIRS])
        # One pass of the test filter over everything that it acts on.
        smooth = trapezoid(torch.cat((velocity, s, products, size * s)))
        u, coarse, products, stress = smooth.split((3, 6, 6, 6))
        width = (self.ratio**2) * filter_width(flow).square()
        m = width * magnitude(coarse) * coarse - stress
        leonard = products - torch.stack([u[i] * u[j] for i, j in PAIRS])
        # M is traceless, so only the deviatoric part of L takes part in the product.
        numerator = contract(leonard, m).mean((-1, -2), keepdim=True)
        denominator = contract(m, m).mean((-1, -2), keepdim=True)
        c = -numerator / (2 * denominator.clamp_min(math.sqrt(torch.finfo(m.dtype).tiny)))
        return c.clamp_min(0.0)


def trapezoid(field: Tensor) -> Tensor:
    """The filter (1/4, 1/2, 1/4) along x and z, as products with two small matrices."""
    nx, nz = field.shape[-2:]
    along_z = field @ averaging(nz, field.dtype, field.device)
    return averaging(nx, field.dtype, field.device) @ along_z


@lru_cache(maxsize=16)
def averaging(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The periodic matrix with rows (1/4, 1/2, 1/4); symmetric."""
    eye = torch.eye(n, dtype=dtype, device=device)
    return eye / 2 + (eye.roll(1, 0) + eye.roll(-1, 0)) / 4
