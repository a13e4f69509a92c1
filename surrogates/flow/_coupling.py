"""Couplings: which source point goes with which data point. The plain ones live here."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["Coupling", "IndependentCoupling", "PairedCoupling", "Pairs"]


class Pairs:
    """Pairs (x0, x1) with the rows they came from and, for weighted couplings, their weights.

    ``x0 = source[index0]``, ``x1 = data[index1]``, so any number of labels follow:
    ``labels[index1]``. ``weight`` has shape (pairs,) and mean 1, or is None (all 1). An index left
    out is the identity, made only when it is asked for: plain couplings then cost nothing.

    >>> Pairs(torch.zeros(3, 1), torch.ones(3, 1)).index0.tolist()
    [0, 1, 2]
    """

    __slots__ = ("_index0", "_index1", "weight", "x0", "x1")

    def __init__(
        self,
        x0: Tensor,
        x1: Tensor,
        index0: Tensor | None = None,
        index1: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> None:
        self.x0, self.x1, self.weight = x0, x1, weight
        self._index0, self._index1 = index0, index1

    @property
    def index0(self) -> Tensor:
        """The row of the source that each x0 is, (pairs,)."""
        return _identity(self.x0) if self._index0 is None else self._index0

    @property
    def index1(self) -> Tensor:
        """The row of the data that each x1 is, (pairs,)."""
        return _identity(self.x1) if self._index1 is None else self._index1


def _identity(x: Tensor) -> Tensor:
    return torch.arange(len(x), device=x.device)


@runtime_checkable
class Coupling(Protocol):
    """Anything that pairs a source batch with a data batch."""

    def __call__(
        self,
        x0: Tensor,
        x1: Tensor,
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Pairs of rows of ``x0`` and ``x1``; see the couplings for what each does."""
        ...


def check_batches(x0: Tensor, x1: Tensor, *, name: str, equal: bool = True) -> None:
    """Raise `DataError` unless the two batches hold points of one space (and one size)."""
    if x0.ndim and x0.shape == x1.shape:
        return
    if x0.ndim < 1 or x0.shape[1:] != x1.shape[1:]:
        raise DataError(
            f"{name}: x0 has shape {tuple(x0.shape)}, x1 {tuple(x1.shape)}; all axes but the first "
            "must agree."
        )
    if equal and x0.shape[0] != x1.shape[0]:
        raise DataError(
            f"{name}: x0 holds {x0.shape[0]} points, x1 {x1.shape[0]}; this coupling joins them "
            "one to one. Draw batches of equal size, or use MinibatchOTCoupling, which takes "
            "unequal ones."
        )


class PairedCoupling:
    """The pairs as they stand: row i of x0 with row i of x1 (reflow, supervised transport).

    Raises `DataError` if the batches have unequal sizes. Conditions are not looked at.

    >>> x = torch.arange(3.0)[:, None]
    >>> PairedCoupling()(x, x + 1).index0.tolist()
    [0, 1, 2]
    """

    uses_conditions = False

    def __call__(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Join row i with row i."""
        check_batches(x0, x1, name=type(self).__name__)
        return Pairs(x0, x1)


class IndependentCoupling(PairedCoupling):
    """Source and data drawn independently, π = p0 × p1.

    Batches that were drawn independently are used as they stand, which costs nothing. A data set
    that comes *paired* is not independent row by row: ``shuffle=True`` then permutes x0.

    >>> x = torch.arange(4.0)[:, None]
    >>> pairs = IndependentCoupling(shuffle=True)(x, x, generator=torch.Generator().manual_seed(0))
    >>> sorted(pairs.index0.tolist()), pairs.index1.tolist()
    ([0, 1, 2, 3], [0, 1, 2, 3])
    """

    def __init__(self, *, shuffle: bool = False) -> None:
        self.shuffle = shuffle

    def __call__(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Join row i with row i, after a permutation of x0 if ``shuffle``."""
        if not self.shuffle:
            return super().__call__(x0, x1)
        check_batches(x0, x1, name=type(self).__name__)
        order = torch.randperm(x0.shape[0], generator=generator, device=x0.device)
        return Pairs(x0[order], x1, order)
