"""The exact assignment of one batch to another, started from nearly optimal dual variables."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["optimal_assignment"]

# (entropic strength as a share of the mean cost, sweeps). Measured on batches of 256: fewer or
# sharper sweeps leave the augmenting paths long, more of them cost more than they save.
_SWEEPS = ((0.05, 10), (0.01, 40))
# Below, the plain solver takes microseconds; above, sweeps this blunt no longer pay.
_WORTH_IT = range(32, 513)


def optimal_assignment(cost: Float[Tensor, "n m"]) -> Int[Tensor, " m"]:
    """The permutation p that minimises Σ_j C[p(j), j]: column j is served by row p(j).

    The minimiser of C and of C - f - g (row and column constants) is the same, so a few cheap
    entropic sweeps that bring f and g near the optimal dual variables change nothing but the time:
    the shortest augmenting paths of `scipy.optimize.linear_sum_assignment` become short (2 to 3
    times faster in clustered planes at 256 points, where they are long otherwise).

    Raises `DataError` if the matrix is not square or holds a non-finite value. O(n³) at worst,
    computed on the CPU in double precision; the result lives on the device of ``cost``.

    >>> cost = torch.tensor([[9.0, 1.0, 9.0], [9.0, 9.0, 1.0], [1.0, 9.0, 9.0]])
    >>> optimal_assignment(cost).tolist()
    [2, 0, 1]
    """
    if cost.shape[0] != cost.shape[1]:
        raise DataError(f"cost has shape {tuple(cost.shape)}; an assignment needs a square matrix.")
    c = cost.detach().cpu().numpy()
    if not np.isfinite(c).all():
        i, j = np.argwhere(~np.isfinite(c))[0]
        raise DataError(
            f"cost[{i}, {j}] = {c[i, j]}; every cost must be finite. Look for NaN or overflow in "
            f"row {i} of x0 or row {j} of x1."
        )
    reduced = _reduce(c) if len(c) in _WORTH_IT else c
    # Transposed, because SciPy returns the column of each row and we want the row of each column.
    rows = linear_sum_assignment(reduced.T)[1]
    return torch.from_numpy(rows).to(cost.device)


def _reduce(c: NDArray) -> NDArray[np.float64]:
    """C - f - g ≥ 0 with f, g close to the optimal dual variables."""
    work = c.astype(np.float32)
    scale = max(float(work.mean()) - float(work.min()), 1e-30)
    g = np.zeros(len(c), np.float32)
    for share, sweeps in _SWEEPS:
        eps = share * scale
        kernel = work - g
        kernel -= kernel.min(1, keepdims=True)
        kernel *= -1 / eps
        # exp(-30) is zero to single precision; smaller values would be subnormal and slow.
        kernel = np.exp(np.maximum(kernel, -30, out=kernel), out=kernel)
        v = np.ones(len(c), np.float32)
        for _ in range(sweeps):
            u = 1 / (kernel @ v + 1e-30)
            v = 1 / (u @ kernel + 1e-30)
        g += eps * np.log(v)
    # From here in double precision: the constants must not disturb the order of close costs.
    reduced = c.astype(np.float64) - g
    reduced -= reduced.min(1, keepdims=True)
    reduced -= reduced.min(0)
    return reduced
