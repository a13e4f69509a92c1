"""Entropic and free-support barycentres of several measures."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._balanced import marginal_tolerance
from ._checks import check_cost, check_eps, check_points, check_stopping, weights
from ._scaling import log_sweep
from ._solve import solve_sample

__all__ = ["barycenter", "free_barycenter"]


def barycenter(
    C: Num[Tensor, "*k_or_none n m_c"],
    a: Num[Tensor, "k m"],
    *,
    eps: float | int,
    weight: Num[Tensor, "k"] | None = None,
    debiased: bool = False,
    tol: float | None = None,
    max_iter: int = 5000,
    warn: bool = True,
) -> Float[Tensor, "n"]:
    """Barycentre q on a fixed support: argmin over q of Σₖ λₖ OT_eps(q, aₖ).

    Iterative Bregman projections in the log domain: q = Πₖ (Kₖ vₖ)^λₖ with the kernels Kₖ and
    scalings vₖ = aₖ / Kₖ'uₖ. Entropy blurs q by about sqrt(eps); `debiased` minimises the Sinkhorn
    divergences instead, which for a common support removes the blur.

    Parameters
    ----------
    C : costs between the n support points of q and the m points of each aₖ: (n, m) for all, or
        (k, n, m). `debiased` needs one square symmetric matrix, the common support.
    a : the measures, (k, m), each of mass 1.
    eps : entropic strength in the unit of C.
    weight : λₖ >= 0, normalised to sum 1, (k,); default equal.
    debiased : barycentre of Sinkhorn divergences.
    tol : L1 distance between the first marginals of the k plans and q; default 1e-6 in float64,
        1e-4 in float32.
    max_iter, warn : as in `solve`.

    Returns
    -------
    q, (n,), of mass 1.

    References
    ----------
    Benamou et al., Iterative Bregman projections for regularized transportation problems, 2015.
    Janati, Cuturi and Gramfort, Debiased Sinkhorn barycenters, 2020.

    Examples
    --------
    >>> import torch
    >>> x = torch.linspace(0, 1, 11, dtype=torch.float64)
    >>> C = (x[:, None] - x) ** 2
    >>> ends = torch.eye(11, dtype=torch.float64)[[0, 10]]
    >>> barycenter(C, ends, eps=0.01).argmax().item()
    5
    """
    check_cost(C)
    tol = marginal_tolerance(tol, C)
    check_stopping(tol, max_iter)
    count, n = a.shape[0], C.shape[-2]
    if C.ndim > 3 or (C.ndim == 3 and len(C) != count) or C.shape[-1] != a.shape[-1]:
        raise DataError(
            f"C has shape {tuple(C.shape)} for {count} measures of {a.shape[-1]} points; expected "
            f"(n, {a.shape[-1]}) or ({count}, n, {a.shape[-1]})."
        )
    if debiased and (C.ndim != 2 or n != C.shape[1] or not torch.allclose(C, C.mT)):
        raise DataError("debiased=True needs one square symmetric C: a support common to all.")
    costs = C.detach().expand(count, n, C.shape[-1])
    a = weights(a, C.shape[-1], costs, "a").detach()
    if ((a.sum(-1) - 1).abs() > 1e-4).any():
        raise DataError(f"a has masses {a.sum(-1).tolist()}; expected 1 each. Normalise the rows.")
    share = _shares(weight, count, C)
    width = check_eps(eps, C[..., :, :].detach().reshape(-1, *C.shape[-2:])[0]).expand(count, 1)
    log_a, flat = a.log(), torch.zeros_like(costs[..., 0])
    f, g = torch.zeros_like(flat), torch.zeros_like(a)
    debias = torch.zeros_like(flat[0])
    error = torch.tensor(torch.inf, dtype=C.dtype)
    log_q = flat[0]
    unit = torch.zeros_like(a)
    for _ in range(max_iter):
        # P = exp((f + g - C)/eps): the reference is 1 here, the measures sit in f and g.
        g = width * log_a + log_sweep(costs.mT, f, flat, width)
        soft = log_sweep(costs, g, unit, width)
        log_rows = (f - soft) / width
        log_q = (share.unsqueeze(-1) * -soft / width).sum(0) + debias
        log_q = log_q - log_q.logsumexp(0)
        error = (log_rows.exp() - log_q.exp()).abs().sum(-1).amax()
        if error <= tol:
            break
        if debiased:
            blur = -log_sweep(C.detach()[None], (debias * width[0])[None], flat[:1], width[:1])
            debias = (debias + log_q - blur[0] / width[0]) / 2
        f = width * log_q + soft
    if not error <= tol and warn:
        warnings.warn(
            f"barycenter stopped after {max_iter} sweeps with marginal error {error.item():.1e} > "
            f"tol {tol:.1e} (eps = {width[0].item():.3g}). Raise eps or max_iter, or loosen tol.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return log_q.exp()


def free_barycenter(
    clouds: Sequence[Tensor],
    start: Num[Tensor, "n d"],
    *,
    masses: Sequence[Tensor | None] | None = None,
    weight: Num[Tensor, "k"] | None = None,
    eps: float | int | None = None,
    tol: float = 1e-6,
    max_iter: int = 100,
) -> Float[Tensor, "n d"]:
    """Positions of a uniform barycentre of point clouds, argmin over Y of Σₖ λₖ OT(Y, Xₖ).

    Alternates plans Pₖ between Y and Xₖ with Y ← Σₖ λₖ n Pₖ Xₖ, which never raises the objective
    for the cost |x-y|². The problem is not convex: the result depends on `start`.

    Parameters
    ----------
    clouds : k point clouds, each (m_k, d).
    start : positions to start from, (n, d).
    masses : weights of each cloud, (m_k,) or None for uniform.
    weight : λₖ >= 0, normalised to sum 1, (k,); default equal.
    eps : entropic strength of the plans; default exact.
    tol : root mean square move, relative to the size of the clouds, at which the steps stop.
    max_iter : steps.

    Returns
    -------
    Positions, (n, d).

    References
    ----------
    Cuturi and Doucet, Fast computation of Wasserstein barycenters, 2014.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> free_barycenter([x, x + 4.0], x).flatten().tolist()
    [2.0, 3.0]
    """
    if not clouds:
        raise DataError("clouds is empty; expected at least one point cloud.")
    for cloud in clouds:
        check_points(start, cloud)
    check_stopping(tol, max_iter)
    share = _shares(weight, len(clouds), start)
    masses = [None] * len(clouds) if masses is None else masses
    size = torch.cat([c.detach() for c in clouds]).std(0).norm()
    Y = start.detach()
    for _ in range(max_iter):
        new = torch.zeros_like(Y)
        for cloud, mass, part in zip(clouds, masses, share, strict=True):
            result = solve_sample(Y, cloud.detach(), None, mass, eps=eps)
            new = new + part * result.barycentric_map(cloud.detach())
        moved = (new - Y).square().sum(-1).mean().sqrt()
        Y = new
        if moved <= tol * size:
            return Y
    warnings.warn(
        f"free_barycenter stopped after {max_iter} steps moving by {(moved / size).item():.1e} > "
        f"tol {tol:.1e} of the size. Raise max_iter or loosen tol.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return Y


def _shares(weight: Tensor | None, count: int, like: Tensor) -> Tensor:
    if weight is None:
        return torch.full((count,), 1 / count, dtype=like.dtype, device=like.device)
    if weight.shape != (count,) or not (weight >= 0).all() or not weight.sum() > 0:
        raise DataError(
            f"weight is {weight.tolist()}; expected {count} numbers >= 0, not all zero."
        )
    return (weight / weight.sum()).to(like)
