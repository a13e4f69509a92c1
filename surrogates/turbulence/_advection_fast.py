"""The differentiable door to the fused kernels of learned advection."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pushforward.simulators.compiled import available_threads
from pushforward.surrogates.turbulence import _advection_kernels as kernels

__all__ = ["FusedAdvection", "fits"]

G = kernels.GHOST


def fits(velocity: Tensor, weights: Tensor | None) -> bool:
    """Whether the kernels serve these tensors: on the CPU, of one real dtype."""
    known = velocity.dtype in (torch.float32, torch.float64)
    alike = weights is None or weights.dtype == velocity.dtype
    return velocity.device.type == "cpu" and known and alike


class FusedAdvection(torch.autograd.Function):
    """`advection` by `_advection_kernels`. Gradients once, not of gradients."""

    @staticmethod
    def forward(ctx: Any, velocity: Tensor, weights: Tensor | None, spacing: float) -> Tensor:
        padded = F.pad(velocity, (G, G, G, G), mode="circular")
        weights = None if weights is None else weights.contiguous()
        ctx.save_for_backward(weights, padded)
        ctx.inverse = velocity.detach().numpy().dtype.type(1 / spacing)
        out = torch.empty_like(velocity, memory_format=torch.contiguous_format)
        kernels.forward.on(_threads(len(out)))(
            _array(weights), _array(padded), ctx.inverse, out.numpy()
        )
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor, Tensor | None, None]:
        weights, padded = ctx.saved_tensors
        g_weights = None if weights is None else torch.empty_like(weights)
        g_padded = torch.empty_like(padded)
        kernels.backward.on(_threads(len(g_out)))(
            _array(weights),
            _array(padded),
            ctx.inverse,
            _array(g_out.contiguous()),
            _array(g_weights),
            _array(g_padded),
        )
        return _fold(g_padded), g_weights, None


def _array(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.detach().numpy()


def _threads(flows: int) -> int:
    """What is available, no more than flows; numba is told of it."""
    threads = min(available_threads(), flows)
    if threads > 1:
        import numba

        numba.set_num_threads(threads)
    return threads


def _fold(padded: Tensor) -> Tensor:
    """Adjoint of circular padding: ghosts are added to the cells that they copy."""
    for axis in (2, 3):
        n = padded.shape[axis] - 2 * G
        inner = padded.narrow(axis, G, n)
        inner.narrow(axis, n - G, G).add_(padded.narrow(axis, 0, G))
        inner.narrow(axis, 0, G).add_(padded.narrow(axis, n + G, G))
        padded = inner
    return padded.contiguous()
