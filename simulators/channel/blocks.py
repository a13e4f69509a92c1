"""Sums over equal blocks of time: means of a running flow with standard errors, nothing stored."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["BlockSums", "mean_and_error"]


class BlockSums:
    """Named tensors summed block by block.

    Consecutive samples of a flow depend on one another, so that their scatter says little about
    the error of their mean; blocks longer than the flow's memory (about 1 h/u_τ) are independent.

    Parameters
    ----------
    block_time : length of a block, in the time units of the flow.

    Raises
    ------
    DataError : a block length that is not positive.
    """

    def __init__(self, block_time: float | int) -> None:
        if not block_time > 0:
            raise DataError(f"block_time = {block_time} must be positive.")
        self.block_time = float(block_time)
        self._start: float | None = None
        self._blocks: dict[int, tuple[int, dict[str, Tensor]]] = {}

    def add(self, time: float, **values: Tensor) -> None:
        """Add one sample of each name."""
        if self._start is None:
            self._start = time
        block = int((time - self._start) / self.block_time + 1e-9)
        if block not in self._blocks:
            self._blocks[block] = (1, {k: v.clone() for k, v in values.items()})
            return
        count, sums = self._blocks[block]
        for name, value in values.items():
            sums[name].add_(value)
        self._blocks[block] = (count + 1, sums)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def samples(self) -> int:
        """Samples in the blocks that count."""
        return sum(count for count, _ in self._counted())

    def means(self) -> list[dict[str, Tensor]]:
        """The mean of each block; a last one shorter than half the first is left out.

        Raises
        ------
        DataError : no samples.
        """
        return [{k: v / count for k, v in sums.items()} for count, sums in self._counted()]

    def _counted(self) -> list[tuple[int, dict[str, Tensor]]]:
        blocks = list(self._blocks.values())
        if not blocks:
            raise DataError("no samples yet; call update(state) first.")
        if len(blocks) > 1 and blocks[-1][0] < blocks[0][0] / 2:
            blocks = blocks[:-1]
        return blocks


def mean_and_error(
    blocks: list[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean over blocks and its standard error, NaN for a single block.

    >>> mean, error = mean_and_error([np.array([1.0]), np.array([3.0])])
    >>> float(mean[0]), float(error[0])
    (2.0, 1.0)
    """
    values = np.stack(blocks)
    mean, n = values.mean(0), len(blocks)
    return mean, values.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
