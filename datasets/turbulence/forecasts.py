"""Velocities of turbulence as CF netCDF: frames of flows, and forecasts of any model."""

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

from pushforward.datasets.forecasts import frames_of_forecasts, open_forecasts, write_netcdf
from pushforward.datasets.turbulence.windows import velocity_tensor
from pushforward.simulators.errors import DataError

__all__ = [
    "FORECAST_LAYOUT",
    "TurbulenceForecasts",
    "open_turbulence_forecasts",
    "write_flows",
    "write_turbulence_forecasts",
]

FORECAST_LAYOUT = (
    "u(start, lead, x_face, y) and v(start, lead, x, y_face) on the grid of the data, with "
    "lead(lead): time since the start, and along the starts sample(start), start_time(start): "
    "which flow of the data is continued, and from which of its times"
)
PLACES = {"u": ("x_face", "y"), "v": ("x", "y_face")}
WRITTEN_BY = "`pushforward predict turbulence --model OUT/models/NAME-SEED --data FILE --out FILE`"


@dataclass(frozen=True)
class TurbulenceForecasts:
    """Forecasts beside what came.

    Parameters
    ----------
    predicted : values that are not finite are left as they are.
    truth : the same frames of the data.
    given : the frame that each forecast starts from.
    sample, start : flow and frame of the data that each starts from, sorted by start, then flow.
    every : frames of the data between two leads.
    """

    predicted: Float[Tensor, "start lead 2 x y"]
    truth: Float[Tensor, "start lead 2 x y"]
    given: Float[Tensor, "start 2 x y"]
    sample: Int[ndarray, " start"]
    start: Int[ndarray, " start"]
    every: int


def open_turbulence_forecasts(
    path: str | os.PathLike[str], data: xr.Dataset
) -> TurbulenceForecasts:
    """Read forecasts of flows, and the frames of the data that they are of.

    Parameters
    ----------
    path : netCDF of u(start, lead, x_face, y), v(start, lead, x, y_face), lead(lead),
        start_time(start), sample(start).
    data : from `open_turbulence`.

    Raises
    ------
    DataError : another layout or grid; a flow, a start or a lead that the data do not have.

    Examples
    --------
    >>> from pushforward.datasets.turbulence import TurbulenceSimulation, open_turbulence
    >>> from pushforward.datasets.turbulence import simulate_turbulence
    >>> simulation = TurbulenceSimulation(
    ...     cells=[16], factors=[2], flows=2, spin_up_cells=0, spin_up=0.0, settle=0.0, time=0.3
    ... )
    >>> (path,) = simulate_turbulence(simulation, "flows.nc")
    >>> data = open_turbulence(path)
    >>> held = velocity_tensor(data)[:, :1].expand(-1, 2, -1, -1, -1)
    >>> spacing = float(data.time[1])
    >>> _ = write_turbulence_forecasts(
    ...     "held.nc", held, sample=[0, 1], start_time=[0.0, 0.0],
    ...     lead=[spacing, 2 * spacing], domain=tuple(data.attrs["domain"]),
    ... )
    >>> found = open_turbulence_forecasts("held.nc", data)
    >>> tuple(found.truth.shape), torch.equal(found.given, held[:, 0])
    ((2, 2, 2, 8, 8), True)
    """
    with open_forecasts(
        path, PLACES, coordinates=["sample"], example=WRITTEN_BY, decode_times=False
    ) as file:
        for axis in ("x", "y", "x_face", "y_face"):
            if file.sizes[axis] != data.sizes[axis]:
                raise DataError(
                    f"{path} has {file.sizes[axis]} points along {axis}, the data "
                    f"{data.sizes[axis]}. Bring the forecasts onto the grid of the data."
                )
        flows = file["sample"].values.astype(int)
        known = data["sample"].values.astype(int)
        if unknown := sorted(set(flows.tolist()) - set(known.tolist())):
            raise DataError(
                f"{path} forecasts flows {unknown}; the data hold the flows {known.tolist()}."
            )
        times = data["time"].values.astype(np.float64)
        start_time, lead = file["start_time"].values, file["lead"].values
        frames = frames_of_forecasts(start_time, lead, times, path=path)
        order = np.lexsort((flows, frames.start)).tolist()
        pairs = [(int(frames.start[i]), int(flows[i])) for i in order]
        if len(set(pairs)) < len(pairs):
            start, flow = max(pairs, key=pairs.count)
            raise DataError(f"{path} forecasts flow {flow} from time {times[start]:.6g} twice.")
        parts = [file[name].values[order] for name in PLACES]
        predicted = torch.from_numpy(np.stack(parts, 2)).float()
    place = {int(flow): i for i, flow in enumerate(known)}
    given, truth = [], []
    for i in order:
        one = data.isel(sample=[place[int(flows[i])]])
        given.append(velocity_tensor(one.isel(time=[int(frames.start[i])]))[0, 0])
        truth.append(velocity_tensor(one.isel(time=frames.of(i)))[0])
    return TurbulenceForecasts(
        predicted,
        torch.stack(truth),
        torch.stack(given),
        flows[order],
        frames.start[order],
        frames.every,
    )


