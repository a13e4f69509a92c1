"""Partial transport: only a given mass moves, from at most a to at most b."""

import torch
from torch import Tensor

from ._balanced import Potentials
from ._envelope import dot, from_zero, log_plan
from ._exact import exact_plans
from ._scaling import log_sweep

__all__: list[str] = []


def partial_plans(C: Tensor, a: Tensor, b: Tensor, mass: Tensor) -> tuple[Tensor, list[str]]:
    """Exact partial plans of B problems, (B, n, m): a dummy source and target take the rest.

    The dummy row holds |b| - mass, the dummy column |a| - mass, both at cost 0; a cost above twice
    the largest keeps the two dummies apart, so that exactly `mass` moves between real points.
    """
    finite = torch.where(torch.isfinite(C), C, 0.0)
    low = finite.amin((-2, -1)).clamp_max(0.0)
    # Costs below zero would draw mass beyond the dummies: a common shift changes no plan.
    top = 2 * (finite.amax((-2, -1)) - low) + 1
    wide = torch.nn.functional.pad(C - low[:, None, None], (0, 1, 0, 1))
    wide[:, -1, -1] = top
    rest_a = (a.sum(-1) - mass).clamp_min(0).unsqueeze(-1)
    rest_b = (b.sum(-1) - mass).clamp_min(0).unsqueeze(-1)
    plans, messages = exact_plans(wide, torch.cat([a, rest_b], -1), torch.cat([b, rest_a], -1))
    return plans[:, :-1, :-1], messages


@torch.no_grad()
def partial_potentials(
    C: Tensor, a: Tensor, b: Tensor, eps: Tensor, mass: Tensor, *, tol: float, max_iter: int
) -> tuple[Potentials, Tensor]:
    """Potentials f, g <= 0 and the multiplier of the mass, any batch axes.

    P = a b exp((f + g + λ - C)/eps). Each of f, g, λ in turn is set to its best value: f to the
    soft minimum or to 0 where the row is not full, λ so that the plan has the mass asked for.
    `error` is the L1 violation of P1 <= a with equality where f < 0, of the same for columns,
    and ΣP = mass, relative to mass.
    """
    batch, n, m = C.shape[:-2], *C.shape[-2:]
    C = C.detach().reshape(-1, n, m)
    a, b = a.detach().reshape(-1, n), b.detach().reshape(-1, m)
    width, mass = eps.detach().reshape(-1, 1), mass.reshape(-1, 1)
    log_a, log_b, Ct = a.log(), b.log(), C.mT.contiguous()
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    multiplier = torch.zeros_like(width)
    errors: list[Tensor] = []
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        soft = log_sweep(C, g, log_b, width)
        # ΣP at multiplier 0, then the multiplier that brings it to the mass asked for.
        total = (log_a + (f - soft) / width).logsumexp(-1, keepdim=True)
        multiplier = width * (mass.log() - total)
        rows = a * ((f + multiplier - soft) / width).exp()
        sweep = log_sweep(Ct, f, log_a, width)
        columns = b * ((g + multiplier - sweep) / width).exp()
        error = (_unmet(rows, a, f) + _unmet(columns, b, g)) / mass.squeeze(-1)
        errors.append(error)
        if (error <= tol).all() or not torch.isfinite(error).all():
            break
        f = (soft - multiplier).clamp_max(0.0)
        g = (log_sweep(Ct, f, log_a, width) - multiplier).clamp_max(0.0)
    found = Potentials(
        f.reshape(*batch, n),
        g.reshape(*batch, m),
        error.reshape(batch),
        n_iter,
        [e.reshape(batch) for e in errors],
    )
    return found, multiplier.reshape(batch)


def _unmet(marginal: Tensor, bound: Tensor, potential: Tensor) -> Tensor:
    off = marginal - bound
    return torch.where(potential < 0, off.abs(), off.clamp_min(0)).sum(-1)


def partial_value(
    C: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, eps: Tensor, mass: Tensor, lam: Tensor
) -> Tensor:
    """⟨C,P⟩ + eps·KL(P|abᵀ) at mass `mass` through the dual, by the envelope theorem."""
    with torch.no_grad():
        P = log_plan(C, a, b, f + lam.unsqueeze(-1), g, eps).exp()
        mass_a, mass_b = a.sum(-1), b.sum(-1)
        total = P.sum((-2, -1))
        dual = dot(f, a) + dot(g, b) + lam * mass - eps * (total - mass_a * mass_b)
    value = dual
    if C.requires_grad:
        value = value + (P * from_zero(torch.where(P > 0, C, 0.0))).sum((-2, -1))
    # ∂/∂aᵢ also moves the reference: eps Σⱼ bⱼ (1 - exp(...)) = eps(|b| - P1ᵢ/aᵢ).
    if a.requires_grad:
        ratio = torch.where(a > 0, P.sum(-1) / torch.where(a > 0, a, 1.0), 0.0)
        slope = f - eps.unsqueeze(-1) * (ratio - mass_b.unsqueeze(-1))
        value = value + (slope.detach() * from_zero(a)).sum(-1)
    if b.requires_grad:
        ratio = torch.where(b > 0, P.sum(-2) / torch.where(b > 0, b, 1.0), 0.0)
        slope = g - eps.unsqueeze(-1) * (ratio - mass_a.unsqueeze(-1))
        value = value + (slope.detach() * from_zero(b)).sum(-1)
    return value
