"""The differentiable door to the fused kernels of learned advection."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pushforward.surrogates.turbulence import _advection_kernels as kernels

__all__ = ["FusedAdvection", "fits"]

G = kernels.GHOST


def fits(velocity: Tensor, weights: Tensor) -> bool:
    """Whether the kernels serve these tensors: on the CPU, of one real dtype."""
    known = velocity.dtype in (torch.float32, torch.float64)
    return velocity.device.type == "cpu" and known and weights.dtype == velocity.dtype


class FusedAdvection(torch.autograd.Function):
    """`advection` with weights, by `_advection_kernels`. Gradients once, not of gradients."""

    @staticmethod
    def forward(ctx: Any, velocity: Tensor, weights: Tensor, spacing: float) -> Tensor:
        padded = F.pad(velocity, (G, G, G, G), mode="circular")
        weights = weights.contiguous()
        ctx.save_for_backward(weights, padded)
        ctx.inverse = velocity.detach().numpy().dtype.type(1 / spacing)
        out = torch.empty_like(velocity, memory_format=torch.contiguous_format)
        kernels.forward.on(_threads(len(out)))(
            weights.detach().numpy(), padded.detach().numpy(), ctx.inverse, out.numpy()
        )
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, padded = ctx.saved_tensors
        g_weights, g_padded = torch.empty_like(weights), torch.empty_like(padded)
        kernels.backward.on(_threads(len(g_out)))(
            weights.numpy(),
            padded.numpy(),
            ctx.inverse,
            g_out.contiguous().numpy(),
            g_weights.numpy(),
            g_padded.numpy(),
        )
        return _fold(g_padded), g_weights, None


def _threads(flows: int) -> int:
    """torch's number, no more than flows; numba is told of it."""
    threads = min(torch.get_num_threads(), flows)
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
