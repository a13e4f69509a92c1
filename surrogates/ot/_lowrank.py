"""Transport by plans of low rank: time and memory linear in the number of points."""

import warnings

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._checks import check_points, check_same_mass, check_stopping, weights
from ._costs import Cost, cost_matrix
from ._problems import flag
from ._result import OTResult

__all__ = ["solve_low_rank"]

# Sweeps of a projection and the L1 error at which it stops: on the way, and for the final plan.
_ROUGH, _FINE = (20, 1e-3), (5000, 1e-8)


def solve_low_rank(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "n_a"] | None = None,
    b: Num[Tensor, "m_b"] | None = None,
    *,
    rank: int,
    cost: Cost = "sqeuclidean",
    step: float | int = 5.0,
    tol: float = 1e-5,
    max_iter: int = 500,
    seed: int = 0,
    warn: bool = True,
) -> OTResult:
    """Transport restricted to plans P = Q diag(1/w) R' with Q1 = a, R1 = b, Q'1 = R'1 = w.

    min ⟨C, Q diag(1/w) R'⟩ by mirror descent on (Q, R, w): a step against the gradient in the log
    domain, then the Kullback-Leibler projection onto the constraints by alternating scalings. A
    step that raises the cost is halved. The problem is not convex: a stationary plan is found, and
    its cost bounds the exact one from above. For "sqeuclidean" the cost is kept factorised, so that
    no n × m array exists: O((n+m) d r) a step.

    Parameters
    ----------
    x, y : points, (n, d) and (m, d); no batch axes.
    a, b : weights of equal mass; default uniform.
    rank : r, inner size of the plan, at most min(n, m). Higher is closer to exact and slower.
    cost : as in `cost_matrix`; other costs than "sqeuclidean" build the matrix.
    step : largest change of a logarithm in the first step.
    tol : relative change of the cost over ten steps at which they stop.
    max_iter : steps.
    seed : seed of the starting point.
    warn : emit a ConvergenceWarning when the steps run out.

    Returns
    -------
    OTResult; `plan` builds the full matrix, `barycentric_map` does not. The value carries no
    gradient.

    Raises
    ------
    DataError : rank below 1 or above min(n, m), and as `solve_sample`.

    References
    ----------
    Scetbon, Cuturi and Peyré, Low-rank Sinkhorn factorization, 2021.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [0.1], [5.0], [5.1]], dtype=torch.float64)
    >>> result = solve_low_rank(x, x + 1.0, rank=2)
    >>> result.converged, 1.0 <= result.value.item() < 1.02
    (True, True)
    """
    check_points(x, y)
    if x.ndim != 2 or y.ndim != 2:
        raise DataError(f"x has shape {tuple(x.shape)}; expected (n, d), one problem at a time.")
    n, m = len(x), len(y)
    if not 1 <= rank <= min(n, m):
        raise DataError(f"rank = {rank}; expected 1 to min(n, m) = {min(n, m)}.")
    check_stopping(tol, max_iter)
    x, y = x.detach(), y.detach()
    a, b = weights(a, n, x[:, 0].unsqueeze(0), "a"), weights(b, m, y[:, 0].unsqueeze(0), "b")
    check_same_mass(a, b)
    a, b = a.detach(), b.detach()
    total = a.sum()
    left, right = _factors(x, y, cost)
    generator = torch.Generator().manual_seed(seed)
    log_Q, log_R, log_w = _start(x, y, a, b, rank, generator)
    value = _value(left, right, log_Q, log_R, log_w)
    history = [value]
    size = float(step)
    n_iter, done = 0, rank == 1
    while n_iter < max_iter and not done:
        n_iter += 1
        Q, R, w = log_Q.exp(), log_R.exp(), log_w.exp()
        toward_Q = left @ (right.mT @ R) / w
        toward_R = right @ (left.mT @ Q) / w
        toward_w = -(Q * toward_Q).sum(0) / w
        # Rows of the gradients are free up to a constant, which the projection takes out.
        toward_Q = toward_Q - toward_Q.mean(1, keepdim=True)
        toward_R = toward_R - toward_R.mean(1, keepdim=True)
        largest = max(g.abs().max() for g in (toward_Q, toward_R, toward_w))
        rate = size / largest if largest > 0 else 0.0
        trial = _project(
            log_Q - rate * toward_Q, log_R - rate * toward_R, log_w - rate * toward_w, a, b
        )
        reached = _value(left, right, *trial)
        if reached <= value:
            (log_Q, log_R, log_w), value = trial, reached
        else:
            size /= 2
        history.append(value)
        settled = len(history) > 10 and history[-11] - value <= tol * history[-11].abs()
        done = bool(settled) or size < 1e-8
    log_Q, log_R, log_w = _project(log_Q, log_R, log_w, a, b, _FINE)
    value = _value(left, right, log_Q, log_R, log_w)
    Q, R, w = log_Q.exp(), log_R.exp(), log_w.exp()
    error = (Q.sum(1) - a).abs().sum() + (R.sum(1) - b).abs().sum()
    error = (error + (Q.sum(0) - w).abs().sum() + (R.sum(0) - w).abs().sum()) / total
    converged = torch.tensor(done) & torch.isfinite(value) & (error < 1e-4)
    message = f"stationary after {n_iter} steps"
    if not converged:
        message = (
            f"solve_low_rank stopped after {n_iter} steps with the cost still falling by more than "
            f"tol {tol:.1e} (marginal error {error.item():.1e}). Raise max_iter or loosen tol."
        )
        if warn:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return OTResult(
        value=value,
        converged=flag(converged),
        n_iter=n_iter,
        marginal_error=error,
        message=message,
        cost=torch.empty(0) if cost == "sqeuclidean" else left,
        a=a,
        b=b,
        make_plan=lambda: (Q / w) @ R.mT,
        make_potentials=_no_potentials,
        apply_plan=lambda h: (Q / w) @ (R.mT @ h),
        balanced=False,
        linear=value,
    )


