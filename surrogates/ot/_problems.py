"""Each kind of transport problem, from checked arguments to a result."""

from functools import partial

import torch
from torch import Tensor

from ._balanced import Potentials, entropic_potentials
from ._envelope import entropic_value, log_plan
from ._exact import exact_plans, exact_potentials
from ._implicit import differentiable_plan
from ._partial import partial_plans, partial_potentials, partial_value
from ._result import OTResult
from ._sparse import sparse_plan
from ._unbalanced import unbalanced_potentials, unbalanced_value

__all__: list[str] = []


def solve_exact(C: Tensor, a: Tensor, b: Tensor) -> OTResult:
    flat = C.detach().reshape(-1, *C.shape[-2:])
    flat_a, flat_b = (w.detach().reshape(-1, w.shape[-1]) for w in (a, b))
    plans, messages = exact_plans(flat, flat_a, flat_b)
    plan = plans.reshape(C.shape)

    def potentials() -> tuple[Tensor, Tensor]:
        f, g = exact_potentials(flat, flat_a, flat_b, plans)
        return f.reshape(a.shape), g.reshape(b.shape)

    value = (torch.where(plan > 0, C, 0.0) * plan).sum((-2, -1))
    if a.requires_grad or b.requires_grad:
        f, g = potentials()
        value = value + (f * (a - a.detach())).sum(-1) + (g * (b - b.detach())).sum(-1)
    error = marginal_error(plan, a, b)
    converged = _at_vertex(messages, error, value)
    bad = [m for m in messages if m]
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=1,
        marginal_error=error,
        message="optimal" if not bad else f"the network simplex stopped early: {bad[0]}",
        cost=C,
        a=a,
        b=b,
        make_plan=lambda: plan,
        make_potentials=potentials,
    )


def _at_vertex(messages: list[str], error: Tensor, value: Tensor) -> Tensor:
    """Whether each exact problem is solved: such solvers end at a vertex of the polytope, where
    only rounding remains."""
    rounding = 1e-9 if value.dtype == torch.float64 else 1e-4
    ended = torch.tensor([not m for m in messages], device=value.device).reshape(value.shape)
    return ended & (error <= rounding) & torch.isfinite(value.detach())


def solve_entropic(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None,
) -> OTResult:
    found = entropic_potentials(C, a, b, eps, tol=tol, max_iter=max_iter, init=init)
    f, g = found.f, found.g
    value = entropic_value(C, a, b, f, g, eps)
    with torch.no_grad():
        # What counts is the plan that these potentials give in this precision.
        plan = found.plan
        if plan is None:
            plan = log_plan(C, a, b, f, g, eps).exp_()
        found.error = marginal_error(plan, a, b)
    converged = (found.error <= tol) & torch.isfinite(value.detach())
    tracked = any(t.requires_grad for t in (C, a, b, eps))
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=found.n_iter,
        marginal_error=found.error,
        message=account(found, converged, eps, tol),
        cost=C,
        a=a,
        b=b,
        make_plan=partial(differentiable_plan, C, a, b, f, g, eps) if tracked else lambda: plan,
        make_potentials=lambda: (f, g),
        eps=eps,
        errors=found.errors,
    )


