"""What a sampler returns, and what it says when it fails."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pushforward.simulators.errors import DivergedError

__all__ = ["SamplingError", "Solution", "check_finite"]

Status = Literal["ok", "non_finite", "step_underflow", "max_steps"]


class SamplingError(DivergedError):
    """A sampler could not reach the end; ``status`` names the reason, as in `Solution`."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status


@dataclass(frozen=True)
class Solution:
    """The end point of a sampler and how it was reached.

    ``x`` (batch, *shape); ``ts`` (n + 1,) the times visited; ``trajectory`` (n + 1, batch, *shape)
    at those times if it was asked for, else None; ``nfe``, the exact number of calls of the field,
    rejected adaptive steps included; ``status`` "ok", "non_finite", "step_underflow" or
    "max_steps", with a ``message`` that says where and what to do. After a failure ``x`` is the
    last finite state and ``ts`` ends at its time.
    """

    x: Tensor
    ts: Tensor
    trajectory: Tensor | None
    nfe: int
    status: Status = "ok"
    message: str = ""

    @property
    def converged(self) -> bool:
        """Whether the end of the time grid was reached with finite values."""
        return self.status == "ok"


def check_finite(x: Tensor, *, step: int, t: float, method: str) -> None:
    """Raise `SamplingError` if any value of x is not finite, naming the first bad sample.

    >>> check_finite(torch.ones(2, 2), step=0, t=0.0, method="euler")
    """
    # The sum is finite unless a value is not (or overflows, which deserves the closer look).
    if bool(torch.isfinite(x.sum())):
        return
    bad = ~torch.isfinite(x.reshape(len(x), -1)).all(1)
    if bool(bad.any()):
        i = int(bad.nonzero()[0, 0])
        raise SamplingError(
            "non_finite",
            f"non-finite values at t = {t:.6g} (step {step}, method {method!r}): "
            f"{int(bad.sum())} of {len(x)} samples, the first at index {i}. Check that the "
            "training loss was finite and the field is defined at this t; more steps, or float64, "
            "help against overflow.",
        )
