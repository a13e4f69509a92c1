"""What all objectives share: calling a network, residuals to a loss, conditions that follow."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Coupling, Pairs

__all__ = ["Field", "call_field", "follow_conditions", "per_sample_loss", "weighted_mean"]

#: field(x, t, **condition) -> tensor of the shape of x; t has shape (batch,).
Field = Callable[..., Tensor]


def call_field(field: Field, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
    """field(x, t, **condition); `DataError` if the result has another shape than x."""
    out = field(x, t, **condition)
    if not isinstance(out, Tensor) or out.shape != x.shape:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise DataError(
            f"the field returned {shape} for x of shape {tuple(x.shape)} and t of shape "
            f"{tuple(t.shape)}; it must return the shape of x."
        )
    return out


def follow_conditions(
    coupling: Coupling,
    x0: Tensor,
    x1: Tensor,
    condition: dict[str, Any],
    *,
    condition_key: str | None,
    generator: torch.Generator | None,
) -> tuple[Pairs, dict[str, Any]]:
    """Pairs of the batch, and the conditions of x1 in the order of the pairs.

    A condition tensor whose first axis is the batch belongs to x1 and follows ``index1``; all else
    is passed on. A coupling that does not declare ``uses_conditions = False`` is shown the one
    named ``condition_key``, or the only one there is.
    """
    if not condition:
        return coupling(x0, x1, generator=generator), condition
    n = len(x1)
    labels = {
        k: v for k, v in condition.items() if isinstance(v, Tensor) and v.ndim and len(v) == n
    }
    respected = None
    if labels and getattr(coupling, "uses_conditions", True):
        if condition_key is None and len(labels) > 1:
            raise DataError(
                f"several conditions {sorted(labels)}; say which one the coupling must respect, "
                f"e.g. condition_key={next(iter(labels))!r}."
            )
        key = next(iter(labels)) if condition_key is None else condition_key
        if key not in labels:
            raise DataError(
                f"condition_key = {key!r}, but the conditions with {n} rows are {sorted(labels)}."
            )
        respected = labels[key]
    pairs = coupling(x0, x1, condition1=respected, generator=generator)
    if not labels:
        return pairs, condition
    return pairs, {**condition, **{k: v[pairs.index1] for k, v in labels.items()}}


def per_sample_loss(residual: Tensor, kind: str, huber_c: float | int | None = None) -> Tensor:
    """(batch,) losses of residuals (batch, *shape): mean square, or pseudo-Huber √(r² + c²) - c.

    The pseudo-Huber norm r is over all axes of a sample, divided by √(their number), and ``c`` is
    0.1 by default: small against data of unit variance, so that outliers count linearly.
    """
    square = residual.flatten(1).square().mean(1)
    if kind == "mse":
        return square
    c = 0.1 if huber_c is None else huber_c
    return torch.sqrt(square + c * c) - c


def weighted_mean(loss: Tensor, *weights: Tensor | None) -> Tensor:
    """Mean over the batch of the product of all given weights and the loss."""
    for w in weights:
        if w is not None:
            loss = loss * w
    return loss.mean()
