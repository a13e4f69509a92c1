"""One entrance for a cost matrix, one for points."""

import warnings
from functools import partial

import torch
from jaxtyping import Num
from pushforward.simulators.errors import ConvergenceWarning
from torch import Tensor

from ._balanced import entropic_potentials, marginal_tolerance
from ._checks import (
    check_cost,
    check_eps,
    check_reachable,
    check_same_mass,
    check_stopping,
    weights,
)
from ._costs import Cost, cost_matrix
from ._envelope import entropic_value
from ._exact import exact_plans, exact_potentials
from ._implicit import differentiable_plan
from ._result import OTResult
from ._sinkhorn import Potentials

__all__ = ["solve", "solve_sample"]


def solve(
    C: Num[Tensor, "*batch n m"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    eps: float | int | Tensor | None = None,
    tol: float | None = None,
    max_iter: int = 5000,
    init: tuple[Tensor, Tensor] | None = None,
    warn: bool = True,
) -> OTResult:
    """Optimal transport between two weighted sets, given the matrix of costs.

    Exact (eps=None):     min ⟨C,P⟩                       over P >= 0, P1 = a, P'1 = b;
    entropic (eps > 0):   min ⟨C,P⟩ + eps·KL(P | a bᵀ)    over the same P,

    with KL(P|Q) = Σ P log(P/Q) - P + Q. The reference a bᵀ makes the regularisation zero at the
    independent plan; a solver that subtracts eps times the entropy of P has the same plan and a
    value lower by eps·(H(a) + H(b)), which is 2·eps·log n for uniform weights.

    Parameters
    ----------
    C : costs, (*batch, n, m), float32 or float64; +inf forbids a pair.
    a, b : weights, (*batch, n) and (*batch, m) or without the batch axes, of equal total mass;
        zeros are allowed. Default: uniform, 1/n and 1/m.
    eps : entropic strength, in the unit of C: a number or one per batch element. Default: exact.
        `default_eps(C)`, 0.05 standard deviations of C, is a sensible entropic choice.
    tol : L1 violation of the marginals, relative to the total mass, at which iterations stop.
        Default: 1e-6 in float64, 1e-4 in float32, whose rounding forbids much less.
    max_iter : limit on sweeps over the matrix, Newton's included.
    init : potentials (f, g) to start from, such as those of a similar problem.
    warn : emit a ConvergenceWarning when the tolerance is not met. In a loop that looks at
        `converged` itself, pass False.

    Returns
    -------
    OTResult. `value` is differentiable with respect to C, a, b and eps (envelope theorem), the
    entropic `plan` and all that is made from it too (implicit differentiation, O(n m² + m³)).

    Raises
    ------
    DataError : shapes that do not fit, integer tensors, NaN, negative weights, masses that differ,
        eps <= 0, an atom with mass but without a finite cost.

    Notes
    -----
    Exact problems are solved one after the other on the CPU in float64: linear assignment for
    uniform weights and n = m, network simplex (POT) otherwise; O(n³) in practice below n ≈ 4000.
    Entropic problems run as one batch on the device of C: O(n m) memory and time per sweep.

    References
    ----------
    Cuturi, Sinkhorn distances, 2013. Peyré and Cuturi, Computational optimal transport, 2019,
    chapters 3 and 4.

    Examples
    --------
    >>> import torch
    >>> C = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    >>> solve(C).value.item()
    0.0
    >>> result = solve(C, eps=1.0)
    >>> round(result.value.item(), 6), result.converged
    (0.379885, True)
    """
    check_cost(C)
    tol = marginal_tolerance(tol, C)
    check_stopping(tol, max_iter)
    a = weights(a, C.shape[-2], C, "a")
    b = weights(b, C.shape[-1], C, "b")
    check_same_mass(a, b)
    check_reachable(C, a, b)
    if eps is None:
        result = _solve_exact(C, a, b)
    else:
        result = _solve_entropic(C, a, b, check_eps(eps, C), tol, max_iter, init)
    if warn and not torch.as_tensor(result.converged).all():
        warnings.warn(result.message, ConvergenceWarning, stacklevel=2)
    return result


def solve_sample(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    cost: Cost = "sqeuclidean",
    eps: float | int | Tensor | None = None,
    tol: float | None = None,
    max_iter: int = 5000,
    init: tuple[Tensor, Tensor] | None = None,
    warn: bool = True,
) -> OTResult:
    """Optimal transport between two weighted point clouds: `solve(cost_matrix(x, y), ...)`.

    Parameters
    ----------
    x, y : points, (*batch, n, d) and (*batch, m, d).
    cost : "sqeuclidean" for |x-y|² (not halved), "euclidean" for |x-y|, or a function of (x, y)
        that returns (*batch, n, m).
    a, b, eps, tol, max_iter, init, warn : as in `solve`.

    Returns
    -------
    OTResult. `value` is differentiable with respect to x and y as well.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> solve_sample(x, x + 2.0).value.item()
    4.0
    """
    result = solve(
        cost_matrix(x, y, cost=cost),
        a,
        b,
        eps=eps,
        tol=tol,
        max_iter=max_iter,
        init=init,
        warn=False,
    )
    if warn and not torch.as_tensor(result.converged).all():
        warnings.warn(result.message, ConvergenceWarning, stacklevel=2)
    return result


def _solve_exact(C: Tensor, a: Tensor, b: Tensor) -> OTResult:
    batch = C.shape[:-2]
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
    mass = a.detach().sum(-1)
    error = torch.maximum(
        (plan.sum(-1) - a.detach()).abs().sum(-1), (plan.sum(-2) - b.detach()).abs().sum(-1)
    )
    error = error / mass
    # The solvers end at a vertex of the polytope: only rounding remains.
    rounding = 1e-9 if C.dtype == torch.float64 else 1e-4
    ended = torch.tensor([not m for m in messages], device=C.device).reshape(batch)
    converged = ended & (error <= rounding) & torch.isfinite(value.detach())
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


def _solve_entropic(
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
    converged = (found.error <= tol) & torch.isfinite(value.detach())
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=found.n_iter,
        marginal_error=found.error,
        message=_account(found, converged, eps, tol),
        cost=C,
        a=a,
        b=b,
        make_plan=partial(differentiable_plan, C, a, b, f, g, eps),
        make_potentials=lambda: (f, g),
        eps=eps,
        errors=found.errors,
    )


def flag(converged: Tensor) -> bool | Tensor:
    """A plain bool for a single problem, the tensor for a batch."""
    return bool(converged) if converged.ndim == 0 else converged


def _account(found: Potentials, converged: Tensor, eps: Tensor, tol: float) -> str:
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
