"""Entropic transport with marginals relaxed by Kullback-Leibler penalties, batched."""

import torch
from torch import Tensor

from ._balanced import Potentials
from ._envelope import dot, from_zero, log_plan
from ._momentum import Momentum
from ._scaling import log_sweep

__all__: list[str] = []


@torch.no_grad()
def unbalanced_potentials(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    tau_a: float,
    tau_b: float,
    *,
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None,
) -> Potentials:
    """Maximise the dual of `unbalanced_value` over (f, g); any batch axes, tau may be infinite.

    Each soft minimum S is damped, f = φ_a S(g) with φ = tau/(tau+eps), and after each sweep the
    best constant is moved from f to g: without that, masses that differ from the optimum decay at
    the slow rate φ_a φ_b. `error` is the L1 distance of the marginals of the plan from what the
    potentials ask for, a exp(-f/tau_a) and b exp(-g/tau_b), relative to the mass of the plan.
    """
    batch, n, m = C.shape[:-2], *C.shape[-2:]
    C = C.detach().reshape(-1, n, m)
    a, b = a.detach().reshape(-1, n), b.detach().reshape(-1, m)
    width = eps.detach().reshape(-1, 1)
    log_a, log_b, Ct = a.log(), b.log(), C.mT.contiguous()
    damp_a, damp_b = (1 / (1 + width / tau) for tau in (tau_a, tau_b))
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    if init is not None:
        f, g = (h.expand(*batch, h.shape[-1]).reshape(-1, h.shape[-1]) for h in init)
    momentum = Momentum(g)
    found = Potentials(f, g, torch.full_like(width.squeeze(-1), torch.inf), 0)
    best = found.error
    while found.n_iter < max_iter:
        found.n_iter += 1
        f = damp_a * log_sweep(C, g, log_b, width)
        sweep = log_sweep(Ct, f, log_a, width)
        # Rows are what f asks for; the columns are b exp((g - sweep)/eps).
        columns = b * ((g - sweep) / width).exp()
        wanted = b * (-g / tau_b).exp()
        error = torch.where(b > 0, (columns - wanted).abs(), 0.0).sum(-1) / columns.sum(-1)
        found.errors.append(error)
        closer = error < best
        found.f = torch.where(closer.unsqueeze(-1), f, found.f)
        found.g = torch.where(closer.unsqueeze(-1), g, found.g)
        best = torch.where(closer, error, best)
        if (best <= tol).all() or not torch.isfinite(error).all():
            break
        momentum.observe(error, tol)
        after = damp_b * sweep
        after = after - _best_constant(f, after, a, b, tau_a, tau_b)
        g = g + momentum.change(torch.where(b > 0, after - g, 0.0))
    found.error = best.reshape(batch)
    found.errors = [e.reshape(batch) for e in found.errors]
    found.g = torch.where(b > 0, found.g, damp_b * log_sweep(Ct, found.f, log_a, width))
    found.f, found.g = found.f.reshape(*batch, n), found.g.reshape(*batch, m)
    return found


def _best_constant(
    f: Tensor, g: Tensor, a: Tensor, b: Tensor, tau_a: float, tau_b: float
) -> Tensor:
    """λ (B, 1) at which the dual of (f + λ, g - λ) is largest; the plan does not change with λ."""
    mass_a = (torch.where(a > 0, a.log(), -torch.inf) - f / tau_a).logsumexp(-1, keepdim=True)
    mass_b = (torch.where(b > 0, b.log(), -torch.inf) - g / tau_b).logsumexp(-1, keepdim=True)
    return (mass_a - mass_b) / (1 / tau_a + 1 / tau_b)


def unbalanced_value(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    f: Tensor,
    g: Tensor,
    eps: Tensor,
    tau_a: float,
    tau_b: float,
) -> Tensor:
    """⟨C,P⟩ + eps·KL(P|abᵀ) + tau_a·KL(P1|a) + tau_b·KL(P'1|b) through the dual, (*batch,).

    The dual Σ aᵢ tau_a (1 - exp(-fᵢ/tau_a)) + Σ bⱼ tau_b (1 - exp(-gⱼ/tau_b)) - eps(ΣP - ΣaΣb) is
    differentiated at fixed potentials (envelope theorem).
    """
    with torch.no_grad():
        P = log_plan(C, a, b, f, g, eps).exp()
        mass_a, mass_b = a.sum(-1), b.sum(-1)
        gain_a, gain_b = _gain(f, tau_a), _gain(g, tau_b)
        dual = dot(gain_a, a) + dot(gain_b, b) - eps * (P.sum((-2, -1)) - mass_a * mass_b)
    value = dual
    width = eps.detach().unsqueeze(-1)
    if C.requires_grad:
        value = value + (P * from_zero(torch.where(P > 0, C, 0.0))).sum((-2, -1))
    if a.requires_grad:
        slope = gain_a - width * ((-f / tau_a).exp() - mass_b.detach().unsqueeze(-1))
        value = value + (slope.detach() * from_zero(a)).sum(-1)
    if b.requires_grad:
        slope = gain_b - width * ((-g / tau_b).exp() - mass_a.detach().unsqueeze(-1))
        value = value + (slope.detach() * from_zero(b)).sum(-1)
    if eps.requires_grad:
        exponent = (f.unsqueeze(-1) + g.unsqueeze(-2) - C.detach()) / width.unsqueeze(-1)
        kl = (torch.where(P > 0, P * exponent, 0.0) - P).sum((-2, -1)) + mass_a * mass_b
        value = value + kl.detach() * from_zero(eps)
    return value


def _gain(h: Tensor, tau: float) -> Tensor:
    """tau (1 - exp(-h/tau)), which is h for an infinite tau."""
    return h if tau == torch.inf else -tau * torch.expm1(-h / tau)
