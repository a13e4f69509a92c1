"""Make a plan feasible."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["round_plan"]


def round_plan(
    P: Float[Tensor, "*batch n m"], a: Num[Tensor, "*batch n"], b: Num[Tensor, "*batch m"]
) -> Float[Tensor, "*batch n m"]:
    """A plan with exactly the marginals a and b near P.

    Rows above a are scaled down, then columns above b; the missing mass is added as a rank-one plan
    of the two deficits. The L1 distance moved is at most twice the violation of the marginals.

    Parameters
    ----------
    P : approximate plan with entries >= 0, (*batch, n, m).
    a, b : marginals of equal mass, (*batch, n) and (*batch, m).

    Returns
    -------
    Feasible plan, (*batch, n, m).

    References
    ----------
    Altschuler, Weed and Rigollet, Near-linear time approximation algorithms for optimal transport
    via Sinkhorn iteration, 2017, algorithm 2.

    Examples
    --------
    >>> import torch
    >>> half = torch.tensor([0.5, 0.5])
    >>> round_plan(torch.tensor([[0.6, 0.0], [0.0, 0.2]]), half, half).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    if not (P >= 0).all():
        raise DataError("P holds negative or NaN entries; expected a plan. Pass its positive part.")
    rows = P.sum(-1)
    P = P * (a / torch.where(rows > 0, rows, 1.0)).clamp_max(1.0).unsqueeze(-1)
    columns = P.sum(-2)
    P = P * (b / torch.where(columns > 0, columns, 1.0)).clamp_max(1.0).unsqueeze(-2)
    need_a, need_b = (a - P.sum(-1)).clamp_min(0), (b - P.sum(-2)).clamp_min(0)
    total = need_a.sum(-1, keepdim=True)
    share = need_b / torch.where(total > 0, total, 1.0)
    return P + need_a.unsqueeze(-1) * share.unsqueeze(-2)
