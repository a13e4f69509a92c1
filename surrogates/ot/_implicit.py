"""Derivatives of an entropic plan by the implicit function theorem."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._envelope import log_plan

__all__: list[str] = []


def differentiable_plan(
    C: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, eps: Tensor
) -> Tensor:
    """The plan (*batch, n, m) at solved potentials, with gradients in C, a, b and eps."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in (C, a, b, eps)):
        return _Plan.apply(C, a, b, eps, f, g)
    with torch.no_grad():
        return log_plan(C, a, b, f, g, eps).exp()


class _Plan(torch.autograd.Function):
    """P(C, a, b, eps), defined by P = exp(φ + ψ - C/eps), P1 = a, P'1 = b.

    With G = ∂L/∂P and W = G∘P the adjoint (λ, μ) solves

        [diag(a)  P     ] (λ)   (W1 )
        [P'       diag(b)] (μ) = (W'1),

    and ∂L/∂(C/eps) = P∘(λ + μ - G), ∂L/∂a = λ, ∂L/∂b = μ, each up to the constant that equal
    masses leave open. λ is eliminated; the remaining matrix diag(b) - P' diag(1/a) P is singular
    along the constants only, which the rank-one term b b'/Σb removes.
    """

    @staticmethod
    def forward(
        ctx: Any, C: Tensor, a: Tensor, b: Tensor, eps: Tensor, f: Tensor, g: Tensor
    ) -> Tensor:
        P = log_plan(C, a, b, f, g, eps).exp()
        ctx.save_for_backward(C, a, b, eps, f, g, P)
        return P

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        C, a, b, eps, f, g, P = ctx.saved_tensors
        # Conditional laws of j given i and of i given j: defined for atoms without mass too.
        rows = _normalised(log_plan(C, torch.ones_like(a), b, f, g, eps), -1)
        columns = _normalised(log_plan(C, a, torch.ones_like(b), f, g, eps), -2)
        G = torch.where(P > 0, G, 0.0)
        right = (G * P).sum(-2) - (P.mT @ (G * rows).sum(-1, keepdim=True)).squeeze(-1)
        total = b.sum(-1, keepdim=True)
        matrix = torch.diag_embed(b) - P.mT @ rows + (b / total).unsqueeze(-1) * b.unsqueeze(-2)
        empty = torch.diag_embed((b == 0).to(b))
        mu = torch.linalg.solve(matrix + empty, right)
        lam = ((G - mu.unsqueeze(-2)) * rows).sum(-1)
        mu = torch.where(b > 0, mu, ((G - lam.unsqueeze(-1)) * columns).sum(-2))
        slope = P * (lam.unsqueeze(-1) + mu.unsqueeze(-2) - G)
        grad_C = slope / eps[..., None, None]
        grad_eps = None
        if ctx.needs_input_grad[3]:
            finite = torch.where(P > 0, C, 0.0)
            grad_eps = -(slope * finite).sum((-2, -1)) / eps.square()
        return grad_C, lam, mu, grad_eps, None, None


def _normalised(log_p: Tensor, axis: int) -> Tensor:
    top = log_p.amax(axis, keepdim=True)
    p = (log_p - torch.where(torch.isfinite(top), top, 0.0)).exp()
    total = p.sum(axis, keepdim=True)
    return p / torch.where(total > 0, total, 1.0)
