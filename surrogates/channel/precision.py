"""The precision of a network's hidden layers."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch

from pushforward.simulators.errors import DataError

__all__ = ["Precision", "hidden_precision"]

Precision = Literal["float32", "bfloat16"]


def hidden_precision(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Matrix products inside in this precision; norms, sums and weights stay in float32.

    Raises
    ------
    DataError : another name.
    """
    if precision not in get_args(Precision):
        raise DataError(f"precision = {precision!r} must be float32 or bfloat16.")
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
