"""Ground costs between two batches: the whole matrix, or row by row."""

from collections.abc import Callable

import torch
from pushforward.simulators.errors import DataError
from torch import Tensor

__all__ = ["Cost", "cost_matrix", "pair_cost"]

Cost = str | Callable[[Tensor, Tensor], Tensor]


def cost_matrix(x0: Tensor, x1: Tensor, cost: Cost) -> Tensor:
    """c(x0_i, x1_j) of flattened points: "sqeuclidean" |x-y|², "euclidean" |x-y| or a callable.

    >>> cost_matrix(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), "euclidean")
    tensor([[5.]])
    """
    x0, x1 = x0.flatten(1), x1.flatten(1)
    if callable(cost):
        c = cost(x0, x1)
        if c.shape != (len(x0), len(x1)):
            raise DataError(
                f"cost returned shape {tuple(c.shape)}; expected ({len(x0)}, {len(x1)}), one value "
                "for each pair."
            )
        return c
    if cost not in ("sqeuclidean", "euclidean"):
        raise DataError(f"unknown cost {cost!r}; 'sqeuclidean', 'euclidean' or a callable.")
    # Centring first: |x|² + |y|² - 2xy cancels badly for clouds far from the origin.
    centre = x1.mean(0)
    a, b = x0 - centre, x1 - centre
    c = torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1)[:, None])
    return c if cost == "sqeuclidean" else c.clamp_min_(0).sqrt_()


def pair_cost(x0: Tensor, x1: Tensor, cost: Cost) -> Tensor:
    """c(x0_i, x1_i), shape (batch,); a callable cost is asked for the matrix."""
    if callable(cost):
        return cost_matrix(x0, x1, cost).diagonal()
    if cost not in ("sqeuclidean", "euclidean"):
        raise DataError(f"unknown cost {cost!r}; 'sqeuclidean', 'euclidean' or a callable.")
    squared = (x0 - x1).flatten(1).square().sum(1)
    return squared if cost == "sqeuclidean" else squared.sqrt()
