"""Who goes with whom: partners for the points of a mini-batch."""

import torch
from jaxtyping import Float, Int, Num, Shaped
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._costs import Cost
from ._solve import solve_sample

__all__ = ["couple", "sample_plan"]


def sample_plan(
    P: Float[Tensor, "*batch n m"], *, generator: torch.Generator | None = None
) -> Int[Tensor, "*batch n"]:
    """Draw one partner for every source from a plan: j(i) with probability Pᵢⱼ / Σⱼ Pᵢⱼ.

    Every source appears exactly once, so that none is lost; drawing pairs (i, j) from the whole
    plan loses a share of about 1/e of the sources in each batch. The targets keep the column
    marginal in expectation, and exactly where the plan is a permutation.

    Parameters
    ----------
    P : plan, (*batch, n, m); every row needs mass.
    generator : source of randomness, on the device of P; default: torch's default generator.

    Returns
    -------
    Column index of the partner of each row, (*batch, n).

    Examples
    --------
    >>> import torch
    >>> sample_plan(torch.tensor([[0.0, 0.5], [0.5, 0.0]])).tolist()
    [1, 0]
    """
    rows = P.detach().sum(-1)
    if not ((rows > 0) & torch.isfinite(rows)).all() or (P < 0).any():
        bad = int((~((rows > 0) & torch.isfinite(rows))).sum())
        raise DataError(
            f"P has {bad} rows without mass, or entries that are negative or NaN; expected a plan "
            "with mass in every row. Drop sources of weight 0, and look at the solve's `converged`."
        )
    flat = P.detach().reshape(-1, P.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(P.shape[:-1])


def couple(
    x: Num[Tensor, "n d"],
    y: Num[Tensor, "m d_y"],
    *,
    cost: Cost = "sqeuclidean",
    eps: float | int | None = None,
    labels_x: Shaped[Tensor, "n_x"] | None = None,
    labels_y: Shaped[Tensor, "m_y"] | None = None,
    tol: float = 1e-3,
    max_iter: int = 1000,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "n"]:
    """Partners of the points x among the points y by optimal transport, inside equal labels.

    The pairs are (x[i], y[j[i]]): apply the result to the *second* argument. For eps=None and as
    many targets as sources it is the optimal permutation; otherwise one partner per source is drawn
    from the exact or entropic plan. With labels the problem splits into blocks of equal label, so
    that a condition is never coupled with another; within the batch alone a coupling across
    conditions biases a conditional model.

    Parameters
    ----------
    x, y : points, (n, d) and (m, d).
    cost, eps : as in `solve_sample`; eps in the unit of the cost.
    labels_x, labels_y : condition of each point, (n,) and (m,); give both or neither.
    tol, max_iter : accuracy of the entropic plan; a partner is one random draw from it.
    generator : source of randomness for the draws, on the device of x.

    Returns
    -------
    Index of the partner of each x, (n,).

    Raises
    ------
    DataError : a label of x that y lacks, labels of the wrong length, and as `solve_sample`.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> couple(x, x[[2, 0, 1]]).tolist()
    [1, 2, 0]
    """
    if labels_x is None and labels_y is None:
        return _couple(x, y, cost, eps, tol, max_iter, generator)
    if labels_x is None or labels_y is None:
        raise DataError("labels were given for one side only; expected both. Pass the other one.")
    for name, labels, points in (("labels_x", labels_x, x), ("labels_y", labels_y, y)):
        if labels.shape != points.shape[:1]:
            raise DataError(
                f"{name} has shape {tuple(labels.shape)}; expected ({points.shape[0]},), one label "
                "for each point."
            )
    index = torch.empty(len(x), dtype=torch.long, device=x.device)
    for label in labels_x.unique():
        here, there = (labels_x == label).nonzero()[:, 0], (labels_y == label).nonzero()[:, 0]
        if len(there) == 0:
            raise DataError(
                f"label {label.item()} has {len(here)} points in x and none in y; expected points "
                "of every label of x. Draw batches stratified by condition."
            )
        inside = _couple(x[here], y[there], cost, eps, tol, max_iter, generator)
        index[here] = there[inside]
    return index


def _couple(
    x: Tensor,
    y: Tensor,
    cost: Cost,
    eps: float | int | None,
    tol: float,
    max_iter: int,
    generator: torch.Generator | None,
) -> Tensor:
    with torch.no_grad():
        result = solve_sample(x, y, cost=cost, eps=eps, tol=tol, max_iter=max_iter)
        if eps is None and len(x) == len(y):
            return result.plan.argmax(-1)
        return sample_plan(result.plan, generator=generator)
