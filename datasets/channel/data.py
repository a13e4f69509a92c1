"""Velocity of channel flows, run by run and frame by frame, read when it is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["ChannelData"]

Reader = Callable[[int, slice], ndarray]


@dataclass(frozen=True)
class ChannelData:
    """Some runs of filtered channel flow on one grid.

    Parameters
    ----------
    path : where they are.
    read : (run of the file, slice of frames) -> (frames, 3, x, y, z).
    x, y, z : coordinates in half heights; y from the lower wall, 0 to 2.
    lengths : (Lx, 2, Lz).
    viscosity, friction_velocity : ν and u_τ.
    time : of the frames, since the first.
    runs : the file's runs that belong to this part, in order.
    attributes : of the file.
    """

    path: Path
    read: Reader = field(repr=False)
    x: Float[Tensor, " x"] = field(repr=False)
    y: Float[Tensor, " y"] = field(repr=False)
    z: Float[Tensor, " z"] = field(repr=False)
    lengths: tuple[float, float, float]
    viscosity: float
    friction_velocity: float
    time: Float[Tensor, " t"] = field(repr=False)
    runs: tuple[int, ...]
    attributes: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points in x, y, z."""
        return len(self.x), len(self.y), len(self.z)

    @property
    def frames(self) -> int:
        """Frames of each run."""
        return len(self.time)

    @property
    def time_step(self) -> float:
        """Time between frames, h/U."""
        return float(self.time[1] - self.time[0])

    @property
    def friction_reynolds(self) -> float:
        """Re_τ = u_τ h/ν."""
        return self.friction_velocity / self.viscosity

    @property
    def friction_time(self) -> float:
        """h/u_τ in the unit of `time`."""
        return 1 / self.friction_velocity

    def velocity(
        self, run: int, first: int = 0, last: int | None = None
    ) -> Float[Tensor, "time 3 x y z"]:
        """u, v, w of one run of this part, frames `first` up to, not including, `last`; float32.

        Raises
        ------
        DataError : no such run or frames, or values that are not finite (with the frame).
        """
        last = self.frames if last is None else last
        if not 0 <= run < len(self.runs):
            raise DataError(f"run {run} of {len(self.runs)} runs.")
        if not 0 <= first < last <= self.frames:
            raise DataError(f"frames {first} to {last} of {self.frames}.")
        values = np.asarray(self.read(self.runs[run], slice(first, last)), np.float32)
        bad = ~np.isfinite(values).reshape(len(values), -1).all(-1)
        if bad.any():
            raise DataError(
                f"{self.path}: run {self.runs[run]} is not finite at frame "
                f"{first + int(bad.argmax())}. Leave the run out with `part`, or use earlier "
                "frames."
            )
        return torch.from_numpy(np.ascontiguousarray(values))

    def load(self) -> Float[Tensor, "run time 3 x y z"]:
        """All of it in memory."""
        return torch.stack([self.velocity(i) for i in range(len(self))])

    def part(self, runs: Sequence[int]) -> "ChannelData":
        """Only these runs, counted within this part."""
        if not runs or not all(0 <= r < len(self) for r in runs) or len(set(runs)) < len(runs):
            raise DataError(
                f"runs {list(runs)}; expected different numbers from 0 to {len(self) - 1}."
            )
        return replace(self, runs=tuple(self.runs[r] for r in runs))

    def split(
        self, *, test: int = 1, validation: int = 0
    ) -> tuple["ChannelData", "ChannelData | None", "ChannelData"]:
        """(training, validation, test) by whole runs: frames of one run are not independent.

        Parameters
        ----------
        test : runs kept for judging, the last ones, as in the published set.
        validation : runs before those; None is returned for 0.

        Raises
        ------
        DataError : no run would be left for training.
        """
        if test < 1 or validation < 0:
            raise DataError(f"test = {test}, validation = {validation}; at least 1 and 0.")
        left = len(self) - test - validation
        if left < 1:
            raise DataError(
                f"{self.path} has {len(self)} runs: too few for {test} to test, {validation} to "
                "validate and at least 1 to train. Simulate more with --runs."
            )
        numbers = list(range(len(self)))
        middle = numbers[left : left + validation]
        return (
            self.part(numbers[:left]),
            self.part(middle) if middle else None,
            self.part(numbers[left + validation :]),
        )
