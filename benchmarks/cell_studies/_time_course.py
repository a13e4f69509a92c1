"""Cells measured at several times: read from a file, or simulated on a bend."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.flow_paths import check_snapshots
from pushforward.surrogates.training import stream

__all__ = ["TimeCourse", "read_time_course"]


@dataclass(frozen=True)
class TimeCourse:
    """Populations at ascending times."""

    source: str
    times: tuple[float, ...]
    populations: tuple[Tensor, ...]

    def without(self, left: int) -> tuple[list[float], list[Tensor]]:
        """Times and populations but one."""
        kept = [k for k in range(len(self.times)) if k != left]
        return [self.times[k] for k in kept], [self.populations[k] for k in kept]


def read_time_course(path: Path | None, *, cells: int) -> TimeCourse:
    """A time course from an npz file, or simulated.

    Parameters
    ----------
    path : npz with arrays `x` (cells, coordinates) and `time_index` (cells,), which must take at
        least three values; they are used as times. None simulates five times on a half circle.
    cells : at most so many cells a time, drawn with a fixed seed.

    Raises
    ------
    DataError : no such file, arrays missing or not fitting, NaN, fewer than three times.
    """
    if path is None:
        return _simulated(cells)
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = {"x", "time_index"} - set(file.files)
            if missing:
                raise DataError(
                    f"{path.name} lacks {sorted(missing)}; it holds {sorted(file.files)}. Store "
                    "x (cells, coordinates) and time_index (cells,)."
                )
            x, index = file["x"], file["time_index"]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an npz file: {error}") from error
    if x.ndim != 2 or index.shape != (len(x),):
        raise DataError(
            f"{path.name}: x has shape {x.shape} and time_index {index.shape}; expected (cells, "
            "coordinates) and (cells,)."
        )
    times = np.unique(index)
    if len(times) < 3:
        raise DataError(f"{path.name} has {len(times)} times; leaving one out needs at least 3.")
    populations = []
    for time in times:
        rows = np.flatnonzero(index == time)
        if len(rows) > cells:
            order = torch.randperm(len(rows), generator=stream(0, "cells", int(time)))
            rows = np.sort(rows[order[:cells].numpy()])
        populations.append(torch.from_numpy(x[rows].astype(np.float32)))
    course = TimeCourse(path.name, tuple(float(t) for t in times), tuple(populations))
    check_snapshots(course.times, course.populations)
    return course


def _simulated(cells: int) -> TimeCourse:
    """A Gaussian cloud carried along a half circle of radius 2."""
    clouds = []
    for k in range(5):
        angle = torch.tensor(np.pi * k / 4)
        z = torch.randn(cells, 2, generator=stream(0, "simulated", k))
        clouds.append(2 * torch.stack([-angle.cos(), angle.sin()]) + 0.3 * z)
    return TimeCourse("a simulated half circle", tuple(map(float, range(5))), tuple(clouds))
