"""A velocity in pieces: one network for each segment of time."""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.simulators.errors import DataError

__all__ = ["BlockwiseField"]


class BlockwiseField(nn.Module):
    """Networks v_1..v_M, v_m used on the m-th segment of [0, 1] and trained on its times only.

    Each may be smaller than one network for all times, and a call costs one small block. In
    training, times are mixed and rows are sent to their block. The velocity jumps at the joints,
    so `ODESampler` puts ``boundaries`` into its grid and takes the block of each step from
    `on_interval`; a step across a joint is a `DataError`.

    Arguments: ``blocks``, modules (x, t, **condition); ``boundaries``, the M - 1 inner joints,
    ascending, default equal segments.

    >>> class Constant(nn.Module):
    ...     def __init__(self, c): super().__init__(); self.c = c
    ...     def forward(self, x, t): return torch.full_like(x, self.c)
    >>> field = BlockwiseField([Constant(1.0), Constant(3.0)])
    >>> field(torch.zeros(2, 1), torch.tensor([0.2, 0.7])).flatten().tolist()
    [1.0, 3.0]
    """

    def __init__(
        self, blocks: Sequence[nn.Module], boundaries: Sequence[float | int] | None = None
    ) -> None:
        super().__init__()
        m = len(blocks)
        if boundaries is None:
            boundaries = [k / m for k in range(1, m)]
        edges = [0.0, *(float(b) for b in boundaries), 1.0]
        if m < 1 or len(edges) != m + 1 or any(a >= b for a, b in itertools.pairwise(edges)):
            raise DataError(
                f"{m} blocks with boundaries {list(boundaries)}; expected {max(m - 1, 0)} "
                "ascending times strictly between 0 and 1."
            )
        self.blocks = nn.ModuleList(blocks)
        self.boundaries = tuple(edges[1:-1])

    def forward(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """The velocity at x (batch, *shape) and t (batch,); a joint belongs to the later block."""
        which = torch.bucketize(
            t, torch.tensor(self.boundaries, dtype=t.dtype, device=t.device), right=True
        )
        out = torch.empty_like(x)
        for m, block in enumerate(self.blocks):
            rows = (which == m).nonzero()[:, 0]
            if len(rows):
                out[rows] = block(x[rows], t[rows], **_rows(condition, rows, len(x)))
        return out

    def on_interval(self, t: float, s: float) -> nn.Module:
        """The block that serves the whole step from t to s."""
        lo, hi = min(t, s), max(t, s)
        m = bisect.bisect_right(self.boundaries, lo)
        if m < len(self.boundaries) and hi > self.boundaries[m] + 1e-12:
            raise DataError(
                f"the step from {t:.6g} to {s:.6g} crosses the joint at {self.boundaries[m]:.6g}, "
                "where the velocity jumps. Make the joints points of time_grid, or give steps."
            )
        return self.blocks[m]


def _rows(condition: dict[str, Any], rows: Tensor, n: int) -> dict[str, Any]:
    """Conditions with one row a sample, cut to the rows of one block."""
    return {
        k: v[rows] if isinstance(v, Tensor) and v.ndim and len(v) == n else v
        for k, v in condition.items()
    }
