"""Wasserstein distances averaged or maximised over one-dimensional projections."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._checks import check_batch, check_points, check_same_mass, weights
from ._costs import full_precision
from ._line import line_cost, root

__all__ = ["max_sliced_wasserstein", "sliced_wasserstein"]


def sliced_wasserstein(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    p: float | int = 2,
    n_projections: int = 100,
    seed: int | torch.Generator = 0,
) -> Float[Tensor, "*batch"]:
    """Sliced Wasserstein distance: SW_p^p = mean over directions θ of W_p^p(⟨θ,x⟩, ⟨θ,y⟩).

    Parameters
    ----------
    x, y : points, (*batch, n, d) and (*batch, m, d).
    a, b : weights of equal mass; default uniform.
    p : order, >= 1.
    n_projections : directions, drawn uniformly on the sphere and shared by the batch. The standard
        error of SW_p^p falls as 1/√n_projections.
    seed : seed or generator of the directions; the same seed gives the same directions.

    Returns
    -------
    SW_p with the root taken, (*batch,), differentiable in x and y. O(L (n+m) log(n+m)).

    References
    ----------
    Bonneel, Rabin, Peyré and Pfister, Sliced and Radon Wasserstein barycenters of measures, 2015.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    >>> round(sliced_wasserstein(x, x + 2.0, n_projections=3).item(), 5)
    2.0
    """
    x, y, a, b = _prepare(x, y, a, b, p)
    if n_projections < 1:
        raise DataError(f"n_projections = {n_projections}; expected at least 1.")
    theta = _directions(n_projections, x, seed)
    return root(_costs(x, y, a, b, theta, p).mean(-1), p)


def max_sliced_wasserstein(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    p: float | int = 2,
    n_projections: int = 100,
    n_steps: int = 50,
    seed: int | torch.Generator = 0,
) -> Float[Tensor, "*batch"]:
    """Largest one-dimensional Wasserstein distance over directions, max over θ of W_p(⟨θ,·⟩).

    From the best of `n_projections` random directions `n_steps` steps of gradient ascent on the
    sphere are taken, halving the step where the distance does not grow. The problem is not concave:
    the result is a lower bound.

    Parameters
    ----------
    x, y, a, b, p, n_projections, seed : as in `sliced_wasserstein`.
    n_steps : steps of the ascent.

    Returns
    -------
    The distance, (*batch,), differentiable in x and y at the direction found (envelope theorem).

    References
    ----------
    Deshpande et al., Max-sliced Wasserstein distance and its use for GANs, 2019.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> round(max_sliced_wasserstein(x, x + torch.tensor([0.0, 3.0, 0.0])).item(), 4)
    3.0
    """
    x, y, a, b = _prepare(x, y, a, b, p)
    start = _directions(n_projections, x, seed)
    wa, wb = (None if w is None else w.detach() for w in (a, b))

    def along(theta: Tensor) -> Tensor:
        return _costs(x.detach(), y.detach(), wa, wb, theta, p)

    with torch.no_grad():
        values = along(start)
        theta = start[values.argmax(-1)]
        value = values.amax(-1)
        step = torch.ones_like(value)
    for _ in range(n_steps):
        with torch.enable_grad():
            leaf = theta.clone().requires_grad_()
            slope = torch.autograd.grad(along(leaf.unsqueeze(-2)).sum(), leaf)[0]
        with torch.no_grad():
            slope = slope - (slope * theta).sum(-1, keepdim=True) * theta
            size = slope.norm(dim=-1, keepdim=True)
            trial = theta + step.unsqueeze(-1) * slope / torch.where(size > 0, size, 1.0)
            trial = trial / trial.norm(dim=-1, keepdim=True)
            reached = along(trial.unsqueeze(-2)).squeeze(-1)
            better = reached > value
            theta = torch.where(better.unsqueeze(-1), trial, theta)
            value = torch.where(better, reached, value)
            step = torch.where(better, step, step / 2)
    return root(_costs(x, y, a, b, theta.unsqueeze(-2), p).squeeze(-1), p)


def _prepare(
    x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, p: float | int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    check_points(x, y)
    if not p >= 1:
        raise DataError(f"p = {p}; expected an order >= 1.")
    batch = check_batch(x.shape[:-2], y.shape[:-2], "x", "y")
    x, y = x.expand(*batch, *x.shape[-2:]), y.expand(*batch, *y.shape[-2:])
    if a is None and b is None and x.shape[-2] == y.shape[-2]:
        return x, y, None, None
    like = x.detach()[..., :1].expand(*x.shape[:-1], y.shape[-2])
    a, b = weights(a, x.shape[-2], like, "a"), weights(b, y.shape[-2], like, "b")
    check_same_mass(a, b)
    return x, y, a.unsqueeze(-2), b.unsqueeze(-2)


def _directions(count: int, like: Tensor, seed: int | torch.Generator) -> Tensor:
    """Unit vectors, (count, d), the same on every device for an integer seed."""
    if not isinstance(seed, torch.Generator):
        seed = torch.Generator().manual_seed(seed)
    theta = torch.randn(
        count, like.shape[-1], generator=seed, device=seed.device, dtype=torch.float64
    ).to(like)
    return theta / theta.norm(dim=-1, keepdim=True)


def _costs(
    x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, theta: Tensor, p: float | int
) -> Tensor:
    """W_p^p along each direction, (*batch, L), for theta (L, d) or (*batch, L, d)."""
    with full_precision(x):
        along_x, along_y = theta @ x.mT, theta @ y.mT
    if a is not None and b is not None:
        a, b = a.expand(along_x.shape), b.expand(along_y.shape)
    return line_cost(along_x, along_y, a, b, p)
