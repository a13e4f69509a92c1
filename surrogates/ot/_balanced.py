"""Balanced entropic potentials: Sinkhorn sweeps first, Newton where sweeps are slow."""

import torch
from torch import Tensor

from ._costs import full_precision
from ._newton import newton
from ._sinkhorn import Potentials, sinkhorn

__all__: list[str] = []

# Sweeps at the target eps before the second-order finish, and the largest side it is used for.
_SWEEPS = 60
_DENSE_SIDE = 512


def marginal_tolerance(tol: float | None, like: Tensor) -> float:
    """The tolerance asked for, or the default of the dtype."""
    if tol is not None:
        return tol
    return 1e-6 if like.dtype == torch.float64 else 1e-4


def entropic_potentials(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    *,
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None = None,
    symmetric: bool = False,
) -> Potentials:
    """Potentials of problems with any batch axes, without gradients.

    C (*batch, n, m), a (*batch, n), b (*batch, m), eps (*batch,). `symmetric` states C = C' and
    a = b: the potentials are then equal.
    """
    batch, n, m = C.shape[:-2], *C.shape[-2:]
    C = C.detach().reshape(-1, n, m)
    a, b = a.detach().reshape(-1, n), b.detach().reshape(-1, m)
    eps = eps.detach().reshape(-1)
    if init is not None:
        init = (init[0].expand(*batch, n).reshape(-1, n), init[1].expand(*batch, m).reshape(-1, m))
    with full_precision(C):
        found = _solve(C, a, b, eps, tol, max_iter, init, symmetric)
    return Potentials(
        found.f.reshape(*batch, n),
        found.g.reshape(*batch, m),
        found.error.reshape(batch),
        found.n_iter,
        [e.reshape(batch) for e in found.errors],
    )


def _solve(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    tol: float,
    max_iter: int,
    init: tuple[Tensor, Tensor] | None,
    symmetric: bool,
) -> Potentials:
    small = min(C.shape[-2:]) <= _DENSE_SIDE
    first = min(max_iter, _SWEEPS) if small else max_iter
    found = sinkhorn(C, a, b, eps, tol=tol, max_iter=first, init=init, symmetric=symmetric)
    slow = (found.error > tol).nonzero().squeeze(-1)
    if not small or len(slow) == 0 or found.n_iter >= max_iter:
        return found
    # The dense matrix lives on the shorter side.
    wide = C.shape[-1] > C.shape[-2]
    cost, wa, wb, g = (t[slow] for t in (C, a, b, found.g))
    if wide:
        cost, wa, wb, g = cost.mT, wb, wa, found.f[slow]
    ended = newton(cost, wa, wb, g, eps[slow], tol=tol, max_iter=max_iter - found.n_iter)
    f, g = (ended.g, ended.f) if wide else (ended.f, ended.g)
    if symmetric:
        f = g = (f + g) / 2
    better = ended.error <= found.error[slow]
    rows = slow[better]
    found.f[rows], found.g[rows] = f[better], g[better]
    found.error[rows] = ended.error[better]
    for error in ended.errors:
        merged = found.errors[-1].clone()
        merged[slow] = error
        found.errors.append(merged)
    found.n_iter += ended.n_iter
    return found
