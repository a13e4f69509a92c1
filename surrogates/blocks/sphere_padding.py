"""Padding of latitude-longitude fields."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pad_sphere"]


def pad_sphere(x: Float[Tensor, "n c lat lon"], width: int) -> Float[Tensor, "n c Lat Lon"]:
    """Cells around the globe in longitude, zeros beyond the poles.

    Examples
    --------
    >>> import torch
    >>> pad_sphere(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 1)[0, 0].tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0], [3.0, 1.0, 2.0, 3.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    if width == 0:
        return x
    x = torch.cat([x[..., -width:], x, x[..., :width]], dim=-1)
    return F.pad(x, (0, 0, width, width))
