"""A stretch of training with one length of roll-out."""

from dataclasses import dataclass

from pushforward.simulators.errors import DataError

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one length of roll-out.

    Parameters
    ----------
    steps
        gradient steps
    unroll
        time steps that the loss and its gradient run through
    """

    steps: int
    unroll: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.unroll < 1:
            raise DataError(f"steps = {self.steps} and unroll = {self.unroll} must be at least 1.")
