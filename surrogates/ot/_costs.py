"""Ground costs between two point clouds, and the default entropic strength."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from pushforward.simulators.errors import DataError
from torch import Tensor

from ._checks import check_cost_name, check_points

__all__ = ["Cost", "cost_matrix", "default_eps", "displacement_cost"]

Cost = str | Callable[[Tensor, Tensor], Tensor]


def cost_matrix(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    *,
    cost: Cost = "sqeuclidean",
) -> Float[Tensor, "*batch n m"]:
    """Cost between every source and every target point, Cᵢⱼ = c(xᵢ, yⱼ).

    Parameters
    ----------
    x, y : points, shapes (*batch, n, d) and (*batch, m, d); batch axes broadcast.
    cost : "sqeuclidean" for |x-y|² (not halved), "euclidean" for |x-y|, or a function of (x, y)
        with these shapes that returns (*batch, n, m).

    Returns
    -------
    Costs, shape (*batch, n, m). The gradient of "euclidean" at coincident points is 0, a
    sub-gradient, never NaN.

    Raises
    ------
    DataError : points of different dimension or dtype, non-finite points, unknown cost.

    Notes
    -----
    "sqeuclidean" is computed as |x|²+|y|²-2xy' after the joint mean is subtracted: fast, with an
    absolute error of about the machine precision times the squared radius of the cloud.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    >>> cost_matrix(x, y).tolist(), cost_matrix(x, y, cost="euclidean").tolist()
    ([[9.0], [4.0]], [[3.0], [2.0]])
    """
    check_cost_name(cost)
    check_points(x, y)
    if callable(cost):
        C = cost(x, y)
        if C.shape[-2:] != (x.shape[-2], y.shape[-2]):
            raise DataError(
                f"cost(x, y) returned shape {tuple(C.shape)} for x {tuple(x.shape)} and y "
                f"{tuple(y.shape)}; expected (*batch, {x.shape[-2]}, {y.shape[-2]})."
            )
        return C
    if cost == "euclidean":
        # The direct form: exact near coincident points, where its backward pass returns 0.
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    centre = (x.detach().mean(-2, keepdim=True) + y.detach().mean(-2, keepdim=True)) / 2
    x, y = x - centre, y - centre
    square = x.square().sum(-1).unsqueeze(-1) + y.square().sum(-1).unsqueeze(-2)
    with full_precision(x):
        return (square - 2 * (x @ y.mT)).clamp_min(0)


def displacement_cost(
    x: Float[Tensor, "*batch n d"], y: Float[Tensor, "*batch n d"], *, cost: Cost = "sqeuclidean"
) -> Float[Tensor, "*batch n"]:
    """Cost of each point to its own partner, c(xᵢ, yᵢ).

    Arguments as in `cost_matrix`, with as many targets as sources. At zero displacement the
    gradient of "euclidean" is 0.

    Examples
    --------
    >>> import torch
    >>> displacement_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), cost="euclidean").tolist()
    [5.0]
    """
    if callable(cost):
        return cost_matrix(x, y, cost=cost).diagonal(dim1=-2, dim2=-1)
    square = (x - y).square().sum(-1)
    if cost == "sqeuclidean":
        return square
    apart = square > 0
    return torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)


def default_eps(C: Float[Tensor, "*batch n m"]) -> Float[Tensor, "*batch"]:
    """Entropic strength 0.05 · std(C) over the finite entries of each cost matrix.

    Relative to the spread and not to the mean: adding a constant to the cost changes neither the
    plan nor the difficulty. A cost without spread gets 0.05 · max|C|, or 1 if all costs are 0.

    Examples
    --------
    >>> import torch
    >>> default_eps(torch.tensor([[0.0, 2.0], [2.0, 0.0]])).item()
    0.05...
    """
    C = C.detach()
    finite = torch.isfinite(C)
    count = finite.sum((-2, -1)).clamp_min(1)
    values = torch.where(finite, C, 0.0)
    mean = values.sum((-2, -1)) / count
    centred = torch.where(finite, C - mean[..., None, None], 0.0)
    spread = (centred.square().sum((-2, -1)) / count).sqrt()
    size = values.abs().amax((-2, -1))
    flat = spread <= 1e-6 * size
    spread = torch.where(flat, size, spread)
    return 0.05 * torch.where(spread > 0, spread, 20.0)


class full_precision:
    """Inside this block products on a GPU use all bits of float32: TF32 stalls Sinkhorn."""

    def __init__(self, like: Tensor):
        self.active = like.is_cuda

    def __enter__(self) -> None:
        if self.active:
            self.before = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        if self.active:
            torch.backends.cuda.matmul.allow_tf32 = self.before
