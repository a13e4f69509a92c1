"""Log-domain Sinkhorn iterations for balanced entropic transport, batched."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__: list[str] = []


@dataclass
class Potentials:
    """Dual potentials of a batch (B problems) and how the iteration ended."""

    f: Tensor
    g: Tensor
    error: Tensor
    n_iter: int
    errors: list[Tensor] = field(default_factory=list)


def softmin(C: Tensor, h: Tensor, log_w: Tensor, eps: Tensor) -> Tensor:
    """-eps log Σⱼ wⱼ exp((hⱼ - Cᵢⱼ)/eps) along the last axis; 0 where every term vanishes.

    C (B, n, m), h and log_w (B, m), eps (B, 1). A row without any allowed partner can only belong
    to an atom without mass (the input checks see to that): its potential is free.
    """
    exponent = torch.addcdiv((log_w + h / eps).unsqueeze(-2), C, eps.unsqueeze(-1), value=-1)
    out = -eps * torch.logsumexp(exponent, -1)
    return torch.where(torch.isinf(out), 0.0, out)


@torch.no_grad()
def sinkhorn(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    *,
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None = None,
    symmetric: bool = False,
) -> Potentials:
    """Alternate f = softmin(C - g), g = softmin(C' - f) until the column error meets `tol`.

    C (B, n, m), a (B, n), b (B, m), eps (B,). Starts at eps = spread of the cost and halves it
    sweep by sweep, then stays at the target. After f-updates the row marginal is exact; the column
    sums follow from the next g-update at no cost: bⱼ exp((g - g_next)/eps). An element of the batch
    that has converged is frozen, so that a batch gives what a loop over it gives. `symmetric`
    (C = C', a = b) averages instead, f ← (f + softmin(C - f))/2, and returns g = f.
    """
    target = eps.unsqueeze(-1)
    shift = torch.where(torch.isfinite(C), C, torch.inf).amin((-2, -1)).unsqueeze(-1)
    C = C - shift.unsqueeze(-1)
    log_a, log_b, mass = a.log(), b.log(), a.sum(-1)
    if init is None:
        f, g = torch.zeros_like(a), torch.zeros_like(b)
        start = torch.where(torch.isfinite(C), C, 0.0).amax((-2, -1)).unsqueeze(-1)
    else:
        f, g = init[0] - shift, init[1].clone()
        start = target
    done = torch.zeros_like(mass, dtype=torch.bool)
    error = torch.full_like(mass, torch.inf)
    errors: list[Tensor] = []
    Ct = C if symmetric else C.mT.contiguous()
    n_iter = 0
    step = torch.maximum(start, target)
    while n_iter < max_iter and not done.all():
        n_iter += 1
        frozen = done.unsqueeze(-1)
        if symmetric:
            new = softmin(C, f, log_b, step)
            gap = violation(a, (f - new) / step) / mass
        else:
            f = torch.where(frozen, f, softmin(C, g, log_b, step))
            new = softmin(Ct, f, log_a, step)
            gap = violation(b, (g - new) / step) / mass
        at_target = (step <= target).squeeze(-1)
        error = torch.where(done, error, torch.where(at_target, gap, torch.inf))
        errors.append(error)
        done = done | (at_target & ((error <= tol) | ~torch.isfinite(gap)))
        keep = done.unsqueeze(-1)
        if symmetric:
            f = torch.where(keep, f, (f + new) / 2)
        else:
            g = torch.where(keep, g, new)
        step = torch.maximum(step / 2, target)
    if symmetric:
        return Potentials(f + shift / 2, f + shift / 2, error, n_iter, errors)
    f = torch.where(done.unsqueeze(-1), f, softmin(C, g, log_b, target))
    return Potentials(f + shift, g, error, n_iter, errors)


def violation(w: Tensor, log_ratio: Tensor) -> Tensor:
    """Σ w |exp(log_ratio) - 1|; atoms without mass count nothing whatever their potential."""
    return torch.where(w > 0, w * torch.expm1(log_ratio).abs(), 0.0).sum(-1)
