"""Checks that both solvers share, of what users pass in and of what comes out."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.turbulence.grid import Number

__all__ = [
    "COURANT_LIMIT",
    "as_field",
    "check_coefficients",
    "check_courant",
    "diverged",
    "known_option",
]

COURANT_LIMIT = 1.0


def known_option(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is not among the known ones."""
    if value not in known:
        raise DataError(f"{name} = {value!r} is unknown; choose one of {', '.join(known)}.")


def check_coefficients(viscosity: Number, drag: Number) -> None:
    """Refuse negative or non-finite viscosity and drag: they would feed energy in."""
    for name, value in (("viscosity", viscosity), ("drag", drag)):
        if not 0 <= value < math.inf:
            raise DataError(f"{name} = {value} must be finite and at least 0.")


def as_field(
    values: object, name: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """A real tensor (*batch, nx, ny) of the solver's dtype and device, without NaN."""
    field = torch.as_tensor(values).to(device, dtype)
    if field.shape[-2:] != shape:
        raise DataError(
            f"{name} has shape {tuple(field.shape)}; the solver's grid expects (..., {shape[0]}, "
            f"{shape[1]}) in the order (x, y)."
        )
    if field.numel() == 0:
        raise DataError(f"{name} has shape {tuple(field.shape)}: a batch without any flow.")
    bad = ~torch.isfinite(field)
    if bool(bad.any()):
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise DataError(
            f"{name} has {int(bad.sum())} non-finite values, the first at {first}. "
            "Start from a finite field."
        )
    return field


def check_courant(courant: Tensor, step: int, dt: float) -> None:
    """Raise if a Courant number max(|u|/hx, |v|/hy) dt is above 1 or not a number.

    Parameters
    ----------
    courant : one number for each flow, any batch shape.
    step : steps taken in this call of `advance`.
    dt : time step.
    """
    if not bool((courant <= COURANT_LIMIT).all()):  # false for NaN
        raise diverged(courant, step, dt)


def diverged(courant: Tensor, step: int, dt: float) -> DivergedError:
    """The error that says where, when and in which flow the worst Courant number is."""
    worst = courant.nan_to_num(math.inf).argmax()
    index = tuple(int(i) for i in torch.unravel_index(worst, courant.shape))
    value = float(courant[index])
    where = f" in flow {index} of the batch" if index else ""
    what = (
        f"the Courant number is {value:.3g}, above {COURANT_LIMIT:g}"
        if math.isfinite(value)
        else "the velocity is no longer finite"
    )
    return DivergedError(
        f"diverged at step {step} (time {step * dt:.6g}){where}: {what}. "
        "Lower dt, refine the grid or raise the viscosity."
    )
