"""Attention that is factorized over the three axes: one small kernel an axis and head."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel.grid import ChannelGrid

__all__ = ["AxisKernel", "FactorizedAttention", "Positions", "Variant", "rotary_angles"]

Variant = Literal["parallel", "chained"]
Positions = Literal["true", "released"]

QUERY_GAIN = 0.02  # of the Xavier-uniform queries and keys
BASE = 10000.0


def rotary_angles(
    grid: ChannelGrid, axis: int, pairs: int, positions: Positions
) -> Float[Tensor, "points pairs"]:
    r"""Angles by which queries and keys of an axis are turned before they meet.

        along y, and everywhere as released:   θ_m(t) = 64 t 10000^(−m/pairs)
        along x and z otherwise:               θ_m(t) = 2π n_m t / L,   n_m = m mod (N/2)

    Products depend on differences of angles alone. With whole waves n_m they depend on the distance
    around the box, so that shifting a field along x or z shifts the result; the released angles
    jump where the box closes. True positions are the grid's, y counted from the lower wall;
    released ones run evenly from 0 to the length, end point included, on every axis.
    """
    number = grid.shape[axis]
    lengths = (grid.lengths[0], 2.0, grid.lengths[1])
    m = torch.arange(pairs, dtype=torch.float64)
    if positions == "released":
        t = torch.linspace(0.0, lengths[axis], number, dtype=torch.float64)
    elif axis == 1:
        t = torch.tensor(grid.y, dtype=torch.float64) + 1
    else:
        t = torch.arange(number, dtype=torch.float64) / number
        return 2 * math.pi * t[:, None] * (m % (number // 2))
    return 64 * t[:, None] * BASE ** (-m / pairs)


class AxisKernel(nn.Module):
    r"""The kernel of one axis, from the field pooled over the other two.

        p = MLP(LayerNorm(mean over the other axes of W s)),   q = W_q p,  k = W_k p
        K_ij = (R_i q_i) · (R_j k_j) w_j

    R turns pairs of components by `rotary_angles`; w are quadrature weights of mean 1, or 1. No
    softmax, no 1/√d: a low-rank integral kernel whose scale the norm after it takes out.

    Parameters
    ----------
    grid : its points.
    axis : 0, 1, 2 for x, y, z.
    dim : channels in.
    heads : number of kernels.
    features : length of a query; even.
    positions, quadrature : see `IFactFormer`.
    """

    cos: Tensor
    sin: Tensor
    weights: Tensor

    def __init__(
        self,
        grid: ChannelGrid,
        axis: int,
        *,
        dim: int,
        heads: int,
        features: int,
        positions: Positions,
        quadrature: bool,
    ):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.gate = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, heads * features, bias=False)
        self.key = nn.Linear(dim, heads * features, bias=False)
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight, gain=QUERY_GAIN)
        angles = rotary_angles(grid, axis, features // 2, positions)
        weights = torch.ones(grid.shape[axis])
        if quadrature and axis == 1:
            weights = grid.weights / grid.weights.mean()
        for name, value in {"cos": angles.cos(), "sin": angles.sin(), "weights": weights}.items():
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, p: Float[Tensor, "n points dim"]) -> Float[Tensor, "n heads points points"]:
        """The kernels of a pooled field, quadrature weights included; in full precision."""
        p = self.norm(self.project(p))
        left, right = self.gate(p).chunk(2, -1)
        p = self.out(F.gelu(left) * right)
        q, k = self._turned(self.query(p)), self._turned(self.key(p))
        return (q @ k.transpose(-1, -2)) * self.weights

    def _turned(self, x: Tensor) -> Tensor:
        """Heads apart, and pairs (first half with second half) turned; in full precision."""
        x = x.to(self.cos.dtype).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        a, b = x.chunk(2, -1)
        return torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), -1)


class FactorizedAttention(nn.Module):
    r"""One block A(u): three axis kernels acting on the same values, or one after the other.

        parallel:  z = [K_x v, K_y v, K_z v],      chained:  z = K_z K_y K_x v
        A(u) = W₂ gelu(W₁ InstanceNorm(z)),        v = W_v LayerNorm(u)

    Fields have the axes (n, x, z, y, channel) here: with y before the channels, all products are
    matrix products on views, and values are kept channel by channel, which the norm likes.

    Parameters
    ----------
    grid : the points.
    variant : parallel (IFactFormer-m) or chained (IFactFormer-o).
    dim, heads, dim_head : channels of u, heads, channels a head.
    kernel_multiplier : length of a query over dim_head.
    positions, quadrature : see `IFactFormer`.
    """

    pooling: Tensor

    def __init__(
        self,
        grid: ChannelGrid,
        *,
        variant: Variant,
        dim: int,
        heads: int,
        dim_head: int,
        kernel_multiplier: int,
        positions: Positions,
        quadrature: bool,
    ):
        super().__init__()
        if dim_head * kernel_multiplier % 2:
            raise DataError(
                f"dim_head {dim_head} times kernel_multiplier {kernel_multiplier} must be even: "
                "queries are turned in pairs."
            )
        self.variant, self.heads, self.shape = variant, heads, grid.shape
        self.norm = nn.LayerNorm(dim)
        self.value = nn.Linear(dim, heads * dim_head, bias=False)
        self.source = nn.Linear(dim, dim, bias=False)
        self.axes = nn.ModuleList(
            AxisKernel(
                grid,
                axis,
                dim=dim,
                heads=heads,
                features=dim_head * kernel_multiplier,
                positions=positions,
                quadrature=quadrature,
            )
            for axis in range(3)
        )
        copies = 3 if variant == "parallel" else 1
        self.mix = nn.Linear(copies * heads * dim_head, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        ny = grid.shape[1]
        pooling = grid.weights / 2 if quadrature else torch.full((ny,), 1 / ny)
        self.register_buffer("pooling", pooling.float(), persistent=False)

    def forward(self, u: Float[Tensor, "n x z y dim"]) -> Float[Tensor, "n x z y dim"]:
        """A(u)."""
        normed = self.norm(u)
        parts = self.attend(self.kernels(normed), self.values(normed))
        weights = self.mix.weight.chunk(len(parts), 1)
        mixed = [
            F.instance_norm(z).transpose(1, 2) @ weight.T
            for z, weight in zip(parts, weights, strict=True)
        ]
        total = mixed[0] if len(mixed) == 1 else mixed[0] + mixed[1] + mixed[2]
        return self.out(F.gelu(total)).view(u.shape)

    def kernels(self, normed: Float[Tensor, "n x z y dim"]) -> list[Tensor]:
        """K_x, K_y, K_z of a normed field, each (n, heads, points, points)."""
        # Means come before the linear maps, with which they commute: three short rows are mapped.
        over_z, over_x = normed.mean(2), normed.mean(1)
        pooled = (self.pooling @ over_z, over_z.mean(1), self.pooling @ over_x)
        return [axis(self.source(p)) for axis, p in zip(self.axes, pooled, strict=True)]

    def values(self, normed: Float[Tensor, "n x z y dim"]) -> Float[Tensor, "n c points"]:
        """v, channel by channel."""
        return self.value.weight @ normed.flatten(1, 3).transpose(1, 2)

    def attend(
        self, kernels: list[Tensor], values: Float[Tensor, "n c points"]
    ) -> list[Float[Tensor, "n c points"]]:
        """Kernels applied to the values: three fields side by side, or one."""
        found = []
        for axis, kernel in enumerate(kernels):
            z = self.apply_along(axis, kernel.to(values.dtype), values)
            if self.variant == "chained":
                values = z
            found.append(z)
        return found if self.variant == "parallel" else found[-1:]

    def apply_along(
        self, axis: int, kernel: Float[Tensor, "n h p q"], values: Float[Tensor, "n c points"]
    ) -> Float[Tensor, "n c points"]:
        """Σ_j K_ij v_j along one axis, head by head."""
        n, c, points = values.shape
        nx, ny, nz = self.shape
        h = self.heads
        if axis == 1:
            z = values.view(n, h, points * c // h // ny, ny) @ kernel.transpose(-1, -2)
        elif axis == 0:
            z = kernel[:, :, None] @ values.view(n, h, c // h, nx, nz * ny)
        else:
            z = kernel[:, :, None] @ values.view(n, h, c // h * nx, nz, ny)
        return z.view(values.shape)
