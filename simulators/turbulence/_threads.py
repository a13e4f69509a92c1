"""How many threads a sweep over a grid is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["torch_threads", "worthwhile_threads"]

CELLS_WORTH_A_THREAD = 16384  # a smaller share is done sooner than a thread is woken


def worthwhile_threads(cells: int) -> int:
    """Threads for a sweep over that many cells: torch's number, fewer if there is little to do."""
    from pushforward.simulators.compiled import available_threads  # loads numba

    return max(1, min(available_threads(), cells // CELLS_WORTH_A_THREAD))


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch's own transforms use so many threads inside the block.

    They would take all threads for a grid of any size: at 64 cells a side two threads made a
    step four times slower than one.
    """
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