def _no_potentials() -> tuple[Tensor, Tensor]:
    raise AttributeError("a low-rank plan has no potentials; use solve_sample with eps.")


def _factors(x: Tensor, y: Tensor, cost: Cost) -> tuple[Tensor, Tensor]:
    """Left and right factors of the cost, C = left @ right'."""
    if cost != "sqeuclidean":
        C = cost_matrix(x, y, cost=cost)
        return C, torch.eye(len(y), dtype=C.dtype, device=C.device)
    centre = (x.mean(0) + y.mean(0)) / 2
    x, y = x - centre, y - centre
    left = torch.cat([x.square().sum(1, keepdim=True), torch.ones_like(x[:, :1]), -2 * x], 1)
    right = torch.cat([torch.ones_like(y[:, :1]), y.square().sum(1, keepdim=True), y], 1)
    return left, right


def _start(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, rank: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Soft assignment of both clouds to anchors between them, made feasible."""
    i = torch.randperm(len(x), generator=generator)[:rank].to(x.device)
    C = cost_matrix(x[i], y)
    anchors = (x[i] + y[C.argmin(1)]) / 2

    def soft(points: Tensor, mass: Tensor) -> Tensor:
        D = cost_matrix(points, anchors)
        width = D.mean().clamp_min(torch.finfo(D.dtype).tiny)
        return torch.log_softmax(-D / width, 1) + mass.log().unsqueeze(1)

    uniform = torch.full((rank,), 1 / rank, dtype=x.dtype, device=x.device) * a.sum()
    return _project(soft(x, a), soft(y, b), uniform.log(), a, b)


def _project(
    log_Q: Tensor,
    log_R: Tensor,
    log_w: Tensor,
    a: Tensor,
    b: Tensor,
    limits: tuple[int, float] = _ROUGH,
) -> tuple[Tensor, Tensor, Tensor]:
    """KL projection onto Q1 = a, R1 = b, Q'1 = R'1 = w.

    With multipliers p, q of the column constraints w becomes w exp(-p-q), so that the common
    column sum after a column step is the cube root of the three.
    """
    log_a, log_b = a.log().unsqueeze(1), b.log().unsqueeze(1)
    p, q = torch.zeros_like(log_w), torch.zeros_like(log_w)
    for _ in range(limits[0]):
        rows_Q = log_a - (log_Q + p).logsumexp(1, keepdim=True)
        rows_R = log_b - (log_R + q).logsumexp(1, keepdim=True)
        rows_Q = torch.where(torch.isfinite(rows_Q), rows_Q, 0.0)
        rows_R = torch.where(torch.isfinite(rows_R), rows_R, 0.0)
        columns_Q = (log_Q + rows_Q).logsumexp(0)
        columns_R = (log_R + rows_R).logsumexp(0)
        common = (log_w + columns_Q + columns_R) / 3
        off = ((columns_Q + p).exp() - common.exp()).abs().sum()
        off = off + ((columns_R + q).exp() - common.exp()).abs().sum()
        p, q = common - columns_Q, common - columns_R
        if off <= limits[1] * a.sum():
            break
    return log_Q + rows_Q + p, log_R + rows_R + q, common


def _value(left: Tensor, right: Tensor, log_Q: Tensor, log_R: Tensor, log_w: Tensor) -> Tensor:
    Q, R = log_Q.exp(), log_R.exp()
    return ((left.mT @ Q) * (right.mT @ R) / log_w.exp()).sum()
