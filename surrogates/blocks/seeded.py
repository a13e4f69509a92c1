"""Initial weights that are a function of a seed, with PyTorch's own layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let layers made inside draw their weights from `seed`; the global state comes out untouched.

    Examples
    --------
    >>> import torch
    >>> with seeded(3):
    ...     a = torch.nn.Linear(2, 2)
    >>> with seeded(3):
    ...     b = torch.nn.Linear(2, 2)
    >>> bool(torch.equal(a.weight, b.weight))
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
