"""Spherical Fourier neural operator: global convolutions by spherical harmonics."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.atmosphere.network import (
    PAPER_GRID,
    GridNetwork,
    check_sizes,
    paper_channels,
    start_small,
)
from pushforward.surrogates.blocks import SphericalHarmonicTransform, seeded

__all__ = ["SFNO", "SphericalConvolution"]


class SphericalConvolution(nn.Module):
    r"""Convolution with filters that are symmetric about an axis, by the convolution theorem.

        (κ ∗ f)_lm = Σ_in W[out, in, l] f_lm + bias

    One complex matrix a degree, shared by all orders, so that turning the sphere about its axis,
    in the limit of resolution about any axis, turns the result.

    Parameters
    ----------
    channels : in and out.
    transform : the harmonics of the grid.
    """

    def __init__(self, channels: int, transform: SphericalHarmonicTransform):
        super().__init__()
        self.transform = transform
        scale = torch.full((transform.degrees,), math.sqrt(1 / channels))
        scale[0] *= math.sqrt(2)
        weight = torch.randn(channels, channels, transform.degrees, 2) / math.sqrt(2)
        self.weight = nn.Parameter(weight * scale[:, None])
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Float[Tensor, "n c lat lon"]) -> Float[Tensor, "n c lat lon"]:
        """The convolved field."""
        modes = self.transform(x.to(self.transform.analysis.dtype))
        mixed = torch.einsum("oil,nilm->nolm", torch.view_as_complex(self.weight), modes)
        return self.transform.inverse(mixed).to(x.dtype) + self.bias


class SFNO(GridNetwork):
    """Blocks of spherical convolution, instance norm, ReLU, pointwise network and residual.

    The published code transforms half-offset data with the quadrature of pole-including nodes;
    here the transform is that of the grid the data are on (`SphericalHarmonicTransform`).

    Parameters
    ----------
    channels_in, channels_out, grid : see `GridNetwork`.
    width : channels inside.
    depth : blocks.
    expansion : hidden channels of the pointwise network, as a multiple of `width`.
    seed : of the initial weights.

    References
    ----------
    Bonev et al., "Spherical Fourier Neural Operators", ICML 2023; sizes: Benson et al., JAMES 2025.

    Examples
    --------
    >>> import torch
    >>> SFNO(7, 3, grid=(8, 16), width=8, depth=1)(torch.zeros(2, 7, 8, 16)).shape
    torch.Size([2, 3, 8, 16])
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        grid: Sequence[int],
        width: int = 32,
        depth: int = 4,
        expansion: int = 2,
        seed: int = 0,
    ):
        super().__init__(channels_in, channels_out, grid=grid)
        check_sizes(width=width, depth=depth, expansion=expansion)
        self.options = {"width": width, "depth": depth, "expansion": expansion, "seed": seed}
        transform = SphericalHarmonicTransform(*self.grid)
        with seeded(seed):
            self.encoder = nn.Conv2d(channels_in, width, 1, bias=False)
            self.blocks = nn.ModuleList(
                _Block(width, expansion * width, transform) for _ in range(depth)
            )
            self.decoder = nn.Conv2d(width, channels_out, 1, bias=False)
        start_small(self.decoder)

    @classmethod
    def paper(cls, levels: int = 10, *, grid: Sequence[int] = PAPER_GRID) -> "SFNO":
        """The published size L."""
        return cls(paper_channels(levels), levels, grid=grid, width=256, depth=8)

    def forward(
        self, inputs: Float[Tensor, "n c lat lon"], *, condition: None = None
    ) -> Float[Tensor, "n out lat lon"]:
        """Channels out, on the same grid."""
        self.check(inputs)
        x = self.encoder(inputs)
        for block in self.blocks:
            x = block(x)
        return self.decoder(x)


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int, transform: SphericalHarmonicTransform):
        super().__init__()
        self.filter = SphericalConvolution(width, transform)
        self.before = nn.InstanceNorm2d(width, affine=True)
        self.mlp = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, width, 1)
        )
        self.after = nn.InstanceNorm2d(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.before(self.filter(x)))
        return x + self.after(self.mlp(y))
