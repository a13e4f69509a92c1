"""The time grid on which few Euler steps follow a field best, by dynamic programming."""

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Pairs
from ._grid import check_grid
from ._objective import Field, call_field
from ._ode import Method, ODESampler

__all__ = ["bellman_time_grid", "shortest_steps", "step_costs", "straightening_pairs"]


def step_costs(trajectory: Tensor, velocity: Tensor, ts: Tensor) -> Float[Tensor, "k k"]:
    """c[i, j] = mean |x_i + (t_j - t_i) v_i - x_j|² for j > i, infinite otherwise.

    ``trajectory`` and ``velocity`` (k, batch, *shape) at times ``ts`` (k,).

    >>> ts = torch.tensor([0.0, 0.5, 1.0])
    >>> x = ts.square()[:, None, None]
    >>> step_costs(x, 2 * ts[:, None, None], ts)[0].tolist()
    [inf, 0.0625, 1.0]
    """
    x, v = trajectory.flatten(2), velocity.flatten(2)
    cost = torch.full((len(ts), len(ts)), torch.inf, dtype=torch.float64)
    for i in range(len(ts) - 1):
        h = (ts[i + 1 :] - ts[i])[:, None, None]
        cost[i, i + 1 :] = (x[i] + h * v[i] - x[i + 1 :]).square().sum(2).mean(1).double().cpu()
    return cost


def shortest_steps(cost: Float[Tensor, "k k"], steps: int) -> tuple[list[int], float]:
    """Indices 0 = i_0 < ... < i_steps = k - 1 of least total cost, and that cost.

    Bellman's recursion J_n(i) = min_j c[i, j] + J_{n-1}(j): O(steps k²), exactly ``steps`` steps.

    >>> inf = float("inf")
    >>> c = torch.tensor([[inf, 1.0, 9.0], [inf, inf, 2.0], [inf, inf, inf]])
    >>> shortest_steps(c, 2)
    ([0, 1, 2], 3.0)
    """
    last = len(cost) - 1
    if not 1 <= steps <= last:
        raise DataError(f"steps = {steps} on a grid of {last} intervals; expected 1 to {last}.")
    value = cost[:, last].clone()
    choices = []
    for _ in range(steps - 1):
        total = cost + value
        # The end is reached by the last step only: every step must be used.
        total[:, last] = torch.inf
        value, choice = total.min(1)
        choices.append(choice)
    index = [0]
    for choice in reversed(choices):
        index.append(int(choice[index[-1]]))
    return [*index, last], float(value[0])


def bellman_time_grid(
    field: Field,
    x0: Float[Tensor, "..."],
    *,
    nfe: int,
    fine: int = 100,
    method: Method = "euler",
    **condition: Any,
) -> Float[Tensor, " n"]:
    """nfe + 1 times whose Euler steps have the least total local error along the field's own paths.

    ``x0`` (batch, *shape), about 100 source points; ``fine`` equal steps of the trajectories that
    are followed (100); ``method`` solves those, "euler" as published or better "rk4". The sum of
    *local* errors is minimised, not the error at the end: with 2 steps the latter may be larger
    than on a uniform grid. Raises `DataError` unless 1 ≤ nfe ≤ fine.

    Source: Nguyen et al., *Bellman Optimal Stepsize Straightening of Flow-Matching Models*, 2024.

    >>> bellman_time_grid(lambda x, t: 2 * t[:, None] + 0 * x, torch.zeros(1, 1), nfe=2, fine=4)
    tensor([0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    if not 1 <= nfe <= fine:
        raise DataError(f"nfe = {nfe} with fine = {fine}; expected 1 <= nfe <= fine.")
    sampler = ODESampler(field, method=method, steps=fine)
    path = sampler.sample(x0, keep_trajectory=True, **condition)
    if path.trajectory is None:
        raise RuntimeError("a trajectory was asked for and not kept")
    with torch.no_grad():
        v = torch.stack(
            [
                call_field(field, x, t.expand(len(x)), **condition)
                for x, t in zip(path.trajectory[:-1], path.ts[:-1], strict=True)
            ]
        )
    # No step starts at the end, so no velocity is needed there.
    v = torch.cat((v, torch.zeros_like(v[:1])))
    index, _ = shortest_steps(step_costs(path.trajectory, v, path.ts), nfe)
    return sampler.time_grid[index]


def straightening_pairs(
    field: Field,
    x0: Float[Tensor, "..."],
    time_grid: Float[Tensor, " n"],
    *,
    substeps: int = 10,
    method: Method = "heun",
    **condition: Any,
) -> tuple[Pairs, Float[Tensor, " m"], Float[Tensor, " m"]]:
    """The field's own states at both ends of each interval of a grid: (pairs, start, end).

    Training v(x_start, t_start) on (x_end - x_start)/(t_end - t_start) (`StraighteningLoss`) makes
    one Euler step an interval exact: distillation on any grid, without data. Rows run over
    intervals first, then over the batch; ``substeps`` of ``method`` solve each interval.

    >>> pairs, start, end = straightening_pairs(
    ...     lambda x, t: torch.ones_like(x), torch.zeros(2, 1), torch.tensor([0.0, 0.5, 1.0]))
    >>> (pairs.x1 - pairs.x0).flatten().tolist(), start.tolist()
    ([0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5])
    """
    grid = check_grid(time_grid.double())
    states, x = [x0], x0
    for a, b in itertools.pairwise(grid):
        inner = torch.linspace(float(a), float(b), substeps + 1, dtype=torch.float64)
        x = ODESampler(field, method=method, time_grid=inner).sample(x, **condition).x
        states.append(x)
    left, right = torch.cat(states[:-1]), torch.cat(states[1:])
    times = grid.to(x0)
    return (
        Pairs(left, right),
        times[:-1].repeat_interleave(len(x0)),
        times[1:].repeat_interleave(len(x0)),
    )
