"""Exact transport: assignment for uniform squares, network simplex otherwise, one by one."""

import numpy as np
import torch
from pushforward.simulators.errors import DataError
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__: list[str] = []


def exact_plans(C: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, list[str]]:
    """Optimal plans of B problems, (B, n, m), and how the solver of each ended ("" if optimal)."""
    costs = C.detach().double().cpu().numpy()
    wa, wb = (w.detach().double().cpu().numpy() for w in (a, b))
    plans = np.zeros(costs.shape)
    messages = []
    for k in range(len(costs)):
        plans[k], message = _plan(costs[k], wa[k], wb[k])
        messages.append(message)
    return torch.from_numpy(plans).to(C), messages


def _is_assignment(a: np.ndarray, b: np.ndarray) -> bool:
    if len(a) != len(b):
        return False
    return bool(np.ptp(a) <= 1e-6 * a[0] and np.ptp(b) <= 1e-6 * b[0])


def _plan(C: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, str]:
    if _is_assignment(a, b):
        try:
            rows, columns = linear_sum_assignment(C)
        except ValueError:
            raise _infeasible(C) from None
        plan = np.zeros(C.shape)
        plan[rows, columns] = a.mean()
        return plan, ""
    plan, _, message = _simplex(C, a, b)
    return plan, message


def _simplex(
    C: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], str]:
    """Plan and dual potentials by the network simplex on the atoms with mass."""
    import ot  # POT: heavy, and only needed here

    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    a_on, b_on = a[rows], b[columns] * (a.sum() / b.sum())
    finite = np.isfinite(C)
    shift = C[finite].min()
    reach = (C[finite].max() - shift) * 2 * sum(C.shape) + 1.0
    bounded = np.where(finite, C - shift, reach)[np.ix_(rows, columns)]
    plan_on, log = ot.emd(
        a_on, b_on, np.ascontiguousarray(bounded), numItermax=10_000_000, log=True
    )
    plan = np.zeros(C.shape)
    plan[np.ix_(rows, columns)] = plan_on
    if plan[~finite].sum() > 1e-12 * a.sum():
        raise _infeasible(C)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    f[rows], g[columns] = log["u"] + shift, log["v"]
    return plan, (_close(C, f, g, a, b)), log["warning"] or ""


def _close(
    C: np.ndarray, f: np.ndarray, g: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give atoms without mass the largest potentials that keep f + g <= C."""
    f, g = f.copy(), g.copy()
    if not a.all():
        f[a == 0] = _finite((C[a == 0] - g)[:, b > 0].min(1))
    if not b.all():
        g[b == 0] = _finite((C[:, b == 0] - f[:, None]).min(0))
    return f, g


def _finite(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), x, 0.0)


def _infeasible(C: np.ndarray) -> DataError:
    return DataError(
        f"no plan avoids the {int(np.isinf(C).sum())} infinite costs of C with these weights; "
        "expected a feasible problem. Use a large finite cost for pairs that are only unwanted."
    )


def exact_potentials(C: Tensor, a: Tensor, b: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
    """Optimal dual potentials of B solved problems, shapes (B, n) and (B, m)."""
    costs = C.detach().double().cpu().numpy()
    wa, wb = (w.detach().double().cpu().numpy() for w in (a, b))
    f, g = np.zeros(wa.shape), np.zeros(wb.shape)
    for k, P in enumerate(plan.cpu().numpy()):
        if _is_assignment(wa[k], wb[k]):
            f[k], g[k] = _assignment_potentials(costs[k], P.argmax(1))
        else:
            f[k], g[k] = _simplex(costs[k], wa[k], wb[k])[1]
    return torch.from_numpy(f).to(C), torch.from_numpy(g).to(C)


def _assignment_potentials(C: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Potentials with fᵢ + gⱼ <= Cᵢⱼ and equality on the optimal pairs: shortest paths.

    With gⱼ = Cᵢⱼ - fᵢ for the partner i of j the constraints read fᵢ <= fₖ + Mᵢₖ; the optimality of
    the pairs forbids negative cycles, hence at most n rounds of relaxation.
    """
    matched = C[np.arange(len(C)), column]
    M = C[:, column] - matched
    f = np.zeros(len(C))
    rounding = 1e-13 * np.abs(matched).max(initial=0.0)
    for _ in range(len(C)):
        shorter = (M + f).min(1)
        if (shorter >= f - rounding).all():
            break
        f = np.minimum(f, shorter)
    g = np.empty(len(C))
    g[column] = matched - f
    centre = f.mean()
    return f - centre, g + centre
