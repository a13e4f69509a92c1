"""Forecasts of channel flow as CF netCDF: ours going out, anyone's coming in."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from pushforward.datasets.channel.data import ChannelData
from pushforward.datasets.channel.storage import COMPONENTS
from pushforward.datasets.forecasts import frames_of_forecasts, open_forecasts, write_netcdf
from pushforward.simulators.errors import DataError

__all__ = [
    "FORECAST_LAYOUT",
    "ChannelForecasts",
    "open_channel_forecasts",
    "write_channel_forecasts",
]

FORECAST_LAYOUT = (
    "u, v, w(start, lead, x, y, z) on the grid of the data, with lead(lead): time since the start, "
    "and along the starts run(start), start_time(start): which run of the data is continued, and "
    "from which of its times"
)
WRITTEN_BY = "`pushforward predict channel --model OUT/models/NAME-SEED --data FILE --out FILE`"


@dataclass(frozen=True)
class ChannelForecasts:
    """Forecasts, and where in the data they start.

    Parameters
    ----------
    velocity : values that are not finite are left as they are.
    run, start : of the data, where each forecast starts: number of the run in its file, and frame.
    path : of the file.
    """

    velocity: Float[Tensor, "start lead 3 x y z"]
    run: Int[ndarray, " start"]
    start: Int[ndarray, " start"]
    path: str

    def place(self, run: int, start: int) -> int | None:
        """Which forecast is of this run from this frame."""
        found = np.flatnonzero((self.run == run) & (self.start == start))
        return int(found[0]) if len(found) else None


def open_channel_forecasts(path: str | os.PathLike[str], data: ChannelData) -> ChannelForecasts:
    """Read forecasts of channel flow. Leads may pass the end of the data.

    Parameters
    ----------
    path : netCDF of u, v, w (start, lead, x, y, z), lead(lead), start_time(start), run(start); the
        leads one frame of the data apart.
    data : from `open_channel`.

    Raises
    ------
    DataError : another layout or grid; a run, a start or a lead that the data do not have.

    Examples
    --------
    >>> from pushforward.datasets import open_channel
    >>> from pushforward.datasets.channel import write_channel
    >>> from pushforward.simulators.channel import stretched_points
    >>> about = {"lengths": (6.0, 3.0), "viscosity": 1e-3, "friction_velocity": 0.05}
    >>> velocity = torch.zeros(1, 4, 3, 8, 9, 8)
    >>> write_channel("still.nc", velocity, y=stretched_points(9), time_step=1.0, **about)
    >>> data = open_channel("still.nc")
    >>> _ = write_channel_forecasts("held.nc", velocity[:, :2], data, run=[0], start=[1])
    >>> found = open_channel_forecasts("held.nc", data)
    >>> tuple(found.velocity.shape), found.place(0, 1), found.place(0, 2)
    ((1, 2, 3, 8, 9, 8), 0, None)
    """
    layout = {name: ("x", "y", "z") for name in COMPONENTS}
    with open_forecasts(
        path, layout, coordinates=["run"], example=WRITTEN_BY, decode_times=False
    ) as file:
        shape = tuple(file.sizes[axis] for axis in "xyz")
        if shape != data.shape:
            raise DataError(
                f"{path} has {' x '.join(map(str, shape))} points in x, y, z, the data "
                f"{' x '.join(map(str, data.shape))}. Bring the forecasts onto the grid of the "
                "data."
            )
        run = file["run"].values.astype(int)
        if unknown := sorted(set(run.tolist()) - set(data.runs)):
            raise DataError(
                f"{path} forecasts runs {unknown}; the data hold the runs {list(data.runs)}."
            )
        times = data.time.numpy()
        start_time, lead = file["start_time"].values, file["lead"].values
        frames = frames_of_forecasts(start_time, lead, times, path=path, beyond=True)
        if frames.every != 1:
            raise DataError(
                f"{path}: leads are {frames.every} frames of the data apart; forecasts of channel "
                f"flow are judged at every frame, {data.time_step:.6g} apart."
            )
        parts = [file[name].values for name in COMPONENTS]
    return ChannelForecasts(torch.from_numpy(np.stack(parts, 2)), run, frames.start, str(path))


def write_channel_forecasts(
    path: str | os.PathLike[str],
    velocity: Float[Tensor, "start lead 3 x y z"],
    data: ChannelData,
    *,
    run: Int[ndarray, " start"] | list[int],
    start: Int[ndarray, " start"] | list[int],
    attributes: dict[str, Any] | None = None,
) -> Path:
    """Write forecasts as `open_channel_forecasts` reads them; see there for an example.

    Float64 is kept: divergence and slip of a model that allows none would show the rounding of
    float32.

    Parameters
    ----------
    path : netCDF file to write, .nc.
    velocity : frames 1, 2, … after each start.
    data : that was continued.
    run, start : number of the run in the data's file, and frame, that each forecast starts from.
    attributes : of the file.
    """
    along = {"units": "1"}
    time = data.time.numpy()
    lead = data.time_step * np.arange(1, velocity.shape[1] + 1)
    coordinates = {
        "run": ("start", np.asarray(run, np.int64), {"long_name": "run that is continued"}),
        "start_time": (
            "start",
            time[np.asarray(start)],
            {"long_name": "time of the start, h/U", **along},
        ),
        "lead": ("lead", lead, {"long_name": "time since the start, h/U", **along}),
        "x": ("x", data.x.numpy(), {"long_name": "streamwise, in half heights", **along}),
        "y": (
            "y",
            data.y.numpy(),
            {"long_name": "distance from the lower wall, in half heights", **along},
        ),
        "z": ("z", data.z.numpy(), {"long_name": "spanwise, in half heights", **along}),
    }
    values = velocity.cpu().numpy()
    fields = {
        name: (
            ("start", "lead", "x", "y", "z"),
            values[:, :, i],
            {"long_name": f"{which} velocity", **along},
        )
        for i, (name, which) in enumerate(COMPONENTS.items())
    }
    about = {
        "Conventions": "CF-1.11",
        "title": "Forecasts of channel flow",
        "nu": data.viscosity,
        "u_tau": data.friction_velocity,
        "box": list(data.lengths),
        **(attributes or {}),
    }
    return write_netcdf(path, xr.Dataset(fields, coordinates, about))
