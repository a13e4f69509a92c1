"""Gromov-Wasserstein transport: matching two spaces by their inner distances."""

import warnings

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._balanced import entropic_potentials
from ._checks import check_cost, check_eps, check_same_mass, check_stopping, weights
from ._exact import exact_plans
from ._problems import marginal_error
from ._result import OTResult

__all__ = ["gromov_wasserstein"]


def gromov_wasserstein(
    D: Num[Tensor, "n n_again"],
    E: Num[Tensor, "m m_again"],
    a: Num[Tensor, "n_a"] | None = None,
    b: Num[Tensor, "m_b"] | None = None,
    *,
    eps: float | int | None = None,
    tol: float = 1e-7,
    max_iter: int = 200,
    init: Num[Tensor, "n m"] | None = None,
    warn: bool = True,
) -> OTResult:
    """Plan between two spaces of which only inner distances are known.

    min over P1 = a, P'1 = b of Σ |Dᵢₖ - Eⱼₗ|² Pᵢⱼ Pₖₗ  (+ eps·KL(P | a bᵀ)).

    The problem is not convex: a stationary plan is found, which depends on `init`. Exact: the cost
    is linearised, the exact plan of that cost gives a direction, and the step along it minimises
    the quadratic exactly (conditional gradient). Entropic: each step solves entropic transport for
    the linearised cost.

    Parameters
    ----------
    D, E : symmetric distance (or similarity) matrices, (n, n) and (m, m).
    a, b : weights of equal mass; default uniform.
    eps : entropic strength in the unit of D². Default: none.
    tol : relative decrease of the objective (exact), or L1 change of the plan (entropic), at which
        steps stop.
    max_iter : steps.
    init : feasible plan to start from, (n, m); default a bᵀ/Σa. Try several for a better optimum.
    warn : emit a ConvergenceWarning when the steps run out.

    Returns
    -------
    OTResult. `value` is the objective, differentiable in D and E at the fixed plan; `value_linear`
    the objective without entropy. `potentials` are those of the last linearised problem, entropic
    case only.

    Raises
    ------
    DataError : matrices that are not square or not symmetric, an `init` with other marginals.

    References
    ----------
    Peyré, Cuturi and Solomon, Gromov-Wasserstein averaging of kernel and distance matrices, 2016.
    Vayer et al., Optimal transport for structured data, 2019, for the line search.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> D = torch.cdist(x, x)
    >>> result = gromov_wasserstein(D, D[[2, 0, 1]][:, [2, 0, 1]])
    >>> round(result.value.item(), 6), result.plan.argmax(1).tolist()
    (0.0, [1, 2, 0])
    """
    for name, M in (("D", D), ("E", E)):
        check_cost(M)
        if M.ndim != 2 or M.shape[0] != M.shape[1] or not torch.isfinite(M.detach()).all():
            raise DataError(
                f"{name} has shape {tuple(M.shape)} or infinite entries; expected a finite square "
                "matrix of inner distances."
            )
        if (M - M.mT).detach().abs().max() > 1e-5 * M.detach().abs().max():
            raise DataError(f"{name} is not symmetric; expected {name} = {name}.mT.")
    check_stopping(tol, max_iter)
    like = D.detach()[:, :1].expand(len(D), len(E))
    a, b = weights(a, len(D), like, "a"), weights(b, len(E), like, "b")
    check_same_mass(a, b)
    width = None if eps is None else check_eps(eps, like)
    P = a.unsqueeze(-1) * b / a.sum() if init is None else init.detach()
    if P.shape != like.shape or marginal_error(P, a, b) > 1e-4:
        raise DataError(
            f"init has shape {tuple(P.shape)} and misses the marginals by "
            f"{marginal_error(P, a, b).item() if P.shape == like.shape else float('nan'):.1e}; "
            f"expected a plan {tuple(like.shape)} of a and b."
        )
    with torch.no_grad():
        if width is None:
            P, n_iter, done = _conditional_gradient(D, E, a, b, P, tol, max_iter)
            f = g = None
        else:
            P, f, g, n_iter, done = _entropic(D, E, a, b, P, width, tol, max_iter)
    C = _linearised(D, E, a, b, P)
    value = (C * P).sum()
    if width is not None:
        Q = a.unsqueeze(-1) * b
        ratio = torch.where(P > 0, P / torch.where(P > 0, Q, 1.0), 1.0)
        value = value + width * (torch.special.xlogy(P, ratio) - P + Q).sum()
    error = marginal_error(P, a, b)
    converged = done and bool(torch.isfinite(value.detach())) and error.item() < 1e-4
    message = f"stationary after {n_iter} steps"
    if not converged:
        message = (
            f"Gromov-Wasserstein stopped after {n_iter} steps still moving by more than tol "
            f"{tol:.1e}. Raise max_iter{'' if width is None else ' or eps'}, or loosen tol."
        )
        if warn:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)

    def potentials() -> tuple[Tensor, Tensor]:
        if f is None or g is None:
            raise AttributeError("exact Gromov-Wasserstein gives no potentials; pass eps.")
        return f, g

    return OTResult(
        value=value,
        converged=converged,
        n_iter=n_iter,
        marginal_error=error,
        message=message,
        cost=C,
        a=a,
        b=b,
        make_plan=lambda: P,
        make_potentials=potentials,
        eps=width,
        balanced=False,
    )


def _linearised(D: Tensor, E: Tensor, a: Tensor, b: Tensor, P: Tensor) -> Tensor:
    """C(P) with Σ |D - E|² P P = ⟨C(P), P⟩, half the gradient of the objective."""
    return (D.square() @ a).unsqueeze(-1) + E.square() @ b - 2 * D @ P @ E


def _conditional_gradient(
    D: Tensor, E: Tensor, a: Tensor, b: Tensor, P: Tensor, tol: float, max_iter: int
) -> tuple[Tensor, int, bool]:
    value = (_linearised(D, E, a, b, P) * P).sum()
    for step in range(1, max_iter + 1):
        C = _linearised(D, E, a, b, P)
        target = exact_plans(C[None], a[None], b[None])[0][0]
        way = target - P
        # value(P + t·way) = value + t·slope + t²·bend
        slope, bend = 2 * (C * way).sum(), -2 * (D @ way @ E * way).sum()
        if bend > 0:
            t = (-slope / (2 * bend)).clamp(0.0, 1.0)
        else:
            t = torch.ones_like(slope) if slope + bend < 0 else torch.zeros_like(slope)
        P = P + t * way
        before, value = value, (_linearised(D, E, a, b, P) * P).sum()
        if before - value <= tol * before.abs():
            return P, step, True
    return P, max_iter, False


def _entropic(
    D: Tensor, E: Tensor, a: Tensor, b: Tensor, P: Tensor, eps: Tensor, tol: float, max_iter: int
) -> tuple[Tensor, Tensor, Tensor, int, bool]:
    init = None
    f, g = a, b
    accuracy = 1e-9 if P.dtype == torch.float64 else 1e-5
    for step in range(1, max_iter + 1):
        C = 2 * _linearised(D, E, a, b, P)
        found = entropic_potentials(C, a, b, eps, tol=accuracy, max_iter=5000, init=init)
        f, g = found.f, found.g
        init = (f, g)
        new = a.unsqueeze(-1) * b * ((f.unsqueeze(-1) + g - C) / eps).exp()
        change = (new - P).abs().sum() / a.sum()
        P = new
        if change <= max(tol, accuracy):
            return P, f, g, step, True
    return P, f, g, max_iter, False
