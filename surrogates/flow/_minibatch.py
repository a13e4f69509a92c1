"""Minibatch optimal transport as a coupling: exact or entropic, with labels that follow."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ..ot import cost_matrix, solve
from ._assignment import optimal_assignment
from ._coupling import PairedCoupling, Pairs, check_batches

__all__ = ["MinibatchOTCoupling"]

Cost = str | Callable[[Tensor, Tensor], Tensor]

Method = str
_METHODS = ("exact", "swaps", "sinkhorn")


class MinibatchOTCoupling:
    """Pair the batch by optimal transport, which straightens the flow.

    Methods: "exact" (default): the optimal assignment, every point once, no randomness; "swaps":
    the entropic coupling of n particles at strength ``eps``, drawn by heat-bath exchanges of pairs
    (every point once; its pair law tends to the entropic plan as n grows); "sinkhorn": x0 drawn for
    each x1 from the entropic plan (every x1 once, x0 may repeat), as is "exact" for batches of
    unequal size. x1 always keeps its order, and labels follow by ``index0`` and ``index1``.

    Conditions: transport across conditions ties noise to condition and biases the source of a
    conditional model. So when ``condition1`` is given, transport acts *within* conditions (rows of
    equal value); without ``condition0``, x0[i] is taken to belong to condition1[i]. A
    ``condition_cost`` instead adds to the cost: a number w adds w [c0 ≠ c1] for integer labels and
    w |c0 - c1|² for real ones, a callable (condition0, condition1) -> (n0, n1) anything else.

    Arguments: ``cost`` "sqeuclidean" (default), "euclidean" or a callable, never normalised;
    ``eps`` in units of the cost (needed by all but "exact"); ``sweeps`` of "swaps": exchanges
    offered to every point. Raises `DataError` for what does not fit.

    Source: Tong et al., *Improving and generalizing flow-based generative models with minibatch
    optimal transport*, 2023; released code draws pairs with replacement, here no point is lost.

    >>> x0 = torch.tensor([[0.0], [1.0], [2.0]])
    >>> x1 = torch.tensor([[1.1], [2.1], [0.1]])
    >>> MinibatchOTCoupling()(x0, x1).index0.tolist()
    [1, 2, 0]
    """

    def __init__(
        self,
        method: Method = "exact",
        *,
        cost: Cost = "sqeuclidean",
        eps: float | int | None = None,
        condition_cost: float | int | Callable[[Tensor, Tensor], Tensor] | None = None,
        sweeps: int = 50,
    ) -> None:
        if method not in _METHODS:
            raise DataError(f"unknown method {method!r}; choose one of {_METHODS}.")
        if method != "exact" and (eps is None or not eps > 0):
            raise DataError(f"method {method!r} with eps = {eps}; give a positive eps.")
        if method == "exact" and eps is not None:
            raise DataError(f"method 'exact' with eps = {eps}; 'swaps' or 'sinkhorn' use it.")
        self.method, self.cost, self.eps = method, cost, eps
        self.condition_cost, self.sweeps = condition_cost, sweeps

    def __call__(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Pair the rows of ``x0`` (n0, *shape) and ``x1`` (n1, *shape)."""
        check_batches(x0, x1, name="MinibatchOTCoupling", equal=False)
        if len(x0) == len(x1) == 0:
            return PairedCoupling()(x0, x1)
        if condition0 is not None and condition1 is None:
            raise DataError("condition0 without condition1; give both, or condition1 alone.")
        with torch.no_grad():
            if condition1 is None:
                index0, index1 = self._solve(
                    cost_matrix(x0.flatten(1), x1.flatten(1), cost=self.cost), generator
                )
            else:
                condition0 = self._source_condition(x0, x1, condition0, condition1)
                if self.condition_cost is None:
                    index0, index1 = self._within(x0, x1, condition0, condition1, generator)
                else:
                    c = cost_matrix(x0.flatten(1), x1.flatten(1), cost=self.cost)
                    c = c + self._condition_matrix(self.condition_cost, condition0, condition1)
                    index0, index1 = self._solve(c, generator)
        return Pairs(x0[index0], x1[index1], index0, index1)

    @staticmethod
    def _source_condition(
        x0: Tensor, x1: Tensor, condition0: Tensor | None, condition1: Tensor
    ) -> Tensor:
        if condition0 is None:
            if len(x0) != len(x1):
                raise DataError(
                    f"{len(x0)} source and {len(x1)} data points with condition1 alone; give "
                    "condition0 too, or batches of equal size."
                )
            condition0 = condition1
        if len(condition0) != len(x0) or len(condition1) != len(x1):
            raise DataError(
                f"{len(condition0)} and {len(condition1)} conditions for {len(x0)} and {len(x1)} "
                "points; each point has one."
            )
        return condition0

    @staticmethod
    def _condition_matrix(
        cost: float | int | Callable[[Tensor, Tensor], Tensor],
        condition0: Tensor,
        condition1: Tensor,
    ) -> Tensor:
        if callable(cost):
            return cost(condition0, condition1)
        a, b = condition0.reshape(len(condition0), -1), condition1.reshape(len(condition1), -1)
        if a.is_floating_point():
            return cost * cost_matrix(a, b)
        return cost * (a[:, None] != b[None]).any(-1)

    def _within(
        self,
        x0: Tensor,
        x1: Tensor,
        condition0: Tensor,
        condition1: Tensor,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        n = len(x0)
        rows = torch.cat((condition0, condition1)).reshape(n + len(x1), -1)
        group = torch.unique(rows, dim=0, return_inverse=True)[1]
        index0 = torch.empty(len(x1), dtype=torch.long, device=x1.device)
        index1 = torch.arange(len(x1), device=x1.device)
        for k in group[n:].unique():
            here0, here1 = (group[:n] == k).nonzero()[:, 0], (group[n:] == k).nonzero()[:, 0]
            if len(here0) == 0:
                raise DataError(
                    f"condition {condition1[here1[0]].tolist()} has {len(here1)} data points and "
                    "no source point; draw both, or give a condition_cost instead."
                )
            i, j = self._solve(
                cost_matrix(x0[here0].flatten(1), x1[here1].flatten(1), cost=self.cost), generator
            )
            index0[here1], index1[here1] = here0[i], here1[j]
        return index0, index1

    def _solve(self, c: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Indices (index0, index1) of the pairs for one cost matrix."""
        n0, n1 = c.shape
        columns = torch.arange(n1, device=c.device)
        if n0 == n1 and self.method in ("exact", "swaps"):
            rows = optimal_assignment(c)
            return (rows if self.method == "exact" else self._swap(c, rows, generator)), columns
        if self.method == "swaps":
            raise DataError(f"{n0} and {n1} points; 'swaps' needs equal sizes, try 'sinkhorn'.")
        plan = self._plan(c)
        return torch.multinomial(plan.T, 1, generator=generator)[:, 0], columns

    def _plan(self, c: Tensor) -> Tensor:
        plan = solve(c, eps=self.eps).plan
        if not bool(torch.isfinite(plan).all()) or float(plan.sum()) <= 0:
            raise DataError(
                f"the transport plan is empty or not finite (eps = {self.eps}, costs from "
                f"{float(c.min()):.3g} to {float(c.max()):.3g}). Raise eps."
            )
        return plan.clamp_min(0)

    def _swap(self, c: Tensor, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """Heat-bath exchanges between random disjoint pairs of columns, from the optimum on."""
        n, eps = len(rows), self.eps
        if n < 2 or eps is None:
            return rows
        device = generator.device if generator is not None else "cpu"
        seed = int(torch.randint(2**62, (1,), generator=generator, device=device))
        rng = np.random.default_rng(seed)
        cost, p = c.cpu().numpy(), rows.cpu().numpy().copy()
        for _ in range(self.sweeps):
            order = rng.permutation(n)
            j, k = order[: n // 2], order[n // 2 : 2 * (n // 2)]
            gain = cost[p[j], j] + cost[p[k], k] - cost[p[k], j] - cost[p[j], k]
            take = rng.random(len(j)) < 0.5 * (1 + np.tanh(gain / (2 * eps)))
            j, k = j[take], k[take]
            p[j], p[k] = p[k], p[j]
        return torch.from_numpy(p).to(c.device)
