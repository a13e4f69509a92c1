"""Named random streams: every draw is a function of the seed and of what it is for."""

import hashlib

import torch

__all__ = ["stream"]


def stream(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for one purpose, independent of every other purpose and of what ran before.

    The generator is seeded with SHA-256 of the seed and the names. A training step that draws its
    batch from `stream(seed, "batch", step)` draws the same one after a resume as without.

    Parameters
    ----------
    seed : the run's seed.
    names : what the numbers are for, such as `"batch", step`.

    Examples
    --------
    >>> a, b = stream(0, "batch", 7), stream(0, "batch", 7)
    >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
    True
    """
    digest = hashlib.sha256(repr((int(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
