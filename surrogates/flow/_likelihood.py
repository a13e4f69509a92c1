"""The divergence of a field beside its value: what a log-likelihood integrates."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["augmented_rate"]


def augmented_rate(
    evaluate: Callable[[Any, Tensor, Tensor], Tensor], shape: torch.Size, signs: Tensor | None
) -> Callable[[Any, Tensor, Tensor], Tensor]:
    """The rate of the state (x flattened, ∫ div u dt), of shape (batch, d + 1).

    ``signs`` (probes, *shape) of ±1 estimate the divergence as the mean of e·(∂u/∂x) e; None
    computes it exactly, one derivative for each axis. If gradients are enabled outside, the result
    can be differentiated again.
    """

    def rate(field: Any, state: Tensor, t: Tensor) -> Tensor:
        outer = torch.is_grad_enabled()
        with torch.enable_grad():
            x = state[:, :-1]
            if not (outer and x.requires_grad):
                x = x.detach().requires_grad_()
            u = evaluate(field, x.reshape(shape), t).flatten(1)
            if signs is None:
                parts = [_derivative(u[:, i], x, outer)[:, i] for i in range(x.shape[1])]
                div = torch.stack(parts).sum(0)
            else:
                flat = signs.flatten(2)
                parts = [(e * _derivative((e * u).sum(1), x, outer)).sum(1) for e in flat]
                div = torch.stack(parts).mean(0)
        out = torch.cat((u, div[:, None]), 1)
        return out if outer else out.detach()

    return rate


def _derivative(value: Tensor, x: Tensor, create_graph: bool) -> Tensor:
    """∂(Σ value)/∂x; zero where value does not depend on x."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(
        value.sum(), x, create_graph=create_graph, retain_graph=True, materialize_grads=True
    )[0]
