"""Swin transformer, version 2, on the sphere's grid: attention in shifted windows."""

import math
from collections.abc import Sequence

import torch
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
from pushforward.surrogates.blocks import Drop, seeded

__all__ = ["SwinTransformer"]


class SwinTransformer(GridNetwork):
    r"""Windowed cosine attention at one resolution, every other block's windows shifted by half.

        x ← x + LN(attention(x)),   x ← x + LN(MLP(x))
        attention = softmax(exp(s) cos(q, k) + b(Δ)) v

    b is a small network of the log-spaced offset Δ. The norms after each branch start at zero, so
    that the network starts as its embedding and head. Windows roll around the globe in longitude,
    where they are truly periodic; in latitude a mask keeps the two poles apart.

    Parameters
    ----------
    channels_in, channels_out, grid : see `GridNetwork`.
    width : channels; a multiple of `heads`.
    depth : blocks.
    heads : of attention.
    window : (lat, lon) cells of a window; must divide the grid.
    patch : side of the square of cells that make a token; 1 as published.
    drop_path, drop_position : probabilities in training of dropping a branch of a sample (growing
        linearly with depth up to this) and an entry of the position network's hidden layer.
    seed : of the initial weights.

    References
    ----------
    Liu et al., "Swin Transformer V2", CVPR 2022; sizes: Benson et al., JAMES 2025.

    Examples
    --------
    >>> import torch
    >>> net = SwinTransformer(7, 3, grid=(8, 16), width=16, depth=2, heads=2)
    >>> net(torch.zeros(2, 7, 8, 16)).shape
    torch.Size([2, 3, 8, 16])
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        grid: Sequence[int],
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        window: Sequence[int] = (4, 8),
        patch: int = 1,
        drop_path: float = 0.0,
        drop_position: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(channels_in, channels_out, grid=grid)
        check_sizes(width=width, depth=depth, heads=heads, patch=patch)
        tokens = tuple(side // patch for side in self.grid)
        fits = all(side % (patch * part) == 0 for side, part in zip(self.grid, window, strict=True))
        if not fits or width % heads:
            raise DataError(
                f"a grid of {self.grid[0]} x {self.grid[1]} in patches of {patch} and windows of "
                f"{tuple(window)}, width {width} with {heads} heads: windows must divide the grid "
                "and heads the width."
            )
        self.options = {
            "width": width,
            "depth": depth,
            "heads": heads,
            "window": list(window),
            "patch": patch,
            "drop_path": drop_path,
            "drop_position": drop_position,
            "seed": seed,
        }
        with seeded(seed):
            self.embed = nn.Conv2d(channels_in, width, patch, stride=patch)
            self.norm = nn.LayerNorm(width)
            self.blocks = nn.ModuleList(
                _Block(
                    width,
                    heads,
                    tokens,
                    tuple(window),
                    shifted=bool(i % 2),
                    drop_path=drop_path * i / max(depth - 1, 1),
                    drop_position=drop_position,
                )
                for i in range(depth)
            )
            self.head = nn.Linear(width, channels_out * patch**2, bias=False)
        start_small(self.head)

    @classmethod
    def paper(cls, levels: int = 10, *, grid: Sequence[int] = PAPER_GRID) -> "SwinTransformer":
        """The published size S with patches of 1 and windows of (4, 8); (5, 8) on 90 x 120."""
        return cls(
            paper_channels(levels),
            levels,
            grid=grid,
            width=512,
            depth=12,
            heads=8,
            window=(5, 8) if grid[0] % 4 else (4, 8),
            drop_path=0.1,
            drop_position=0.125,
        )

    def forward(
        self, inputs: Float[Tensor, "n c lat lon"], *, condition: None = None
    ) -> Float[Tensor, "n out lat lon"]:
        """Channels out, on the same grid."""
        self.check(inputs)
        x = self.norm(self.embed(inputs).permute(0, 2, 3, 1))
        for block in self.blocks:
            x = block(x)
        x = self.head(x).permute(0, 3, 1, 2)
        patch = self.options["patch"]
        return F.pixel_shuffle(x, patch) if patch > 1 else x


class _Block(nn.Module):
    """Attention and a pointwise network, each normed after and added."""

    offsets: Tensor
    mask: Tensor | None

    def __init__(
        self,
        width: int,
        heads: int,
        tokens: tuple[int, ...],
        window: tuple[int, ...],
        *,
        shifted: bool,
        drop_path: float,
        drop_position: float,
    ):
        super().__init__()
        self.heads, self.window = heads, window
        # Windows as large as the grid have nowhere to shift to.
        self.shift = tuple(
            part // 2 if shifted and part < side else 0
            for side, part in zip(tokens, window, strict=True)
        )
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.position = nn.Sequential(
            nn.Linear(2, 384), nn.ReLU(), Drop(drop_position), nn.Linear(384, heads)
        )
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        norms = [nn.LayerNorm(width) for _ in range(2)]
        for norm in norms:
            nn.init.zeros_(norm.weight)
        self.norms = nn.ModuleList(norms)
        self.drop = Drop(drop_path, whole_samples=True)
        self.register_buffer("offsets", _log_offsets(window), persistent=False)
        mask = _latitude_mask(tokens, window, self.shift[0]) if self.shift[0] else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Float[Tensor, "n lat lon c"]) -> Float[Tensor, "n lat lon c"]:
        x = x + self.drop(self.norms[0](self.attend(x)))
        return x + self.drop(self.norms[1](self.mlp(x)))

    def attend(self, x: Float[Tensor, "n lat lon c"]) -> Float[Tensor, "n lat lon c"]:
        n, lat, lon, c = x.shape
        p, q = self.window
        back = tuple(-s for s in self.shift)
        rolled = x.roll(back, (1, 2)) if any(back) else x
        windows = rolled.reshape(n, lat // p, p, lon // q, q, c).transpose(2, 3)
        windows = windows.reshape(n, -1, p * q, c)
        parts = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        scale = self.log_scale.clamp(max=math.log(100.0)).exp()
        query, key = F.normalize(parts[0], dim=-1) * scale, F.normalize(parts[1], dim=-1)
        bias = self.position(self.offsets).permute(2, 0, 1)
        if self.mask is not None:
            bias = bias + self.mask[:, None]
        mixed = F.scaled_dot_product_attention(
            query, key, parts[2], attn_mask=bias.to(query.dtype), scale=1.0
        )
        out = self.project(mixed.transpose(2, 3).flatten(-2))
        out = out.reshape(n, lat // p, lon // q, p, q, c).transpose(2, 3).reshape(n, lat, lon, c)
        return out.roll(self.shift, (1, 2)) if any(back) else out


def _log_offsets(window: tuple[int, ...]) -> Float[Tensor, "cells cells 2"]:
    """sign(Δ) ln(1 + |Δ|) between the cells of a window."""
    axes = [torch.arange(part) for part in window]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1).float()
    offset = places[:, None] - places[None, :]
    return offset.sign() * offset.abs().log1p()


def _latitude_mask(
    tokens: tuple[int, ...], window: tuple[int, ...], shift: int
) -> Float[Tensor, "windows cells cells"]:
    """−∞ between the cells of a shifted window that come from opposite poles."""
    rows = torch.arange(tokens[0]).roll(-shift)[:, None].expand(tokens[0], tokens[1])
    wrapped = (rows < shift).int()
    p, q = window
    parts = wrapped.reshape(tokens[0] // p, p, tokens[1] // q, q).transpose(1, 2)
    parts = parts.reshape(-1, p * q)
    apart = parts[:, :, None] != parts[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, -torch.inf)
