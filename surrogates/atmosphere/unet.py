"""UNet on the sphere's grid: periodic convolutions at four resolutions."""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere.network import (
    PAPER_GRID,
    GridNetwork,
    check_sizes,
    paper_channels,
    start_small,
)
from pushforward.surrogates.blocks import pad_sphere, seeded

__all__ = ["UNet"]


class UNet(GridNetwork):
    """Convolutions going down and up through the resolutions, with added skips.

    Encoder: one convolution of side 7, then stages of two of side 3 after each halving (max-pool).
    Decoder: stages of two of side 3, doubled between (nearest), to which the encoder's stage of
    the same resolution is added. A convolution is followed by leaky ReLU and a norm, and carries an
    identity skip where its channels match. Longitude is periodic, the poles are padded with zeros.

    Parameters
    ----------
    channels_in, channels_out, grid : see `GridNetwork`.
    width : channels of every stage.
    stages : resolutions; sides of the grid must be multiples of 2^(stages − 1).
    norm : `group` (8 groups: the same in training and in roll-outs) or `batch`, as published.
    resize : stretch the field to the next larger multiple of 16 first and back at the end, as
        published; this breaks exact longitude periodicity, so it is off by default.
    seed : of the initial weights.

    References
    ----------
    Ronneberger et al., "U-Net", MICCAI 2015; sizes: Benson et al., JAMES 2025.

    Examples
    --------
    >>> import torch
    >>> UNet(7, 3, grid=(8, 16), width=8)(torch.zeros(2, 7, 8, 16)).shape
    torch.Size([2, 3, 8, 16])
    >>> UNet.paper(levels=10).n_parameters
    9609984
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        grid: Sequence[int],
        width: int = 32,
        stages: int = 4,
        norm: Literal["group", "batch"] = "group",
        resize: bool = False,
        seed: int = 0,
    ):
        super().__init__(channels_in, channels_out, grid=grid)
        check_sizes(width=width, stages=stages)
        factor = 2 ** (stages - 1)
        if not resize and any(side % factor for side in self.grid):
            raise DataError(
                f"a grid of {self.grid[0]} x {self.grid[1]} cannot be halved {stages - 1} times. "
                "Use fewer stages, or resize=True."
            )
        if norm not in ("group", "batch"):
            raise DataError(f"norm = {norm!r}; expected group or batch.")
        if norm == "group" and width % min(8, width):
            raise DataError(f"width = {width} must be a multiple of 8 for group norms.")
        self.options = {
            "width": width,
            "stages": stages,
            "norm": norm,
            "resize": resize,
            "seed": seed,
        }
        self.inner = tuple((n // 16 + 1) * 16 for n in self.grid) if resize else self.grid
        with seeded(seed):
            first = nn.Sequential(_Convolution(channels_in, width, 7, norm))
            pair = [_pair(width, norm) for _ in range(2 * stages - 1)]
            self.down = nn.ModuleList([first, *pair[: stages - 1]])
            self.up = nn.ModuleList(pair[stages - 1 :])
            self.head = nn.Conv2d(width, channels_out, 1, bias=False)
        start_small(self.head)

    @classmethod
    def paper(cls, levels: int = 10, *, grid: Sequence[int] = PAPER_GRID) -> "UNet":
        """The published size M."""
        return cls(paper_channels(levels), levels, grid=grid, width=256, norm="batch", resize=True)

    def forward(
        self, inputs: Float[Tensor, "n c lat lon"], *, condition: None = None
    ) -> Float[Tensor, "n out lat lon"]:
        """Channels out, on the same grid."""
        self.check(inputs)
        x = inputs
        if self.inner != self.grid:
            x = F.interpolate(x, size=self.inner, mode="bilinear", align_corners=True)
        kept: list[Tensor] = []
        for i, stage in enumerate(self.down):
            x = stage(F.max_pool2d(x, 2) if i else x)
            kept.append(x)
        for i, stage in enumerate(self.up):
            if i:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest") + kept[-1 - i]
            x = stage(x)
        if self.inner != self.grid:
            x = F.interpolate(x, size=self.grid, mode="nearest-exact")
        return self.head(x)


def _pair(width: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*(_Convolution(width, width, 3, norm) for _ in range(2)))


class _Convolution(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, side: int, norm: str):
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, side, bias=False)
        self.norm: nn.Module = (
            nn.BatchNorm2d(channels_out)
            if norm == "batch"
            else nn.GroupNorm(min(8, channels_out), channels_out)
        )
        self.skip = channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        padded = pad_sphere(x, self.convolution.kernel_size[0] // 2)
        y = self.norm(F.leaky_relu(self.convolution(padded)))
        return x + y if self.skip else y
