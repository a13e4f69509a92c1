"""Channel velocity on disk: the netCDF layout that we write."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import provenance

__all__ = ["COMPONENTS", "channel_file", "write_channel"]

COMPONENTS = {"u": "streamwise", "v": "wall-normal", "w": "spanwise"}
PER_FRAME = {
    "pressure_gradient": "-dP/dx that drove the step before the frame, in U²/h",
    "friction_velocity": "from the plane-mean shear at both walls",
}


@contextmanager
def channel_file(
    path: str | os.PathLike[str],
    *,
    runs: int,
    time: Float[ndarray, " t"],
    axes: tuple[ndarray, ndarray, ndarray],
    attributes: dict[str, Any],
) -> Iterator[Any]:
    """A netCDF of u, v, w (run, time, x, y, z) to fill; it takes its name when it is whole.

    Parameters
    ----------
    path : must end in .nc.
    runs : independent flows.
    time : since the first frame, h/U.
    axes : x, y (from the lower wall) and z, in h.
    attributes : of the file.
    """
    import netCDF4

    path = Path(path)
    if path.suffix != ".nc":
        raise DataError(f"{path.name} must end in .nc: channel data are written as netCDF.")
    coordinates = {
        "run": (np.arange(runs), {"long_name": "independent flow"}),
        "time": (time, {"long_name": "time since the first frame, h/U", "axis": "T"}),
        "x": (axes[0], {"long_name": "streamwise, in half heights; periodic", "axis": "X"}),
        "y": (axes[1], {"long_name": "distance from the lower wall, in half heights", "axis": "Y"}),
        "z": (axes[2], {"long_name": "spanwise, in half heights; periodic", "axis": "Z"}),
    }
    with atomic_path(path) as name, netCDF4.Dataset(name, "w", format="NETCDF4") as file:
        for axis, (values, about) in coordinates.items():
            file.createDimension(axis, len(values))
            variable = file.createVariable(axis, values.dtype, (axis,))
            variable.setncatts({"units": "1", **about})
            variable[:] = values
        for component, along in COMPONENTS.items():
            variable = file.createVariable(component, "f4", tuple(coordinates), fill_value=False)
            variable.setncatts({"units": "1", "long_name": f"{along} velocity"})
        file.setncatts({"Conventions": "CF-1.11", **attributes})
        yield file


def add_per_frame(file: Any, name: str) -> Any:
    """A further number a run and frame."""
    variable = file.createVariable(name, "f8", ("run", "time"), fill_value=float("nan"))
    variable.setncatts({"units": "1", "long_name": PER_FRAME[name]})
    return variable


def write_channel(
    path: str | os.PathLike[str],
    velocity: Float[Tensor, "run time 3 x y z"],
    *,
    y: Float[Tensor, " y"],
    lengths: tuple[float, float],
    viscosity: float,
    friction_velocity: float,
    time_step: float,
    attributes: dict[str, Any] | None = None,
) -> None:
    """Write velocities, such as a surrogate's forecasts, as `open_channel` reads them.

    Parameters
    ----------
    path : netCDF file to write, .nc.
    velocity : u, v, w of each run and frame.
    y : distance of the planes from the lower wall, 0 to 2.
    lengths : of the box along x and z, in half heights.
    viscosity, friction_velocity : ν and u_τ, in units of h and the velocity's unit.
    time_step : between frames.
    attributes : further ones for the file.

    Raises
    ------
    DataError : velocities of another shape, or that are not finite: says in which run and frame.

    Examples
    --------
    >>> from pushforward.datasets import open_channel
    >>> from pushforward.simulators.channel import stretched_points
    >>> about = {"lengths": (6.0, 3.0), "viscosity": 1e-3, "friction_velocity": 0.05}
    >>> velocity = torch.zeros(1, 2, 3, 8, 9, 8)
    >>> write_channel("still.nc", velocity, y=stretched_points(9), time_step=1.0, **about)
    >>> open_channel("still.nc").shape
    (8, 9, 8)
    """
    if velocity.ndim != 6 or velocity.shape[2] != 3 or velocity.shape[4] != len(y):
        raise DataError(
            f"velocity has shape {tuple(velocity.shape)}; expected (run, time, 3, x, {len(y)}, z)."
        )
    bad = ~torch.isfinite(velocity).flatten(2).all(-1)
    if bad.any():
        run, frame = torch.nonzero(bad)[0].tolist()
        raise DataError(
            f"velocity of run {run} is not finite from frame {frame} on. Cut the run there."
        )
    runs, frames, _, nx, _, nz = velocity.shape
    about = {
        "nu": viscosity,
        "u_tau": friction_velocity,
        "Re_tau": friction_velocity / viscosity,
        "box": [lengths[0], 2.0, lengths[1]],
        **provenance(),
        **(attributes or {}),
    }
    axes = (periodic(nx, lengths[0]), y.double().cpu().numpy(), periodic(nz, lengths[1]))
    time = np.arange(frames) * float(time_step)
    with channel_file(path, runs=runs, time=time, axes=axes, attributes=about) as file:
        for i, name in enumerate(COMPONENTS):
            file[name][:] = velocity[:, :, i].float().cpu().numpy()


def periodic(n: int, length: float) -> Float[ndarray, " n"]:
    """Points of a periodic axis, without the end point."""
    return np.arange(n) * (length / n)
