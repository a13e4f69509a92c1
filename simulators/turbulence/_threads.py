"""How many threads a sweep over a grid is worth."""

import torch

__all__ = ["worthwhile_threads"]

CELLS_WORTH_A_THREAD = 16384  # a smaller share is done sooner than a thread is woken


def worthwhile_threads(cells: int) -> int:
    """Threads for a sweep over that many cells: torch's number, fewer if there is little to do."""
    return max(1, min(torch.get_num_threads(), cells // CELLS_WORTH_A_THREAD))
