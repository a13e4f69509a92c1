"""Features of time and place that flow networks are given."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["FourierFeatures", "time_features"]


def time_features(t: Float[Tensor, "*batch"], n: int) -> Float[Tensor, "*batch n"]:
    """[sin(t w_i), cos(t w_i)], w_i = 10000^(−i/(n/2 − 1)), t in [0, 1] unscaled.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.fourier import time_features
    >>> time_features(torch.zeros(1), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    half = n // 2
    steps = torch.arange(half, device=t.device, dtype=t.dtype) / max(half - 1, 1)
    angle = t[..., None] * torch.exp(-math.log(10000.0) * steps)
    return torch.cat((angle.sin(), angle.cos()), -1)


class FourierFeatures(nn.Module):
    """[cos(2π x B), sin(2π x B)] with a frozen random B, entries of standard deviation `scale`.

    B is a buffer, so that a saved model finds the same features again.

    Parameters
    ----------
    dim : d, coordinates of x.
    n : number of frequencies; there are 2 n features.
    scale : of B. 0.01 is the released meta-flow code's (code): nearly linear on data of order
        one; larger values resolve finer shapes.
    generator : of B.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.fourier import FourierFeatures
    >>> features = FourierFeatures(2, 3, scale=1.0, generator=torch.Generator().manual_seed(0))
    >>> features(torch.zeros(1, 2)).tolist()
    [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
    """

    frequencies: Tensor

    def __init__(self, dim: int, n: int, *, scale: float, generator: torch.Generator):
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(dim, n, generator=generator))

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """Features of the points."""
        angle = 2 * math.pi * x @ self.frequencies
        return torch.cat((angle.cos(), angle.sin()), -1)
