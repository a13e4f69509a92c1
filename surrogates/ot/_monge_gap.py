"""The Monge gap: how far a map is from transporting its own input optimally."""

import math
import warnings

import torch
from jaxtyping import Float, Num
from pushforward.simulators.errors import ConvergenceWarning, DataError
from torch import Tensor

from ._balanced import entropic_potentials, marginal_tolerance
from ._checks import check_choice, check_eps, check_stopping, weights
from ._costs import Cost, cost_matrix, displacement_cost
from ._envelope import entropic_value
from ._implicit import differentiable_plan
from ._solve import solve

__all__ = ["monge_gap"]


def monge_gap(
    x: Num[Tensor, "*batch n d"],
    Tx: Num[Tensor, "*batch_t n_t d_t"],
    *,
    cost: Cost = "sqeuclidean",
    eps: float | int | Tensor | None = None,
    convention: str = "kl",
    tol: float | None = None,
    max_iter: int = 2000,
    warn: bool = True,
) -> Float[Tensor, "*batch"]:
    """Monge gap M = mean c(xᵢ, T xᵢ) - W(x, Tx) of a map T known at the points x.

    M >= 0 for exact W, and M = 0 exactly when T transports x to its image at the least cost; it
    does not matter where the image lies. As a regulariser it makes a fitted map optimal.

    Three entropic values W circulate; with the entropic plan P and uniform weights 1/n

    - "kl":         ⟨C,P⟩ + eps·KL(P | a bᵀ): the gap of a good map is slightly negative;
    - "negentropy": ⟨C,P⟩ - eps·H(P): the gap is >= 0 with a floor of eps·log n;
    - "primal":     ⟨C,P⟩.

    The first two differ by the constant 2·eps·log n and have the same gradient.

    Parameters
    ----------
    x, Tx : points and their images, both (*batch, n, d).
    cost : as in `cost_matrix`. "euclidean" has gradient 0 at zero displacement.
    eps : entropic strength in the unit of the cost. Default: exact W by linear assignment, the
        value to report.
    convention : which entropic value; without effect for exact W.
    tol, max_iter, warn : as in `sinkhorn_divergence`.

    Returns
    -------
    M, shape (*batch,). Differentiable in x and Tx: by the envelope theorem, and by implicit
    differentiation of the plan for "primal".

    Raises
    ------
    DataError : x and Tx of different shape, unknown convention, and as `solve`.

    References
    ----------
    Uscidda and Cuturi, The Monge gap: a regularizer to learn all transport maps, 2023.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> monge_gap(x, x + 1.0).item(), monge_gap(x, -x).item(), monge_gap(x, x.flip(0)).item()
    (0.0, 2.0, 2.0)
    """
    check_choice(convention, ("kl", "negentropy", "primal"), "convention")
    if x.shape[-2:] != Tx.shape[-2:]:
        raise DataError(
            f"x has shape {tuple(x.shape)}, Tx has {tuple(Tx.shape)}; expected one image for each "
            "point. Pass T(x) in the order of x."
        )
    C = cost_matrix(x, Tx, cost=cost)
    tol = marginal_tolerance(tol, C)
    check_stopping(tol, max_iter)
    moved = displacement_cost(x, Tx, cost=cost).mean(-1)
    if eps is None:
        return moved - solve(C).value
    a = weights(None, C.shape[-1], C, "a")
    width = check_eps(eps, C)
    found = entropic_potentials(C, a, a, width, tol=tol, max_iter=max_iter)
    if warn and not (found.error <= tol).all():
        warnings.warn(
            f"monge_gap stopped with marginal error {found.error.max().item():.1e} > tol {tol:.1e} "
            f"after {found.n_iter} sweeps (eps = {width.min().item():.3g}). Raise eps or max_iter, "
            "loosen tol, or pass warn=False.",
            ConvergenceWarning,
            stacklevel=2,
        )
    if convention == "primal":
        plan = differentiable_plan(C, a, a, found.f, found.g, width)
        return moved - (torch.where(plan > 0, C, 0.0) * plan).sum((-2, -1))
    value = entropic_value(C, a, a, found.f, found.g, width)
    if convention == "negentropy":
        value = value - 2 * width * math.log(C.shape[-1])
    return moved - value
