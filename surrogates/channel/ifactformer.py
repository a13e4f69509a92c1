"""The implicit factorized transformer of turbulent channel flow, parallel and chained."""

import math
from collections.abc import Mapping
from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import seeded
from pushforward.surrogates.channel.factorized_attention import (
    FactorizedAttention,
    Positions,
    Variant,
)
from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.network import ChannelNetwork, check_sizes
from pushforward.surrogates.channel.precision import Precision, hidden_precision

__all__ = ["IFactFormer"]

FEATURE_SCALE = 8.0  # standard deviation of the wavenumbers of the Fourier features


class IFactFormer(ChannelNetwork):
    r"""One factorized-attention block, shared by all iterations, between pointwise embeddings.

        u₀ = embed(inputs) + W [sin 2πxB, cos 2πxB],    u_{l+1} = u_l + A(u_l)/L,    out = head(u_L)

    The released code feeds evenly spaced positions whatever the grid (an index, not y), absolute
    features of x and z although the flow is homogeneous there, and sums kernels over the stretched
    y without quadrature weights. With `positions="true"` features see y alone and x and z enter by
    distances around the box, so that the network commutes with shifts along them; with
    `quadrature` sums and means over y are integrals. `positions="released", quadrature=False` is
    what was released.

    Parameters
    ----------
    grid : where the fields live.
    variant : parallel (IFactFormer-m) or chained (IFactFormer-o).
    dim, heads, dim_head, kernel_multiplier : sizes of the block.
    iterations : L.
    positions, quadrature : see above.
    precision : of the hidden layers; bfloat16 is several times quicker on processors with matrix
        units.
    seed : of the initial weights and of the fixed B.

    References
    ----------
    Yang, Wang, Wang, arXiv:2412.18840 and its code; the parent: Li, Shu, Barati Farimani,
    arXiv:2305.17560.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelGrid, IFactFormer
    >>> grid = ChannelGrid.chebyshev((8, 9, 4), (6.0, 2.0))
    >>> IFactFormer(grid, dim=8, heads=2, dim_head=4)(torch.zeros(2, 3, 8, 9, 4)).shape
    torch.Size([2, 3, 8, 9, 4])
    """

    frequencies: Tensor
    coordinates: Tensor

    def __init__(
        self,
        grid: ChannelGrid | Mapping[str, Any],
        *,
        variant: Variant = "parallel",
        dim: int = 32,
        heads: int = 4,
        dim_head: int = 32,
        kernel_multiplier: int = 3,
        iterations: int = 5,
        positions: Positions = "true",
        quadrature: bool = True,
        precision: Precision = "float32",
        seed: int = 0,
    ):
        super().__init__(grid)
        check_sizes(heads=heads, dim_head=dim_head, iterations=iterations)
        for name, value, known in (
            ("variant", variant, get_args(Variant)),
            ("positions", positions, get_args(Positions)),
        ):
            if value not in known:
                raise DataError(f"{name} = {value!r} must be one of {', '.join(known)}.")
        if dim < 6 or dim % 2:
            raise DataError(f"dim = {dim} must be even and at least 6.")
        self.options = {
            "variant": variant,
            "dim": dim,
            "heads": heads,
            "dim_head": dim_head,
            "kernel_multiplier": kernel_multiplier,
            "iterations": iterations,
            "positions": positions,
            "quadrature": quadrature,
            "precision": precision,
            "seed": seed,
        }
        self.iterations, self.precision = iterations, precision
        each = dim // 2 // 3  # channels of the first layer for each velocity component
        with seeded(seed):
            # PyTorch's own law for layers with one input.
            self.lift_weight = nn.Parameter(torch.empty(3, each).uniform_(-1.0, 1.0))
            self.lift_bias = nn.Parameter(torch.empty(3, each).uniform_(-1.0, 1.0))
            self.lift = nn.Linear(3 * each, dim, bias=False)
            features = FEATURE_SCALE * torch.randn(3, dim // 2)
            self.place = nn.Linear(dim, dim)
            self.block = FactorizedAttention(
                self.grid,
                variant=variant,
                dim=dim,
                heads=heads,
                dim_head=dim_head,
                kernel_multiplier=kernel_multiplier,
                positions=positions,
                quadrature=quadrature,
            )
            self.head = nn.Sequential(
                nn.Linear(dim, dim // 2, bias=False), nn.GELU(), nn.Linear(dim // 2, 3)
            )
        if positions == "true":
            features[[0, 2]] = 0
        self.register_buffer("frequencies", features)
        self.register_buffer("coordinates", _coordinates(self.grid, positions), persistent=False)

    @classmethod
    def paper(
        cls,
        grid: ChannelGrid | None = None,
        *,
        variant: Variant = "parallel",
        positions: Positions = "true",
        quadrature: bool = True,
        precision: Precision = "float32",
    ) -> "IFactFormer":
        """The published size: 1,163,331 numbers (parallel) or 1,071,171 (chained), 144 fixed.

        Parameters
        ----------
        grid : default: the published one of Re_tau 180.
        """
        return cls(
            ChannelGrid.published() if grid is None else grid,
            variant=variant,
            dim=96,
            heads=5,
            dim_head=96,
            kernel_multiplier=3,
            iterations=10,
            positions=positions,
            quadrature=quadrature,
            precision=precision,
        )

    def forward(
        self, inputs: Float[Tensor, "n 3 x y z"], *, condition: None = None
    ) -> Float[Tensor, "n 3 x y z"]:
        """Normalised velocity in, the same shape out."""
        self.check(inputs)
        with hidden_precision(self.precision, inputs.device):
            u = self.embed(inputs)
            for _ in range(self.iterations):
                u = u + self.block(u) / self.iterations
            out = self.head(u)
        return out.to(inputs.dtype).permute(0, 4, 1, 3, 2)

    def embed(self, inputs: Float[Tensor, "n 3 x y z"]) -> Float[Tensor, "n x z y dim"]:
        """u₀: channels and positions, axes as `FactorizedAttention` has them."""
        angles = 2 * math.pi * (self.coordinates @ self.frequencies)
        places = self.place(torch.cat((angles.sin(), angles.cos()), -1))
        channels = inputs.permute(0, 2, 4, 3, 1)[..., None] * self.lift_weight + self.lift_bias
        return self.lift(F.gelu(channels.flatten(-2))) + places


def _coordinates(grid: ChannelGrid, positions: Positions) -> Float[Tensor, "x z y 3"]:
    """Positions of the points, y from the lower wall; x and z run over the box."""
    nx, ny, nz = grid.shape
    lx, lz = grid.lengths
    y = torch.tensor(grid.y, dtype=torch.float64) + 1
    x, z = torch.arange(nx) * (lx / nx), torch.arange(nz) * (lz / nz)
    if positions == "released":
        x, y, z = (torch.linspace(0.0, a, n) for a, n in ((lx, nx), (2.0, ny), (lz, nz)))
    places = torch.meshgrid(x.double(), z.double(), y.double(), indexing="ij")
    return torch.stack((places[0], places[2], places[1]), -1).float()
