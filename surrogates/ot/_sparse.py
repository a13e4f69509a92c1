"""Plans with at most k nonzeros a column: quadratic regularisation under a sparsity constraint."""

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ._exact import exact_plans, exact_potentials

__all__: list[str] = []


def sparse_plan(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    k: int,
    strength: float,
    *,
    semi: bool,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, Tensor, Tensor, float, int]:
    """Plan, potentials (f, g), dual value and iterations of one problem, n × m, in float64.

    Minimises ⟨C,P⟩ + Σⱼ Ω(pⱼ) with Ω(p) = strength/2 |p|² if p has at most k nonzeros, else ∞. The
    problem is not convex, but its dual and semi-dual are concave; L-BFGS maximises either.
    """
    n, m = C.shape
    best: dict[str, Any] = {"off": np.inf}

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        h = torch.from_numpy(x)
        if semi:
            f = h
            P, g, value = _semi_dual_columns(C, f, b, k, strength)
            dual = f @ a + value
            slope = a - P.sum(-1)
        else:
            f, g = h[:n], h[n:]
            P, value = _dual_columns(C, f, g, k, strength)
            dual = f @ a + g @ b - value
            slope = torch.cat([a - P.sum(-1), b - P.sum(-2)])
        off = max((P.sum(-1) - a).abs().sum().item(), (P.sum(-2) - b).abs().sum().item())
        if off < best["off"]:
            best.update(off=off, P=P, f=f.clone(), g=g.clone(), dual=dual.item())
        return -dual.item(), -slope.numpy()

    start = np.zeros(n if semi else n + m)
    if k == 1 or not semi:
        # The optimum for k = 1; in the dual form it also gives columns something to start from.
        exact, _ = exact_plans(C[None], a[None], b[None])
        f, g = exact_potentials(C[None], a[None], b[None], exact)
        if k == 1 and ((exact[0] > 0).sum(0) <= 1).all():
            dual = (f[0] @ a + g[0] @ b + strength / 2 * b.square().sum()).item()
            return exact[0], f[0], g[0] + strength * b, dual, 0
        start = (f[0] if semi else torch.cat([f[0], g[0] + strength / k * b])).numpy()
    done = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iter, "maxfun": 2 * max_iter, "gtol": tol / (2 * n), "ftol": 0.0},
    )
    return best["P"], best["f"], best["g"], best["dual"], int(done.nit)


def _semi_dual_columns(
    C: Tensor, f: Tensor, b: Tensor, k: int, strength: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Best column of mass bⱼ for each j: (n, m) plan, (m,) multipliers g, and -Σⱼ Ω*(f - Cⱼ).

    The column is strength⁻¹ times the positive part of f - Cⱼ + gⱼ on its k largest entries, with
    gⱼ fixed by the mass: a projection onto the simplex by sorting.
    """
    score = f.unsqueeze(-1) - C
    top, index = score.topk(k, dim=0)
    scaled = top / strength
    cumulative = scaled.cumsum(0) - b
    count = torch.arange(1, k + 1, dtype=C.dtype).unsqueeze(-1)
    active = (scaled * count > cumulative).sum(0).clamp_min(1)
    level = cumulative.gather(0, (active - 1).unsqueeze(0)).squeeze(0) / active
    p = (scaled - level).clamp_min(0)
    value = -(top * p).sum() + strength / 2 * p.square().sum()
    return torch.zeros_like(C).scatter_(0, index, p), -strength * level, value


def _dual_columns(
    C: Tensor, f: Tensor, g: Tensor, k: int, strength: float
) -> tuple[Tensor, Tensor]:
    """Plan and Σⱼ Ω*₊(f + gⱼ - Cⱼ): squares of the k largest positive parts over 2·strength."""
    top, index = (f.unsqueeze(-1) + g - C).topk(k, dim=0)
    p = top.clamp_min(0) / strength
    return torch.zeros_like(C).scatter_(0, index, p), strength / 2 * p.square().sum()
