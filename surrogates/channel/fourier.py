"""Fourier neural operators between walls: Fourier modes in x and z, Chebyshev modes across."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from numpy.polynomial.chebyshev import chebvander
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import seeded
from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.network import ChannelNetwork, check_sizes

__all__ = ["FNO", "IFNO", "WallConvolution"]


class WallConvolution(nn.Module):
    r"""One complex matrix a mode, on the lowest Fourier x Chebyshev x Fourier modes.

        û_{k,n,m} = coefficients of e^{2πi k x/Lx} T_n(y) e^{2πi m z/Lz},   v̂ = R_{knm} û

    A Fourier transform across the channel would take the two walls for neighbours and stretched
    samples for even ones. Chebyshev modes (cosine modes in arccos y) resolve the walls and ask for
    no periodicity; they are fitted by least squares with the grid's quadrature weights, so any
    stretching will do. Shifts along x and z commute with it.

    Parameters
    ----------
    width : channels in and out.
    grid : the points.
    modes : |k| < modes[0], n < modes[1], 0 <= m < modes[2].
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, width: int, grid: ChannelGrid, modes: tuple[int, int, int]):
        super().__init__()
        nx, ny, nz = grid.shape
        if modes[0] > nx // 2 or modes[1] > ny or modes[2] > nz // 2 or min(modes) < 1:
            raise DataError(
                f"modes {modes} on a grid of {grid.shape}; at most ({nx // 2}, {ny}, {nz // 2})."
            )
        self.modes, self.planes = modes, (nx, nz)
        synthesis = torch.from_numpy(chebvander(list(grid.y), modes[1] - 1))
        root = grid.weights.clamp_min(1e-12).sqrt()
        analysis = torch.linalg.pinv(root[:, None] * synthesis) * root
        self.register_buffer("synthesis", synthesis.float(), persistent=False)
        self.register_buffer("analysis", analysis.float(), persistent=False)
        shape = (2 * modes[0] - 1, modes[1], modes[2], width, width, 2)
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(2 * width))

    def forward(self, x: Float[Tensor, "n c x y z"]) -> Float[Tensor, "n c x y z"]:
        """The convolved field."""
        nx, nz = self.planes
        a, _, m = self.modes
        # Across first: fewer points to transform.
        across = torch.einsum("pj,ncxjz->ncpxz", self.analysis, x)
        modes = torch.fft.rfft2(across, norm="forward")
        low = torch.cat((modes[..., :a, :m], modes[..., nx - a + 1 :, :m]), -2)
        weight = torch.view_as_complex(self.weight)
        mixed = torch.einsum("xpzio,nipxz->nopxz", weight, low)
        full = mixed.new_zeros(*mixed.shape[:-2], nx, nz // 2 + 1)
        full[..., :a, :m], full[..., nx - a + 1 :, :m] = mixed[..., :a, :], mixed[..., a:, :]
        planes = torch.fft.irfft2(full, s=(nx, nz), norm="forward")
        return torch.einsum("jp,ncpxz->ncxjz", self.synthesis, planes)


class FNO(ChannelNetwork):
    r"""Layers of mode-wise matrices and a pointwise map: x ← gelu(K x + W x).

    Inputs are the velocity and y; positions along x and z, where the flow is homogeneous, are not
    fed, so the network commutes with shifts along them. The last layer has no activation.

    Parameters
    ----------
    grid : where the fields live.
    width : channels inside.
    modes : see `WallConvolution`.
    layers : number of layers.
    hidden : channels of the pointwise output network.
    seed : of the initial weights.

    References
    ----------
    Li et al., "Fourier neural operator for parametric partial differential equations", ICLR 2021.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import FNO, ChannelGrid
    >>> grid = ChannelGrid.chebyshev((8, 9, 4), (6.0, 2.0))
    >>> FNO(grid, width=4, modes=(3, 4, 2))(torch.zeros(2, 3, 8, 9, 4)).shape
    torch.Size([2, 3, 8, 9, 4])
    """

    height: Tensor

    def __init__(
        self,
        grid: ChannelGrid | Mapping[str, Any],
        *,
        width: int = 8,
        modes: Sequence[int] = (6, 8, 6),
        layers: int = 4,
        hidden: int = 64,
        seed: int = 0,
    ):
        super().__init__(grid)
        check_sizes(width=width, layers=layers, hidden=hidden)
        a, b, c = (int(m) for m in modes)
        self.options = {
            "width": width,
            "modes": [a, b, c],
            "layers": layers,
            "hidden": hidden,
            "seed": seed,
        }
        self.layers = layers
        with seeded(seed):
            self.lift = nn.Conv3d(4, width, 1)
            self.build(width, (a, b, c))
            self.head = nn.Sequential(
                nn.Conv3d(width, hidden, 1), nn.GELU(), nn.Conv3d(hidden, 3, 1)
            )
        y = torch.tensor(self.grid.y, dtype=torch.float32)
        self.register_buffer("height", y[:, None].expand(1, 1, *self.grid.shape), persistent=False)

    def build(self, width: int, modes: tuple[int, int, int]) -> None:
        """Make the layers between lift and head."""
        self.filters = nn.ModuleList(
            WallConvolution(width, self.grid, modes) for _ in range(self.layers)
        )
        self.maps = nn.ModuleList(nn.Conv3d(width, width, 1) for _ in range(self.layers))

    def hidden_layers(self, x: Float[Tensor, "n c x y z"]) -> Float[Tensor, "n c x y z"]:
        """What happens between lift and head."""
        for i, (convolve, mix) in enumerate(zip(self.filters, self.maps, strict=True)):
            x = convolve(x) + mix(x)
            if i < self.layers - 1:
                x = F.gelu(x)
        return x

    @classmethod
    def paper(cls, grid: ChannelGrid | None = None) -> "FNO":
        """About the published IFactFormer's 1.16 M numbers; the authors' sizes aren't known."""
        chosen = ChannelGrid.published() if grid is None else grid
        return cls(chosen, width=12, modes=(8, 8, 8), layers=4, hidden=1920)

    def forward(
        self, inputs: Float[Tensor, "n 3 x y z"], *, condition: None = None
    ) -> Float[Tensor, "n 3 x y z"]:
        """Normalised velocity in, the same shape out."""
        self.check(inputs)
        x = self.lift(torch.cat((inputs, self.height.expand(len(inputs), -1, -1, -1, -1)), 1))
        return self.head(self.hidden_layers(x))


class IFNO(FNO):
    r"""One Fourier layer, shared by all iterations: x ← x + gelu(K x + W x)/L.

    Parameters are those of `FNO`; `layers` is L.

    References
    ----------
    You et al., "Learning deep implicit Fourier neural operators", 2022.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import IFNO, ChannelGrid
    >>> grid = ChannelGrid.chebyshev((8, 9, 4), (6.0, 2.0))
    >>> IFNO(grid, width=4, modes=(3, 4, 2))(torch.zeros(2, 3, 8, 9, 4)).shape
    torch.Size([2, 3, 8, 9, 4])
    """

    def build(self, width: int, modes: tuple[int, int, int]) -> None:
        """Make the one layer."""
        self.filter = WallConvolution(width, self.grid, modes)
        self.map = nn.Conv3d(width, width, 1)

    def hidden_layers(self, x: Float[Tensor, "n c x y z"]) -> Float[Tensor, "n c x y z"]:
        """The iterations."""
        for _ in range(self.layers):
            x = x + F.gelu(self.filter(x) + self.map(x)) / self.layers
        return x

    @classmethod
    def paper(cls, grid: ChannelGrid | None = None) -> "IFNO":
        """About the published IFactFormer's 1.16 M numbers; the authors' sizes aren't known."""
        chosen = ChannelGrid.published() if grid is None else grid
        return cls(chosen, width=24, modes=(8, 8, 8), layers=10, hidden=2000)
