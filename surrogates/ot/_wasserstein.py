"""Exact Wasserstein distance between two point clouds."""

import torch
from jaxtyping import Float, Num
from pushforward.simulators.errors import DataError
from torch import Tensor

from ._costs import cost_matrix
from ._solve import solve

__all__ = ["wasserstein"]


def wasserstein(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    p: float | int = 2,
) -> Float[Tensor, "*batch"]:
    """Wasserstein distance W_p = (min_P Σ Pᵢⱼ |xᵢ-yⱼ|^p)^(1/p), exact, with the root taken.

    Parameters
    ----------
    x, y : points, (*batch, n, d) and (*batch, m, d).
    a, b : weights of equal mass; default uniform.
    p : order, >= 1; the ground distance is Euclidean.

    Returns
    -------
    W_p, shape (*batch,). Differentiable in x, y, a and b; where the distance is 0 its gradient is
    set to 0.

    Raises
    ------
    DataError : p < 1, and as `solve`.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    >>> wasserstein(x, x + torch.tensor([3.0, 4.0])).item()
    5.0
    """
    if not p >= 1:
        raise DataError(f"p = {p}; expected an order >= 1. For a concave cost use solve_sample.")
    if p == 2:
        C = cost_matrix(x, y)
    else:
        C = cost_matrix(x, y, cost="euclidean")
        C = C if p == 1 else C**p
    value = solve(C, a, b).value
    if p == 1:
        return value
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1.0) ** (1 / p), 0.0)
