"""The value of an entropic problem from its potentials, differentiable by the envelope theorem."""

import torch
from torch import Tensor

__all__: list[str] = []


def log_plan(C: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, eps: Tensor) -> Tensor:
    """log P = log a + log b + (f + g - C)/eps; -inf where a weight is 0 or the cost infinite."""
    width = eps[..., None, None]
    return (f / eps[..., None] + a.log()).unsqueeze(-1) + (
        (g / eps[..., None] + b.log()).unsqueeze(-2) - C / width
    )


def entropic_value(C: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, eps: Tensor) -> Tensor:
    """⟨C,P⟩ + eps·KL(P | a bᵀ), shape (*batch,), through the dual at detached potentials.

    The dual ⟨f,a⟩ + ⟨g,b⟩ - eps(ΣP - ΣaΣb) equals the primal at the solution and its error is
    quadratic in the marginal error. Its derivatives at fixed potentials are those of the value:
    ∂/∂a = f + eps(Σb - 1), ∂/∂b = g + eps(Σa - 1), ∂/∂C = P, ∂/∂eps = KL(P | a bᵀ). No step of
    the solver is differentiated.
    """
    with torch.no_grad():
        P = log_plan(C, a, b, f, g, eps).exp()
        total, mass_a, mass_b = P.sum((-2, -1)), a.sum(-1), b.sum(-1)
        dual = _dot(f, a) + _dot(g, b) - eps * (total - mass_a * mass_b)
    value = dual
    if C.requires_grad:
        value = value + (P * _from_zero(torch.where(P > 0, C, 0.0))).sum((-2, -1))
    if a.requires_grad:
        value = value + ((f + (eps * (mass_b - 1)).unsqueeze(-1)).detach() * _from_zero(a)).sum(-1)
    if b.requires_grad:
        value = value + ((g + (eps * (mass_a - 1)).unsqueeze(-1)).detach() * _from_zero(b)).sum(-1)
    if eps.requires_grad:
        linear = (torch.where(P > 0, C.detach(), 0.0) * P).sum((-2, -1))
        value = value + ((dual - linear) / eps).detach() * _from_zero(eps)
    return value


def _from_zero(x: Tensor) -> Tensor:
    """x - x without the gradient: value 0, gradient 1."""
    return x - x.detach()


def _dot(h: Tensor, w: Tensor) -> Tensor:
    """⟨h, w⟩ over the last axis, where an atom without mass adds nothing."""
    return torch.where(w > 0, h * w, 0.0).sum(-1)
