"""The layout of forecast files that the domains of fields share: starts, leads, their checks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy import ndarray

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = ["Frames", "frames_of_forecasts", "new_file", "open_forecasts", "write_netcdf"]

CLOSE = 0.01  # of the spacing of frames: how far a time may lie from the frame it means


@dataclass(frozen=True)
class Frames:
    """Where forecasts lie among the frames of the data.

    Parameters
    ----------
    start : frame that each forecast starts from.
    every : frames between two leads.
    steps : number of leads.
    """

    start: Int[ndarray, " start"]
    every: int
    steps: int

    def of(self, forecast: int) -> slice:
        """The frames that a forecast is of."""
        first = int(self.start[forecast]) + self.every
        return slice(first, first + self.every * (self.steps - 1) + 1, self.every)


@contextmanager
def open_forecasts(
    path: str | os.PathLike[str],
    variables: Mapping[str, Sequence[str]],
    *,
    coordinates: Sequence[str] = (),
    example: str,
    **options: Any,
) -> Iterator[xr.Dataset]:
    """Open a file of forecasts: variables over (start, lead, …), `lead` and `start_time`.

    Parameters
    ----------
    path : netCDF.
    variables : name -> dimensions after (start, lead).
    coordinates : further coordinates along `start`, such as the flow that is continued.
    example : the command that writes such a file, for the messages.
    options : of `xarray.open_dataset`.

    Raises
    ------
    DataError : no such file; variables, dimensions or coordinates that differ; no forecast in it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file of forecasts: {path}. {example} writes one.")
    try:
        dataset = xr.open_dataset(path, cache=False, **options)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as netCDF: {error}.") from error
    with dataset:
        wanted = {name: ("start", "lead", *rest) for name, rest in variables.items()}
        found = {str(name): tuple(map(str, v.dims)) for name, v in dataset.variables.items()}
        wanted |= {"lead": ("lead",), **{c: ("start",) for c in ("start_time", *coordinates)}}
        if wrong := [name for name, dims in wanted.items() if found.get(name) != dims]:
            raise DataError(
                f"{path}: "
                + "; ".join(
                    f"{n}({', '.join(found[n])})" if n in found else f"no {n}" for n in wrong
                )
                + "; expected "
                + ", ".join(f"{n}({', '.join(wanted[n])})" for n in wrong)
                + f". {example} writes such a file: look at it with `pushforward inspect`."
            )
        for name in (*variables, "lead", *coordinates):
            if dataset[name].dtype.kind not in "iuf":
                raise DataError(f"{path}: {name} is {dataset[name].dtype}; expected numbers.")
        if not dataset.sizes["start"] or not dataset.sizes["lead"]:
            raise DataError(f"{path} holds no forecast: dimensions {dict(dataset.sizes)}.")
        yield dataset


def frames_of_forecasts(
    start_time: Float[ndarray, " start"],
    lead: Float[ndarray, " lead"],
    times: Float[ndarray, " time"],
    *,
    path: object,
    beyond: bool = False,
) -> Frames:
    """Find the frames of the data that forecasts start from and are of.

    Parameters
    ----------
    start_time, lead : of the forecasts, in the unit of `times`.
    times : evenly spaced times of the data.
    path : of the forecasts, for the messages.
    beyond : allow leads beyond the end of the data, as statistics need no truth.

    Raises
    ------
    DataError : a start that is no time of the data; leads that are not evenly spaced, the first one
        a spacing after the start, in whole frames; leads beyond the data's end.

    Examples
    --------
    >>> found = frames_of_forecasts(
    ...     np.array([0.0, 0.5]), np.array([0.2, 0.4]), np.linspace(0.0, 1.0, 11), path="f.nc"
    ... )
    >>> found.start, found.every, found.of(1)
    (array([0, 5]), 2, slice(7, 10, 2))
    """
    spacing = float(times[-1] - times[0]) / (len(times) - 1)
    frames = (np.asarray(start_time, np.float64) - times[0]) / spacing
    start = np.rint(frames)
    bad = ~(np.abs(frames - start) <= CLOSE) | (start < 0) | (start >= len(times))
    if bad.any():
        raise DataError(
            f"{path}: start_time {start_time[bad.argmax()]:.8g} is no time of the data, which hold "
            f"{times[0]:.8g} to {times[-1]:.8g} every {spacing:.8g}."
        )
    steps = np.asarray(lead, np.float64) / spacing
    every = max(1, round(float(steps[0]))) if np.isfinite(steps[0]) else 1
    expected = every * np.arange(1, len(steps) + 1)
    wrong = ~(np.abs(steps - expected) <= CLOSE)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"{path}: lead {at} is {lead[at]:.8g}, expected {expected[at] * spacing:.8g}: leads "
            f"must be 1, 2, 3, … times one whole number of the data's frames, {spacing:.8g} apart."
        )
    last = int(start.max()) + int(expected[-1])
    if last >= len(times) and not beyond:
        fit = (len(times) - 1 - int(start.max())) // every
        raise DataError(
            f"{path}: the forecast from {start_time[start.argmax()]:.8g} goes to "
            f"{start_time[start.argmax()] + lead[-1]:.8g}, but the data end at {times[-1]:.8g}. "
            f"Keep the first {fit} leads, or start earlier."
        )
    return Frames(start.astype(int), every, len(lead))


def new_file(path: str | os.PathLike[str]) -> Path:
    """A path that may be written.

    Raises
    ------
    DataError : it exists already.
    """
    if Path(path).exists():
        raise DataError(f"{path} exists. Choose another --out, or remove it first.")
    return Path(path)


def write_netcdf(path: str | os.PathLike[str], dataset: xr.Dataset) -> Path:
    """Write a data set as netCDF-4 without fill values; it takes its name when it is whole."""
    encoding = {name: {"_FillValue": None} for name in dataset.variables}
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    return Path(path)