def write_turbulence_forecasts(
    path: str | os.PathLike[str],
    velocity: Float[Tensor, "start lead 2 x y"],
    *,
    sample: Int[ndarray, " start"] | list[int],
    start_time: Float[ndarray, " start"] | list[float],
    lead: Float[ndarray, " lead"] | list[float],
    domain: tuple[float, float],
    attributes: dict[str, Any] | None = None,
) -> Path:
    """Write forecasts as `open_turbulence_forecasts` reads them; see there for an example.

    Parameters
    ----------
    path : netCDF file to write, .nc.
    velocity : u on right faces, v on upper ones.
    sample, start_time : flow and time that each forecast starts from.
    lead : time since the start.
    domain : lengths (Lx, Ly).
    attributes : of the file.
    """
    coordinates = {
        "sample": ("start", np.asarray(sample, np.int64), {"long_name": "flow that is continued"}),
        "start_time": (
            "start",
            np.asarray(start_time, np.float64),
            {"long_name": "time of the start", "units": "1"},
        ),
        "lead": (
            "lead",
            np.asarray(lead, np.float64),
            {"long_name": "time since the start", "units": "1"},
        ),
    }
    about = {"title": "Forecasts of two-dimensional turbulence", **(attributes or {})}
    return write_netcdf(path, _dataset(velocity, ("start", "lead"), coordinates, domain, about))


def write_flows(
    path: str | os.PathLike[str],
    velocity: Float[Tensor, "sample time 2 x y"],
    *,
    time: Float[ndarray, " time"],
    domain: tuple[float, float],
    attributes: dict[str, Any] | None = None,
) -> Path:
    """Write frames of flows as `open_turbulence` reads them (its layout "cf").

    Parameters
    ----------
    path : netCDF file to write, .nc.
    velocity : u on right faces, v on upper ones.
    time : of the frames.
    domain : lengths (Lx, Ly).
    attributes : of the file; physics under the names that `simulate turbulence` gives them.

    Examples
    --------
    >>> from pushforward.datasets import open_turbulence
    >>> frames = torch.zeros(1, 2, 2, 8, 8)
    >>> _ = write_flows("still.nc", frames, time=np.array([-0.5, 0.0]), domain=(1.0, 1.0))
    >>> open_turbulence("still.nc").time.values
    array([-0.5,  0. ])
    """
    coordinates = {
        "sample": ("sample", np.arange(len(velocity)), {"long_name": "flow", "units": "1"}),
        "time": ("time", time, {"long_name": "time", "units": "1", "axis": "T"}),
    }
    about = {
        "title": "Two-dimensional turbulence on a periodic rectangle, down-sampled",
        **(attributes or {}),
    }
    return write_netcdf(path, _dataset(velocity, ("sample", "time"), coordinates, domain, about))


def _dataset(
    velocity: Tensor,
    leading: tuple[str, str],
    coordinates: dict[str, Any],
    domain: tuple[float, float],
    attributes: dict[str, Any],
) -> xr.Dataset:
    for axis, n, length in zip("xy", velocity.shape[-2:], domain, strict=True):
        for name, offset, place in ((axis, 0.5, "cell centres"), (f"{axis}_face", 1.0, "faces")):
            about = {"long_name": f"{axis} of {place}", "units": "1", "axis": axis.upper()}
            coordinates[name] = (name, (np.arange(n) + offset) * (length / n), about)
    values = velocity.cpu().numpy()
    fields = {
        name: (
            (*leading, *PLACES[name]),
            values[:, :, i],
            {
                "long_name": f"velocity along {'xy'[i]}, mean over a face normal to {'xy'[i]}",
                "units": "1",
            },
        )
        for i, name in enumerate(PLACES)
    }
    attributes = {"Conventions": "CF-1.11", "domain": list(domain), **attributes}
    return xr.Dataset(fields, coordinates, attributes)
