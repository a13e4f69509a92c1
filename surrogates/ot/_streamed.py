"""Entropic transport between clouds too large for an n × m matrix: row blocks, nothing kept."""

import math
import warnings
from collections.abc import Iterator

import torch
from jaxtyping import Num
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._balanced import marginal_tolerance
from ._checks import check_points, check_same_mass, check_stopping, weights
from ._costs import Cost, cost_matrix, default_eps, full_precision
from ._envelope import dot, from_zero
from ._momentum import Momentum
from ._result import OTResult

__all__ = ["solve_streamed"]

# Entries of one block, and the most points a side from which default eps and range are taken.
_ENTRIES, _PROBE = 2**22, 1024
# Entropic strengths on the way down and the error at which each is left, as in the dense solver.
_START, _FACTOR, _ROUGH = 100.0, 4.0, 0.05


def solve_streamed(
    x: Num[Tensor, "*batch_x n d"],
    y: Num[Tensor, "*batch_y m d_y"],
    a: Num[Tensor, "n_a"] | None = None,
    b: Num[Tensor, "m_b"] | None = None,
    *,
    cost: Cost = "sqeuclidean",
    eps: float | int | None = None,
    tol: float | None = None,
    max_iter: int = 500,
    block: int | None = None,
    warn: bool = True,
) -> OTResult:
    """Entropic transport as `solve_sample`, in O(block · m) memory instead of O(n m).

    Each sweep recomputes the costs block by block of rows: the block's soft minima give its part of
    f, and its part of the plan adds to the column sums, so that one pass serves both halves of a
    Sinkhorn iteration. Momentum and a descent in eps keep the number of passes low.

    Parameters
    ----------
    x, y : points, (n, d) and (m, d); no batch axes.
    a, b : weights of equal mass; default uniform.
    cost : as in `cost_matrix`; a function is called with blocks of x.
    eps : entropic strength. Default: `default_eps` of the costs between at most 1024 points a side.
    tol : L1 marginal error; default 1e-6 in float64, 1e-4 in float32.
    max_iter : limit on passes over the costs.
    block : rows at a time; default about 4 million entries, some 100 MB at work.
    warn : emit a ConvergenceWarning when the tolerance is not met.

    Returns
    -------
    OTResult. `value` is differentiable in x, y, a and b, blocks being recomputed in the backward
    pass; `barycentric_map` streams as well. `plan` would build the full matrix.

    Raises
    ------
    DataError : as `solve_sample`.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> result = solve_streamed(x, x + 1.0, eps=1.0, block=100)
    >>> result.converged, round(result.barycentric_map(x + 1.0).mean().item() - x.mean().item(), 4)
    (True, 1.0)
    """
    check_points(x, y)
    if x.ndim != 2 or y.ndim != 2:
        raise DataError(
            f"x has shape {tuple(x.shape)}, y {tuple(y.shape)}; expected (n, d) and (m, d). "
            "Batches of small clouds go to solve_sample."
        )
    n, m = len(x), len(y)
    # Weights of a single column or row stand in for the matrix that is never built.
    a = weights(a, n, x.detach()[:, :1], "a")
    b = weights(b, m, y.detach()[:, :1].mT, "b") if b is None else weights(b, m, y[:, :1], "b")
    check_same_mass(a, b)
    tol = marginal_tolerance(tol, x)
    check_stopping(tol, max_iter)
    probe = cost_matrix(*(h.detach()[:: math.ceil(len(h) / _PROBE)] for h in (x, y)), cost=cost)
    width = default_eps(probe).item() if eps is None else float(eps)
    if not 0 < width < math.inf:
        raise DataError(f"eps = {width}; expected a finite entropic strength > 0.")
    stream = _Stream(x, y, a, b, cost, block or max(1, _ENTRIES // m))
    with torch.no_grad(), full_precision(x):
        f, g, error, n_iter = _iterate(stream, probe, width, tol, max_iter)
    value = _value(stream, f, g, width)
    converged = bool(error <= tol) and bool(torch.isfinite(value.detach()))
    message = f"converged in {n_iter} passes"
    if not converged:
        message = (
            f"streamed Sinkhorn stopped after {n_iter} passes with marginal error "
            f"{error.item():.1e} > tol {tol:.1e} (eps = {width:.3g}). Raise eps or max_iter, "
            "loosen tol, or use float64."
        )
        if warn:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)

    def apply_plan(h: Tensor) -> Tensor:
        with torch.no_grad():
            moved = torch.empty(n, h.shape[-1], dtype=h.dtype, device=h.device)
            for rows in stream.blocks():
                moved[rows] = stream.plan_block(rows, f, g, width) @ h
            return moved

    def plan() -> Tensor:
        with torch.no_grad():
            return torch.cat([stream.plan_block(rows, f, g, width) for rows in stream.blocks()])

    return OTResult(
        value=value,
        converged=converged,
        n_iter=n_iter,
        marginal_error=error,
        message=message,
        cost=torch.empty(0),
        a=a,
        b=b,
        make_plan=plan,
        make_potentials=lambda: (f, g),
        eps=torch.tensor(width, dtype=x.dtype, device=x.device),
        apply_plan=apply_plan,
    )


class _Stream:
    """The costs of one problem, a block of rows at a time."""

    def __init__(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, cost: Cost, block: int):
        self.x, self.y, self.a, self.b, self.cost, self.block = x, y, a, b, cost, block
        self.log_b = b.detach().log()

    def blocks(self) -> Iterator[slice]:
        """Slices of rows."""
        return (slice(k, k + self.block) for k in range(0, len(self.x), self.block))

    def row_block(self, rows: slice, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Soft minima of a block and its conditional plan (rows sum to 1), (k,) and (k, m)."""
        E = cost_matrix(self.x.detach()[rows], self.y.detach(), cost=self.cost)
        E.div_(-eps).add_(self.log_b + g / eps)
        top = E.amax(-1, keepdim=True)
        E.sub_(top).clamp_min_(-300.0 if E.dtype == torch.float64 else -60.0).exp_()
        total = E.sum(-1, keepdim=True)
        return -eps * (top + total.log()).squeeze(-1), E.div_(total)

    def plan_block(self, rows: slice, f: Tensor, g: Tensor, eps: float) -> Tensor:
        """Rows of P, (k, m)."""
        C = cost_matrix(self.x.detach()[rows], self.y.detach(), cost=self.cost)
        E = ((f[rows].unsqueeze(-1) + g - C) / eps).exp_()
        return E.mul_(self.a.detach()[rows].unsqueeze(-1)).mul_(self.b.detach())


def _iterate(
    stream: _Stream, probe: Tensor, eps: float, tol: float, max_iter: int
) -> tuple[Tensor, Tensor, Tensor, int]:
    a, b = stream.a.detach(), stream.b.detach()
    g = torch.zeros_like(b)
    start = (probe.max() - probe.min()).item() / _START
    levels = max(0, math.ceil(math.log(start / eps) / math.log(_FACTOR))) if start > eps else 0
    widths = [*(max(eps, start / _FACTOR**k) for k in range(levels)), eps]
    n_iter = 0
    error = torch.tensor(math.inf, dtype=a.dtype, device=a.device)
    f = torch.zeros_like(a)
    tiny = torch.finfo(b.dtype).tiny
    for width in widths:
        goal = tol if width == eps else _ROUGH
        momentum = Momentum(g[None])
        while n_iter < max_iter:
            n_iter += 1
            columns = torch.zeros_like(b)
            for rows in stream.blocks():
                # Into memory that is there already: small tensors kept between large ones that
                # come and go would tear the heap into pieces too small to be used again.
                f[rows], P = stream.row_block(rows, g, width)
                columns += a[rows] @ P
            error = (columns - b).abs().sum() / a.sum()
            if error <= goal or not torch.isfinite(error) or n_iter == max_iter:
                break
            momentum.observe(error[None], goal)
            step = torch.where(b > 0, width * (b / columns.clamp_min(tiny)).log(), 0.0)
            g = g + momentum.change(step[None])[0]
    if not (b > 0).all():
        # Atoms without mass: the soft minimum over the rows, gathered block by block.
        top = torch.full_like(g, -math.inf)
        for rows in stream.blocks():
            C = cost_matrix(stream.x.detach()[rows], stream.y.detach(), cost=stream.cost)
            E = (f[rows].unsqueeze(-1) - C) / eps + a[rows].log().unsqueeze(-1)
            top = torch.logaddexp(top, E.logsumexp(0))
        g = torch.where(b > 0, g, -eps * top)
    return f, g, error, n_iter


def _value(stream: _Stream, f: Tensor, g: Tensor, eps: float) -> Tensor:
    """Dual value with envelope gradients; blocks are recomputed when gradients are asked for."""
    a, b = stream.a, stream.b
    mass_a, mass_b = a.detach().sum(), b.detach().sum()
    value = dot(f, a.detach()) + dot(g, b.detach()) - eps * (mass_a - mass_a * mass_b)
    if torch.is_grad_enabled() and (stream.x.requires_grad or stream.y.requires_grad):

        def cost_of(x: Tensor, y: Tensor, rows: slice) -> Tensor:
            P = stream.plan_block(rows, f, g, eps)
            return (P * cost_matrix(x, y, cost=stream.cost)).sum()

        for rows in stream.blocks():
            part = checkpoint(cost_of, stream.x[rows], stream.y, rows, use_reentrant=False)
            value = value + from_zero(part)
    if a.requires_grad:
        value = value + ((f + eps * (mass_b - 1)) * from_zero(a)).sum()
    if b.requires_grad:
        value = value + ((g + eps * (mass_a - 1)) * from_zero(b)).sum()
    return value
