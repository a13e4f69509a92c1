"""Transport on a line and on a circle, by quantile functions."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._checks import check_batch, check_floating, check_same_mass, weights

__all__ = ["wasserstein_circle", "wasserstein_line"]


def wasserstein_line(
    x: Num[Tensor, "*batch_x n"],
    y: Num[Tensor, "*batch_y m"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    p: float | int = 2,
) -> Float[Tensor, "*batch"]:
    """Wasserstein distance of order p on the real line, exact, with the root taken.

    W_p^p = ∫₀¹ |F⁻¹(t) - G⁻¹(t)|^p dt with the quantile functions F⁻¹, G⁻¹: sort both sides and
    merge their cumulative weights, O((n+m) log(n+m)).

    Parameters
    ----------
    x, y : positions, (*batch, n) and (*batch, m); batch axes broadcast.
    a, b : weights of equal mass; default uniform. The distance is that of the normalised measures
        times mass^(1/p).
    p : order, >= 1.

    Returns
    -------
    W_p, (*batch,), differentiable in positions; gradient 0 where the distance is 0.

    Examples
    --------
    >>> import torch
    >>> wasserstein_line(torch.tensor([0.0, 1.0]), torch.tensor([3.0, 2.0])).item()
    2.0
    """
    x, y, a, b = _prepare(x, y, a, b, p)
    return root(line_cost(x, y, a, b, p), p)


def wasserstein_circle(
    x: Num[Tensor, "*batch_x n"],
    y: Num[Tensor, "*batch_y m"],
    a: Num[Tensor, "*batch_a n_a"] | None = None,
    b: Num[Tensor, "*batch_b m_b"] | None = None,
    *,
    p: float | int = 2,
    period: float | int = 1.0,
) -> Float[Tensor, "*batch"]:
    """Wasserstein distance of order p on a circle of the given circumference.

    W_p^p = min over θ of ∫₀¹ |F⁻¹(t) - G⁻¹(t + θ)|^p dt, G⁻¹ continued by G⁻¹(t + 1) = G⁻¹(t) +
    period. The integral is convex in θ: it is minimised by golden-section search to rounding.

    Parameters
    ----------
    x, y : positions, any real numbers, taken modulo `period`; (*batch, n) and (*batch, m).
    a, b : weights of equal mass; default uniform.
    p : order, >= 1.
    period : circumference: 1, or 2π for angles.

    Returns
    -------
    W_p, (*batch,), differentiable in positions at fixed θ (envelope theorem).

    References
    ----------
    Delon, Salomon and Sobolevskii, Fast transport optimization for Monge costs on the circle, 2010.

    Examples
    --------
    >>> import torch
    >>> round(wasserstein_circle(torch.tensor([0.1]), torch.tensor([0.9])).item(), 6)
    0.2
    """
    if not period > 0:
        raise DataError(f"period = {period}; expected the circumference, > 0.")
    x, y, a, b = _prepare(x, y, a, b, p)
    x, y = x - period * (x.detach() / period).floor(), y - period * (y.detach() / period).floor()
    total = a.sum(-1, keepdim=True)
    (x, qa), (y, qb) = _quantiles(x, a / total), _quantiles(y, b / total)
    ratio = (5**0.5 - 1) / 2
    with torch.no_grad():
        low = torch.full_like(total, -1.0)
        high = torch.full_like(total, 1.0)
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = (_shifted(x, qa, y, qb, t, p, period) for t in (left, right))
        for _ in range(80):
            down = (at_left <= at_right).unsqueeze(-1)
            low, high = torch.where(down, low, left), torch.where(down, right, high)
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            at_left, at_right = (_shifted(x, qa, y, qb, t, p, period) for t in (left, right))
        theta = (low + high) / 2
    return root(_shifted(x, qa, y, qb, theta, p, period) * total.squeeze(-1), p)


def line_cost(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, p: float | int) -> Tensor:
    """W_p^p on the line times the mass, (*batch,); weights None stand for uniform and n = m."""
    if a is None or b is None:
        return (x.sort(-1).values - y.sort(-1).values).abs().pow(p).mean(-1)
    total = a.sum(-1, keepdim=True)
    (x, qa), (y, qb) = _quantiles(x, a / total), _quantiles(y, b / total)
    return _shifted(x, qa, y, qb, torch.zeros_like(total), p, 0.0) * total.squeeze(-1)


def _prepare(
    x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, p: float | int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    for name, h in (("x", x), ("y", y)):
        check_floating(h, name)
        if h.ndim < 1 or 0 in h.shape or not torch.isfinite(h.detach()).all():
            raise DataError(
                f"{name} has shape {tuple(h.shape)} or holds non-finite positions; expected finite "
                "numbers (*batch, n). Points in a space of more dimensions go to wasserstein."
            )
    if not p >= 1:
        raise DataError(f"p = {p}; expected an order >= 1.")
    batch = check_batch(x.shape[:-1], y.shape[:-1], "x", "y")
    x, y = x.expand(*batch, x.shape[-1]), y.expand(*batch, y.shape[-1])
    like = x.detach().unsqueeze(-1).expand(*x.shape, y.shape[-1])
    a, b = weights(a, x.shape[-1], like, "a"), weights(b, y.shape[-1], like, "b")
    check_same_mass(a, b)
    return x, y, a, b


def _quantiles(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted positions and the cumulative weights at their right ends."""
    x, order = x.sort(-1)
    return x, w.gather(-1, order).cumsum(-1)


def _shifted(
    x: Tensor, qa: Tensor, y: Tensor, qb: Tensor, theta: Tensor, p: float | int, period: float | int
) -> Tensor:
    """∫₀¹ |F⁻¹(t) - G⁻¹(t + θ)|^p dt for step functions with steps at qa and qb."""
    n, m = x.shape[-1], y.shape[-1]
    steps = qb - theta
    steps = steps - steps.detach().floor() if period else qb
    ends = torch.cat([qa, steps, torch.zeros_like(theta), torch.ones_like(theta)], -1)
    ends = ends.clamp(0.0, 1.0).sort(-1).values
    middle = ((ends[..., 1:] + ends[..., :-1]) / 2).detach().contiguous()
    # Looked up at the middles of the pieces, where no rounding can choose the wrong step.
    i = torch.searchsorted(qa.detach().contiguous(), middle).clamp_max(n - 1)
    there = middle + theta.detach()
    turns = there.floor()
    j = torch.searchsorted(qb.detach().contiguous(), (there - turns).contiguous()).clamp_max(m - 1)
    gap = x.gather(-1, i) - (y.gather(-1, j) + period * turns)
    return ((ends[..., 1:] - ends[..., :-1]) * gap.abs().pow(p)).sum(-1)


def root(value: Tensor, p: float | int) -> Tensor:
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1.0) ** (1 / p), 0.0)