def marginal_error(plan: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Worst L1 violation of the two marginals over the total mass, (*batch,)."""
    rows = (plan.sum(-1) - a.detach()).abs().sum(-1)
    columns = (plan.sum(-2) - b.detach()).abs().sum(-1)
    return torch.maximum(rows, columns) / a.detach().sum(-1)


def flag(converged: Tensor) -> bool | Tensor:
    """A plain bool for a single problem, the tensor for a batch."""
    return bool(converged) if converged.ndim == 0 else converged


def account(found: Potentials, converged: Tensor, eps: Tensor, tol: float) -> str:
    """How an iteration ended, and what to change if it stopped short."""
    if converged.all():
        return f"converged in {found.n_iter} sweeps"
    errors = torch.where(torch.isfinite(found.error), found.error, torch.inf)
    worst = errors.argmax()
    return (
        f"Sinkhorn stopped after {found.n_iter} sweeps with marginal error "
        f"{errors.flatten()[worst].item():.1e} > tol {tol:.1e} "
        f"(eps = {eps.flatten()[worst].item():.3g}, "
        f"{int((~converged).sum())} of {converged.numel()} problems). "
        "Raise eps or max_iter, loosen tol, or use float64."
    )


def solve_unbalanced(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    tau: tuple[float, float],
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None,
) -> OTResult:
    """Entropic transport with KL penalties tau on the marginals."""
    found = unbalanced_potentials(C, a, b, eps, *tau, tol=tol, max_iter=max_iter, init=init)
    value = unbalanced_value(C, a, b, found.f, found.g, eps, *tau)
    return _of_potentials(C, a, b, eps, found, (found.f, found.g), value, tol)


def _of_potentials(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    found: Potentials,
    potentials: tuple[Tensor, Tensor],
    value: Tensor,
    tol: float,
) -> OTResult:
    """The result of an iteration whose plan need not have the marginals a and b."""
    converged = (found.error <= tol) & torch.isfinite(value.detach())
    with torch.no_grad():
        plan = log_plan(C, a, b, *potentials, eps).exp_()
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=found.n_iter,
        marginal_error=found.error,
        message=account(found, converged, eps, tol),
        cost=C,
        a=a,
        b=b,
        balanced=False,
        make_plan=lambda: plan,
        make_potentials=lambda: potentials,
        eps=eps,
        errors=found.errors,
    )


def solve_partial(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor | None,
    mass: Tensor,
    tol: float,
    max_iter: int,
) -> OTResult:
    """Transport of a part of the mass, exact for eps=None."""
    if eps is None:
        flat = C.detach().reshape(-1, *C.shape[-2:])
        flat_a, flat_b = (w.detach().reshape(-1, w.shape[-1]) for w in (a, b))
        plans, messages = partial_plans(flat, flat_a, flat_b, mass.reshape(-1))
        plan = plans.reshape(C.shape)
        value = (torch.where(plan > 0, C, 0.0) * plan).sum((-2, -1))
        over = (plan.sum(-1) - a.detach()).clamp_min(0).sum(-1)
        over = over + (plan.sum(-2) - b.detach()).clamp_min(0).sum(-1)
        error = (over + (plan.sum((-2, -1)) - mass).abs()) / mass
        converged = _at_vertex(messages, error, value)
        return OTResult(
            value=value,
            converged=flag(converged),
            n_iter=1,
            marginal_error=error,
            message="optimal" if converged.all() else "the network simplex stopped early",
            cost=C,
            a=a,
            b=b,
            balanced=False,
            make_plan=lambda: plan,
            make_potentials=_no_potentials,
        )
    found, lam = partial_potentials(C, a, b, eps, mass, tol=tol, max_iter=max_iter)
    value = partial_value(C, a, b, found.f, found.g, eps, mass, lam)
    potentials = (found.f + lam.unsqueeze(-1), found.g)
    return _of_potentials(C, a, b, eps, found, potentials, value, tol)


def _no_potentials() -> tuple[Tensor, Tensor]:
    raise AttributeError("exact partial transport gives no potentials; pass eps for entropic ones.")


def solve_sparse(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    strength: Tensor,
    k: int,
    formulation: str,
    tol: float,
    max_iter: int,
) -> OTResult:
    """At most k nonzeros a column with quadratic regularisation, one problem after the other."""
    batch, n, m = C.shape[:-2], *C.shape[-2:]
    parts = []
    flat = zip(
        C.detach().double().cpu().reshape(-1, n, m),
        a.detach().double().cpu().reshape(-1, n),
        b.detach().double().cpu().reshape(-1, m),
        strength.detach().reshape(-1).tolist(),
        strict=True,
    )
    for cost, wa, wb, width in flat:
        parts.append(
            sparse_plan(
                cost,
                wa,
                wb,
                min(k, n),
                width,
                semi=formulation == "semi-dual",
                tol=tol,
                max_iter=max_iter,
            )
        )
    plan = torch.stack([p[0] for p in parts]).to(C)
    f = torch.stack([p[1] for p in parts]).to(C)
    g = torch.stack([p[2] for p in parts]).to(C)
    plan, f, g = plan.reshape(*batch, n, m), f.reshape(*batch, n), g.reshape(*batch, m)
    dual = torch.tensor([p[3] for p in parts], dtype=C.dtype, device=C.device).reshape(batch)
    linear = (torch.where(plan > 0, C, 0.0) * plan).sum((-2, -1))
    value = linear + strength.detach() / 2 * plan.square().sum((-2, -1))
    error = marginal_error(plan, a, b)
    converged = (error <= tol) & torch.isfinite(value.detach())
    n_iter = max(p[4] for p in parts)
    message = f"converged in {n_iter} steps"
    if not converged.all():
        message = (
            f"L-BFGS stopped after {n_iter} steps with marginal error {error.max().item():.1e} > "
            f"tol {tol:.1e}: at ties in the k-th largest entry no plan with {k} nonzeros a column "
            "meets both marginals. Raise sparsity or eps, or round the plan by round_plan."
        )
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=n_iter,
        marginal_error=error,
        message=message,
        cost=C,
        a=a,
        b=b,
        make_plan=lambda: plan,
        make_potentials=lambda: (f, g),
        eps=strength,
        dual_value=dual,
    )
