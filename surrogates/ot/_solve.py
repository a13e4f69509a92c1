"""One entrance for a cost matrix, one for points."""

import math
import warnings

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._balanced import marginal_tolerance
from ._checks import (
    check_choice,
    check_cost,
    check_eps,
    check_init,
    check_mass,
    check_reachable,
    check_same_mass,
    check_stopping,
    weights,
)
from ._costs import Cost, cost_matrix, default_eps
from ._problems import (
    solve_entropic,
    solve_exact,
    solve_partial,
    solve_sparse,
    solve_unbalanced,
)
from ._result import OTResult

__all__ = ["solve", "solve_sample"]


def solve(
    C: Num[Tensor, "*batch n m"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    eps: float | int | Tensor | None = None,
    tau: float | int | tuple[float | int, float | int] | None = None,
    mass: float | int | Tensor | None = None,
    sparsity: int | None = None,
    formulation: str = "semi-dual",
    tol: float | None = None,
    max_iter: int = 5000,
    init: tuple[Tensor, Tensor] | None = None,
    warn: bool = True,
) -> OTResult:
    """Optimal transport between two weighted sets, given the matrix of costs.

    exact (eps=None):     min ⟨C,P⟩                        over P >= 0, P1 = a, P'1 = b;
    entropic (eps > 0):   min ⟨C,P⟩ + eps·KL(P | a bᵀ)     over the same P;
    unbalanced (tau):     min ⟨C,P⟩ + eps·KL(P | a bᵀ) + tau_a·KL(P1 | a) + tau_b·KL(P'1 | b);
    partial (mass):       either of the first two over P1 <= a, P'1 <= b, ΣP = mass;
    sparse (sparsity=k):  min ⟨C,P⟩ + eps/2 ΣP² over P1 = a, P'1 = b, at most k nonzeros a column,

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
    tau : KL weight of both relaxed marginals, or a pair (tau_a, tau_b) in which math.inf keeps that
        side exact; needs eps. Masses may differ.
    mass : mass to transport, a number or one per batch element, at most min(Σa, Σb).
    sparsity : k, at most so many nonzeros a column. k = 1 is exact transport, k = n quadratic
        regularisation; `eps` is then the quadratic strength, default
        default_eps(C)·max(n,m)/Σb. The problem is not convex: where its dual is not tight the
        rows are missed; `marginal_error` says by how much, and `duality_gap` bounds what
        `round_plan` loses.
    formulation : "semi-dual" (columns exact) or "dual", for `sparsity` only.
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
    check_init(init, C)
    check_choice(formulation, ("semi-dual", "dual"), "formulation")
    named = [k for k, v in (("tau", tau), ("mass", mass), ("sparsity", sparsity)) if v is not None]
    if len(named) > 1:
        raise DataError(f"{' and '.join(named)} were given; expected one of them at most.")
    if tau is None and mass is None:
        check_same_mass(a, b)
    check_reachable(C, a, b)
    width = None if eps is None else check_eps(eps, C)
    if tau is not None:
        sides = _both(tau)
        if width is None:
            raise DataError("tau without eps; unbalanced transport is entropic here. Pass eps.")
        if sides == (math.inf, math.inf):
            check_same_mass(a, b)
            result = solve_entropic(C, a, b, width, tol, max_iter, init)
        else:
            result = solve_unbalanced(C, a, b, width, sides, tol, max_iter, init)
    elif mass is not None:
        result = solve_partial(C, a, b, width, check_mass(mass, a, b), tol, max_iter)
    elif sparsity is not None:
        if not sparsity >= 1:
            raise DataError(f"sparsity = {sparsity}; expected at least 1 nonzero a column.")
        if width is None:
            width = default_eps(C) * max(C.shape[-2:]) / b.detach().sum(-1)
        result = solve_sparse(C, a, b, width, sparsity, formulation, tol, max_iter)
    elif width is None:
        result = solve_exact(C, a, b)
    else:
        result = solve_entropic(C, a, b, width, tol, max_iter, init)
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
    tau: float | int | tuple[float | int, float | int] | None = None,
    mass: float | int | Tensor | None = None,
    sparsity: int | None = None,
    formulation: str = "semi-dual",
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
    a, b, eps, tau, mass, sparsity, formulation, tol, max_iter, init, warn : as in `solve`.

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
        tau=tau,
        mass=mass,
        sparsity=sparsity,
        formulation=formulation,
        max_iter=max_iter,
        init=init,
        warn=False,
    )
    if warn and not torch.as_tensor(result.converged).all():
        warnings.warn(result.message, ConvergenceWarning, stacklevel=2)
    return result


def _both(tau: float | int | tuple[float | int, float | int]) -> tuple[float, float]:
    sides = tau if isinstance(tau, tuple) else (tau, tau)
    if len(sides) != 2 or not all(t > 0 for t in sides):
        raise DataError(
            f"tau = {tau}; expected a KL weight > 0 or a pair of them, math.inf for a side that is "
            "kept exact."
        )
    return float(sides[0]), float(sides[1])
