"""Balanced entropic potentials: Sinkhorn sweeps first, Newton where sweeps are slow."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ._costs import full_precision
from ._momentum import Momentum
from ._newton import newton_step
from ._scaling import Scaling, log_sweep

__all__: list[str] = []

# Entropic strengths on the way down: from range/_START by factors of _FACTOR.
_START, _FACTOR = 100.0, 4.0
# Where the range of the cost exceeds this many eps, the exponents of float32 hold too few digits:
# such problems are solved in float64.
_SINGLE = 1e3
# Sweeps before the observed rate is believed.
_SETTLE = 9
# Newton steps in a row without progress after which rounding is taken to be the limit.
_PATIENCE = 6
# Where a strength on the way down is left, and Newton steps spent on it at most.
_ROUGH, _ROUGH_STEPS = 0.05, 3


@dataclass
class Potentials:
    """Dual potentials of a batch and how the iteration ended.

    `plan` is the plan of these potentials where the solver had it at hand to full precision.
    """

    f: Tensor
    g: Tensor
    error: Tensor
    n_iter: int
    errors: list[Tensor] = field(default_factory=list)
    plan: Tensor | None = None


def marginal_tolerance(tol: float | None, like: Tensor) -> float:
    """The tolerance asked for, or the default of the dtype."""
    if tol is not None:
        return tol
    return 1e-6 if like.dtype == torch.float64 else 1e-4


@torch.no_grad()
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
        if m > n:  # Newton's matrix lives on the columns: make them the shorter side
            turned = None if init is None else (init[1], init[0])
            found = _solve(C.mT.contiguous(), b, a, eps, tol, max_iter, turned, symmetric)
            found.f, found.g = found.g, found.f
            found.plan = None if found.plan is None else found.plan.mT
        else:
            found = _solve(C, a, b, eps, tol, max_iter, init, symmetric)
    return Potentials(
        found.f.reshape(*batch, n),
        found.g.reshape(*batch, m),
        found.error.reshape(batch),
        found.n_iter,
        [e.reshape(batch) for e in found.errors],
        None if found.plan is None else found.plan.reshape(*batch, n, m),
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
    low, high = C.amin((-2, -1)), C.amax((-2, -1))
    highest = high
    if torch.isinf(high).any():
        high = torch.where(torch.isinf(C), low[:, None, None], C).amax((-2, -1))
    reach = high - low
    if C.dtype == torch.float32 and (reach / eps).amax() > _SINGLE:
        init = None if init is None else (init[0].double(), init[1].double())
        a, b, eps = a.double(), b.double(), eps.double()
        found = _solve(C.double(), a, b, eps, tol, max_iter, init, symmetric)
        found.f, found.g, found.error = found.f.float(), found.g.float(), found.error.float()
        return found
    # A cost far from zero loses digits in C/eps; one near it is spared the copy.
    shift = low.unsqueeze(-1)
    if (shift.abs().squeeze(-1) > reach).any():
        C = C - shift.unsqueeze(-1)
    else:
        shift = torch.zeros_like(shift)
    if init is None:
        f, g = torch.zeros_like(a), torch.zeros_like(b)
        widths = _descent(reach / _START, eps)
    else:
        f, g = init[0] - shift, init[1]
        widths = [eps]
    state = Scaling(C, a, b, widths[0], f, g)
    found = Potentials(f, g, torch.full_like(eps, torch.inf), 0)
    for k, width in enumerate(widths):
        if k:
            state.set_eps(width)
        last = k == len(widths) - 1
        goal = tol if last else _ROUGH
        _sweeps(state, found, goal, max_iter, symmetric)
        if not last:
            for _ in range(_ROUGH_STEPS):
                if (state.error <= goal).all() or found.n_iter >= max_iter:
                    break
                found.n_iter += newton_step(state)[0]
    found.f, found.g = state.potentials()
    found.error = state.error.clone()
    at_hand = C.dtype == torch.float64 and not (symmetric or state.absent)
    at_hand = at_hand and not torch.isinf(highest).any()
    if at_hand and (found.error <= tol).all() and (reach / eps).amax() < _SINGLE:
        found.plan = state.spend()
    else:
        _newton(state, found, tol, max_iter)
    if state.absent or not (a > 0).all():
        _extrapolate(C, a, b, eps, found)
    if symmetric:
        found.f = found.g = (found.f + found.g) / 2
    found.f = found.f + shift
    return found


def _descent(start: Tensor, target: Tensor) -> list[Tensor]:
    """Entropic strengths from `start`, each a factor smaller, that end at `target` exactly."""
    ratio = (start / target).amax().item()
    levels = max(0, math.ceil(math.log(ratio) / math.log(_FACTOR))) if ratio > 1 else 0
    return [*(torch.maximum(target, start / _FACTOR**k) for k in range(levels)), target]


def _sweeps(state: Scaling, found: Potentials, goal: float, max_iter: int, symmetric: bool) -> None:
    """Accelerated sweeps, until the goal is met or Newton promises to be cheaper."""
    limit = min(40 + 0.35 * state.C.shape[-1], 600.0)
    momentum = Momentum(state.w)
    for k in range(int(6 * limit)):
        if (state.error <= goal).all() or found.n_iter >= max_iter:
            break
        if momentum.observe(state.error, goal) > limit and k > _SETTLE:
            break
        # Bounded, so that the scalings of a few sweeps stay within the range of the dtype.
        change = momentum.change(state.sweep_step(symmetric)).clamp(-state.far, state.far)
        state.move(state.w * change.exp())
        found.errors.append(state.error)
        found.n_iter += 1
        if k % 4 == 3:
            state.steady()


def _newton(state: Scaling, found: Potentials, tol: float, max_iter: int) -> None:
    """Newton steps on the problems that have not met the tolerance, keeping the best of each."""
    slow = (~(found.error <= tol)).nonzero().squeeze(-1)
    if len(slow) == 0 or found.n_iter >= max_iter:
        return
    if len(slow) < len(found.error):
        state = state.part(slow)
    best = found.error[slow]
    waited = 0
    while not (best <= tol).all() and found.n_iter < max_iter and waited < _PATIENCE:
        evaluations, progress = newton_step(state)
        found.n_iter += evaluations
        state.steady()
        unmet = ~(best <= tol)
        waited = 0 if (progress & unmet).any() else waited + 1
        fresh = (state.error < best) & unmet
        rows = slow[fresh]
        f, g = state.potentials()
        found.f[rows], found.g[rows] = f[fresh], g[fresh]
        best = torch.where(fresh, state.error, best)
        found.error[rows] = best[fresh]
        found.errors.append(found.error.clone())


def _extrapolate(C: Tensor, a: Tensor, b: Tensor, eps: Tensor, found: Potentials) -> None:
    """Potentials of atoms without mass: the soft minimum over the others."""
    width = eps.unsqueeze(-1)
    found.f = torch.where(a > 0, found.f, log_sweep(C, found.g, b.log(), width))
    found.g = torch.where(b > 0, found.g, log_sweep(C.mT, found.f, a.log(), width))
