"""Opening channel data: our netCDF, and the published arrays, unread and checked."""

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from pushforward.datasets.channel.data import ChannelData
from pushforward.datasets.channel.storage import COMPONENTS, periodic
from pushforward.simulators.channel import stretched_points
from pushforward.simulators.errors import DataError

__all__ = ["open_channel"]

log = logging.getLogger(__name__)

AXES = ("run", "time", "x", "y", "z")
SLIP = 1e-3  # of the greatest velocity, tolerated at a wall


@dataclass(frozen=True)
class _Published:
    lengths: tuple[float, float]
    viscosity: float
    friction_reynolds: float
    time_step: float = 1.0


# By the points of their grid. Friction Reynolds numbers are those of the published profiles.
PUBLISHED = {
    (32, 33, 16): _Published((4 * math.pi, 4 * math.pi / 3), 1 / 4200, 174.59),
    (64, 49, 32): _Published((2 * math.pi, math.pi), 1 / 10500, 384.46),
    (64, 65, 32): _Published((2 * math.pi, math.pi), 1 / 16800, 568.05),
}


def open_channel(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, int, int] | None = None,
    lengths: tuple[float, float] | None = None,
    y: Tensor | None = None,
    viscosity: float | None = None,
    friction_velocity: float | None = None,
    time_step: float | None = None,
) -> ChannelData:
    """Open channel velocities of either layout; the fields stay on disk until they are asked for.

    Layouts: our netCDF, u, v, w over (run, time, x, y, z); and the published NumPy arrays, one
    axis each for (run, time, x, y, z, variable) with variables (u, v, w) or (u, v, w, p). An array
    file says nothing of its grid. For the three published ones, known by their points, the box,
    the stretched y, the viscosity and Re_τ are filled in, and the time between frames as 1 h/U;
    the log says so. What is given here comes first.

    Parameters
    ----------
    path : .nc or .npy.
    shape : points (x, y, z) that the data must have.
    lengths : (Lx, Lz) of the box, in half heights; for arrays.
    y : planes, distance from the lower wall, 0 to 2; for arrays. Default: the published stretching.
    viscosity, friction_velocity : ν and u_τ; for arrays.
    time_step : between frames; for arrays.

    Raises
    ------
    DataError : no such file, or another kind; another grid than asked for; axes or variables that
        don't fit; an unknown array without its grid; slip at the walls, which shows that the axes
        are others; values that are not finite at the end of a run.

    Examples
    --------
    >>> array = np.zeros((2, 3, 32, 33, 16, 4), np.float32)
    >>> np.save("Retau180.npy", array)
    >>> data = open_channel("Retau180.npy")
    >>> len(data), data.frames, data.velocity(0, 1, 2).shape, round(data.friction_reynolds, 2)
    (2, 3, torch.Size([1, 3, 32, 33, 16]), 174.59)
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"no such file: {path}. Make one with `pushforward simulate channel --out FILE.nc`."
        )
    given = {
        "lengths": lengths,
        "y": y,
        "viscosity": viscosity,
        "friction_velocity": friction_velocity,
        "time_step": time_step,
    }
    if path.suffix == ".npy":
        data = _open_array(path, given)
    elif path.suffix in (".nc", ".nc4"):
        known = [name for name, value in given.items() if value is not None]
        if known:
            raise DataError(f"{path} says its own {', '.join(known)}; leave them out.")
        data = _open_netcdf(path)
    else:
        raise DataError(f"{path} is neither .nc nor .npy, the two layouts of channel data.")
    if shape is not None and data.shape != tuple(shape):
        raise DataError(
            f"{path} has {' x '.join(map(str, data.shape))} points in x, y, z; expected "
            f"{' x '.join(map(str, shape))}. Open the file of that grid, or simulate it with "
            "--kept."
        )
    _check_ends(data)
    return data


def _open_netcdf(path: Path) -> ChannelData:
    import xarray as xr

    try:
        dataset = xr.open_dataset(path, decode_times=False, cache=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as netCDF: {error}.") from error
    found = {str(k): tuple(map(str, v.dims)) for k, v in dataset.data_vars.items()}
    if wrong := [c for c in COMPONENTS if found.get(c) != AXES]:
        dataset.close()
        raise DataError(
            f"{path}: {', '.join(f'{c} is {found.get(c, chr(45))}' for c in wrong)}; expected "
            f"u, v, w over {AXES}, as `pushforward simulate channel` writes them."
        )
    attributes = dict(dataset.attrs)
    if missing := [a for a in ("nu", "u_tau", "box") if a not in attributes]:
        dataset.close()
        raise DataError(f"{path} has no attributes {missing}; wall units cannot be known.")

    def read(run: int, frames: slice) -> ndarray:
        return np.stack([dataset[c][run, frames].values for c in COMPONENTS], axis=1)

    box = [float(v) for v in attributes["box"]]
    x, y, z, time = (
        torch.from_numpy(dataset[a].values.astype(np.float64)) for a in ("x", "y", "z", "time")
    )
    return ChannelData(
        path=path,
        read=read,
        x=x,
        y=y,
        z=z,
        lengths=(box[0], box[1], box[2]),
        viscosity=float(attributes["nu"]),
        friction_velocity=float(attributes["u_tau"]),
        time=time,
        runs=tuple(range(dataset.sizes["run"])),
        attributes=attributes,
    )


def _open_array(path: Path, given: dict[str, Any]) -> ChannelData:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a plain NumPy array: {error}.") from error
    if array.ndim != 6 or array.shape[-1] not in (3, 4) or array.dtype.kind != "f":
        raise DataError(
            f"{path} is {array.dtype} of shape {array.shape}; expected numbers over (run, time, "
            "x, y, z, variable) with variables u, v, w or u, v, w, p."
        )
    runs, frames, nx, ny, nz, _ = array.shape
    known = PUBLISHED.get((nx, ny, nz))
    if known is not None:
        defaults = {
            "lengths": known.lengths,
            "viscosity": known.viscosity,
            "friction_velocity": known.friction_reynolds * known.viscosity,
            "time_step": known.time_step,
        }
        filled = [k for k in defaults if given[k] is None]
        given |= {k: defaults[k] for k in filled}
        if filled:
            said = ", ".join(f"{k} {given[k]}" for k in filled)
            log.info("%s does not say its grid; by its points, taken as %s.", path.name, said)
    if missing := [k for k, v in given.items() if v is None and k != "y"]:
        raise DataError(
            f"{path} has {nx} x {ny} x {nz} points, which is none of the published grids "
            f"({', '.join('x'.join(map(str, s)) for s in PUBLISHED)}). Give "
            f"{', '.join(missing)}."
        )
    y = stretched_points(ny) if given["y"] is None else given["y"].double()
    if y.shape != (ny,) or float(y[0]) != 0 or abs(float(y[-1]) - 2) > 1e-6:
        raise DataError(
            f"y has {len(y)} planes from {float(y[0]):.6g} to {float(y[-1]):.6g}; {path} needs "
            f"{ny} from 0 to 2."
        )

    def read(run: int, frames: slice) -> ndarray:
        return np.moveaxis(array[run, frames, ..., :3], -1, 1)

    lengths = given["lengths"]
    return ChannelData(
        path=path,
        read=read,
        x=torch.from_numpy(periodic(nx, lengths[0])),
        y=y,
        z=torch.from_numpy(periodic(nz, lengths[1])),
        lengths=(float(lengths[0]), 2.0, float(lengths[1])),
        viscosity=float(given["viscosity"]),
        friction_velocity=float(given["friction_velocity"]),
        time=torch.arange(frames, dtype=torch.float64) * float(given["time_step"]),
        runs=tuple(range(runs)),
        attributes={"layout": "published array"},
    )


def _check_ends(data: ChannelData) -> None:
    """First frames obey the walls; last frames are finite, which a blown-up run's never are."""
    if data.frames < 2:
        raise DataError(f"{data.path} holds {data.frames} frame; a forecast needs at least two.")
    for run in range(len(data)):
        data.velocity(run, data.frames - 1)
        first = data.velocity(run, 0, 1)
        slip = float(first[..., [0, -1], :].abs().max())
        if slip > SLIP * float(first.abs().max()):
            raise DataError(
                f"{data.path}: run {data.runs[run]} has a velocity of {slip:.3g} at a wall, where "
                f"it must be 0. Is y the second of the three axes x, y, z?"
            )
