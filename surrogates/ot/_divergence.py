"""The debiased Sinkhorn divergence between two point clouds."""

import warnings

import torch
from jaxtyping import Float, Num
from pushforward.simulators.errors import ConvergenceWarning
from torch import Tensor

from ._balanced import entropic_potentials, marginal_tolerance
from ._checks import check_eps, check_same_mass, check_stopping, weights
from ._costs import Cost, cost_matrix, default_eps
from ._envelope import entropic_value

__all__ = ["sinkhorn_divergence"]


def sinkhorn_divergence(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    cost: Cost = "sqeuclidean",
    eps: float | int | Tensor | None = None,
    tol: float | None = None,
    max_iter: int = 2000,
    constant_target: bool = False,
    warn: bool = True,
) -> Float[Tensor, "*batch"]:
    """Sinkhorn divergence S(x, y) = OT(x, y) - OT(x, x)/2 - OT(y, y)/2 at one eps throughout.

    OT(a, b) = min ⟨C,P⟩ + eps·KL(P | a bᵀ). S >= 0 and S(x, x) = 0 for the named costs; as eps → 0
    it tends to the transport cost, as eps → ∞ to a maximum mean discrepancy with kernel -c/2.

    Parameters
    ----------
    x, y : points, (*batch, n, d) and (*batch, m, d).
    a, b : weights of equal mass; default uniform.
    cost : as in `cost_matrix`; a function must be symmetric.
    eps : entropic strength in the unit of the cost, a number or one per batch element. Default:
        0.05 standard deviations of the costs between x and y (see `default_eps`), without
        gradient. In a training loop fix it once: a moving eps is a moving target.
    tol, max_iter : L1 marginal error (default 1e-6 in float64, 1e-4 in float32) and limit on
        sweeps. For training tol=1e-3 is enough: the error of the value is quadratic in it.
    constant_target : leave out OT(y, y), which does not depend on x. The result is then S plus a
        constant: same gradient in x, two thirds of the work.
    warn : emit a ConvergenceWarning when the tolerance is not met; pass False in a training loop
        with a small `max_iter`.

    Returns
    -------
    S, one value per batch element, shape (*batch,). Differentiable in x, y, a, b by the envelope
    theorem: no sweep is recorded.

    Raises
    ------
    DataError : as `solve` and `cost_matrix`.

    References
    ----------
    Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn divergences, 2019.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> abs(sinkhorn_divergence(x, x, eps=1.0).item()) < 1e-8
    True
    >>> round(sinkhorn_divergence(x, x + torch.tensor([3.0, 0.0]), eps=1.0).item(), 6)
    9.0
    """
    C = cost_matrix(x, y, cost=cost)
    tol = marginal_tolerance(tol, C)
    check_stopping(tol, max_iter)
    batch = C.shape[:-2]
    a = weights(a, C.shape[-2], C, "a")
    b = weights(b, C.shape[-1], C, "b")
    check_same_mass(a, b)
    width = default_eps(C) if eps is None else check_eps(eps, C)
    value, worst = _term(C, a, b, width, tol, max_iter, symmetric=False)
    sides = [(x, a)] if constant_target else [(x, a), (y, b)]
    for points, w in sides:
        points = points.expand(*batch, *points.shape[-2:])
        own, error = _term(
            cost_matrix(points, points, cost=cost), w, w, width, tol, max_iter, symmetric=True
        )
        value, worst = value - own / 2, torch.maximum(worst, error)
    if warn and not (worst <= tol).all():
        warnings.warn(
            f"sinkhorn_divergence stopped with marginal error {worst.max().item():.1e} > tol "
            f"{tol:.1e} after at most {max_iter} sweeps (eps = {width.min().item():.3g}). Raise "
            "eps or max_iter, loosen tol, or pass warn=False.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return value


def _term(
    C: Tensor, a: Tensor, b: Tensor, eps: Tensor, tol: float, max_iter: int, *, symmetric: bool
) -> tuple[Tensor, Tensor]:
    found = entropic_potentials(C, a, b, eps, tol=tol, max_iter=max_iter, symmetric=symmetric)
    return entropic_value(C, a, b, found.f, found.g, eps), found.error
