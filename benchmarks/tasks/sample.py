"""Numbers of a result's `sample`, rounded to what the page can show of them."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["picture", "significant"]


def significant(values: Iterable[float]) -> list[float]:
    """Numbers to four significant digits.

    Examples
    --------
    >>> significant([3.14159, 271828.0])
    [3.142, 271800.0]
    """
    return [float(f"{v:.4g}") for v in values]


def picture(field: Float[Tensor, "x y"], *, decimals: int = 1) -> list[list[float]] | None:
    """A field's rows to so many decimals; None where it is not finite.

    Examples
    --------
    >>> picture(torch.tensor([[1.26, 2.0]])), picture(torch.tensor([[torch.inf]]))
    ([[1.3, 2.0]], None)
    """
    if not torch.isfinite(field).all():
        return None
    return [[round(v, decimals) for v in line] for line in field.tolist()]
