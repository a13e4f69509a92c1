"""Opening turbulence data sets of three layouts as one shape of Dataset, unread and checked."""

import logging
import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from pushforward.datasets.turbulence.hdf5 import (
    lazy_component,
    series_of,
    stored_attributes,
    stored_grids,
)
from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import PeriodicGrid, stable_time_step

__all__ = ["open_turbulence", "turbulence_layout"]

log = logging.getLogger(__name__)

CLOSE = 1e-4  # relative: float32 coordinates of published files are told apart no finer
PUBLISHED_CELLS = 64  # whose finite-volume step is the frame spacing of the HDF5 files
Lengths = float | tuple[float, float]


def open_turbulence(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    domain: Lengths | None = None,
    frame_spacing: float | None = None,
    thinned: bool = False,
) -> xr.Dataset:
    """Open a turbulence data set of any of the three layouts; velocities stay on disk.

    Layouts, told apart by what is in the file: our own netCDF ("cf"); the netCDF of Kochkov et
    al., PNAS 2021 ("pnas"; u, v over time, x, y, and sample if there are several); the HDF5 of
    Sun, Yang and Yoo, ICML 2023 ("tsm"; `full_prefix_RxR` and `prefix_RxR` of shape (2, T, R, R),
    a file a flow).

    Parameters
    ----------
    path : the file; for "tsm" also the name of a series without its numbers, e.g.
        `train.nc.hdf5` for `train.nc.hdf5-0000` and those after it.
    shape : cells (nx, ny) that the data must have; which grid to take where a file holds several.
    domain : side length, or lengths (Lx, Ly), that the data must have. The published "tsm" files
        do not say theirs: it is this, 2 pi if not given.
    frame_spacing : time units between frames that the data must have. The published "tsm" files
        do not say theirs: it is this, 0.00701 (thinned: 64/R times that) if not given.
    thinned : of a "tsm" file, take `prefix_RxR` instead of every frame.

    Returns
    -------
    Dataset of `u` (sample, time, x_face, y) and `v` (sample, time, x, y_face), with coordinates
    of cell centres x, y and faces x_face, y_face: u at offset (1, 1/2) of its cell, v at (1/2, 1).
    The published layouts store one x and one y for both; here each component gets its own.
    Attributes: the file's, `layout` and `domain` (Lx, Ly). Close it, or use it in `with`.

    Raises
    ------
    DataError : no such file, or another kind of file; missing or other variables; another grid,
        domain or frame spacing than asked for; coordinates without even spacing; a gap in time
        (with its place and size); a NaN in a flow's first or last frame, which a blown-up
        simulation always has, with flow and time.

    Examples
    --------
    >>> from pushforward.datasets.turbulence import TurbulenceSimulation, simulate_turbulence
    >>> simulation = TurbulenceSimulation(
    ...     cells=[16], factors=[2], flows=1, spin_up_cells=0, spin_up=0.0, settle=0.0, time=0.2
    ... )
    >>> _ = simulate_turbulence(simulation, "flows.nc")
    >>> with open_turbulence("flows.nc", shape=(8, 8)) as flows:
    ...     flows.u.dims, round(float(flows.x_face[0] / flows.x[0]), 6)
    (('sample', 'time', 'x_face', 'y'), 2.0)
    """
    path = Path(path)
    layout = turbulence_layout(path)
    if layout == "tsm":
        dataset = _open_tsm(path, shape, domain, frame_spacing, thinned)
    else:
        if thinned:
            raise DataError(f"{path} is netCDF; only the HDF5 layout holds thinned frames.")
        dataset = _open_netcdf(path, layout)
    try:
        _check_grid(dataset, path, shape, domain)
        _check_time(dataset, path, frame_spacing)
        _check_ends(dataset, path)
    except BaseException:
        dataset.close()
        raise
    return dataset


def turbulence_layout(path: str | os.PathLike[str]) -> Literal["cf", "pnas", "tsm"]:
    """Which of the three layouts a file has.

    Raises
    ------
    DataError : no such file, not readable, or without the variables of any layout.
    """
    path = Path(path)
    series = series_of(path)
    if not series:
        raise DataError(
            f"no such file: {path}, nor {path.name}-0000. Check the path, or make one with "
            "`pushforward simulate turbulence --out FILE.nc`."
        )
    try:
        if stored_grids(series[0]):
            return "tsm"
    except OSError:
        pass  # netCDF-3, or no data at all: the next reader says which
    try:
        with xr.open_dataset(series[0]) as dataset:
            dims = {str(name): variable.dims for name, variable in dataset.data_vars.items()}
    except (OSError, ValueError) as error:
        raise DataError(f"{series[0]} is neither netCDF nor HDF5: {error}.") from error
    shapes: dict[Literal["cf", "pnas"], dict[str, tuple[str, ...]]] = {
        "cf": {"u": ("time", "x_face", "y"), "v": ("time", "x", "y_face")},
        "pnas": {"u": ("time", "x", "y"), "v": ("time", "x", "y")},
    }
    for layout, wanted in shapes.items():
        if all(dims.get(name, ())[-3:] == last for name, last in wanted.items()):
            return layout
    found = ", ".join(f"{name}({', '.join(map(str, d))})" for name, d in dims.items()) or "nothing"
    raise DataError(
        f"{path} holds {found}; expected u(sample, time, x_face, y) and v(sample, time, x, "
        "y_face), or both on (sample, time, x, y), or HDF5 data sets full_prefix_RxR of shape (2, "
        "T, R, R). Rename or transpose its variables."
    )


def _open_netcdf(path: Path, layout: str) -> xr.Dataset:
    # Times are numbers without dimension; xarray would try to read a foreign unit as a calendar.
    dataset = opened = xr.open_dataset(path, decode_times=False, cache=False)
    if "sample" not in dataset.u.dims:
        dataset = dataset.expand_dims("sample")
    if missing := [c for c in ("time", "x", "y") if c not in dataset.coords]:
        opened.close()
        raise DataError(f"{path} has no coordinates {missing}; its grid cannot be known.")
    lengths = [_even(dataset[axis].values, f"{axis} of {path}") for axis in "xy"]
    domain = tuple(h * dataset.sizes[axis] for h, axis in zip(lengths, "xy", strict=True))
    if layout == "pnas":
        u, v = (dataset[name].variable for name in "uv")
        dataset = _assembled(dataset.attrs, u, v, dataset.time.values, domain)
    dataset.attrs.update(layout=layout, domain=list(domain))
    if dataset is not opened:
        dataset.set_close(opened.close)
    return dataset


def _open_tsm(
    path: Path,
    shape: tuple[int, int] | None,
    domain: Lengths | None,
    frame_spacing: float | None,
    thinned: bool,
) -> xr.Dataset:
    paths = series_of(path)
    grids = stored_grids(paths[0])
    if shape is None and len(grids) > 1:
        raise DataError(f"{path} holds the grids {grids}; choose one with shape=(nx, ny).")
    chosen = shape or grids[0]
    if chosen not in grids:
        raise DataError(f"{path} holds the grids {grids}, not {chosen}.")
    name = f"{'' if thinned else 'full_'}prefix_{chosen[0]}x{chosen[1]}"
    u, v = (lazy_component(paths, name, i) for i in (0, 1))
    about = stored_attributes(paths[0])
    if "frame_spacing" in about:  # one of ours
        spacing = about["frame_spacing"] * (grids[-1][0] // chosen[0] if thinned else 1)
        lengths = _pair(about["domain"])
    else:
        every = max(1, PUBLISHED_CELLS // chosen[0]) if thinned else 1
        h = 2 * math.pi / PUBLISHED_CELLS
        spacing = every * stable_time_step((h, h)) if frame_spacing is None else frame_spacing
        lengths = _pair(2 * math.pi if domain is None else domain)
        log.info(
            "%s does not say its domain and frame spacing; taken as %.6g x %.6g and %.8g.",
            path.name,
            *lengths,
            spacing,
        )
    dataset = _assembled(about, u, v, np.arange(u.shape[1]) * spacing, lengths)
    dataset.attrs.update(layout="tsm", domain=list(lengths))
    return dataset


def _assembled(
    attributes: dict[Any, Any],
    u: xr.Variable,
    v: xr.Variable,
    times: np.ndarray,
    domain: tuple[float, ...],
) -> xr.Dataset:
    """Both components on their own faces, from fields that shared one pair of axes."""
    coordinates: dict[str, Any] = {"sample": np.arange(u.shape[0]), "time": times}
    for axis, n, length in zip("xy", u.shape[-2:], domain, strict=True):
        coordinates[axis] = (np.arange(n) + 0.5) * (length / n)
        coordinates[f"{axis}_face"] = (np.arange(n) + 1.0) * (length / n)
    return xr.Dataset(
        {
            "u": xr.Variable(("sample", "time", "x_face", "y"), u._data, u.attrs),
            "v": xr.Variable(("sample", "time", "x", "y_face"), v._data, v.attrs),
        },
        coordinates,
        attributes,
    )


def _even(values: np.ndarray, what: str) -> float:
    """The spacing of evenly spaced numbers."""
    steps = np.diff(values.astype(np.float64))
    if len(steps) == 0 or not np.isfinite(steps).all() or steps[0] <= 0:
        raise DataError(f"{what} does not rise: {values[:4]}.")
    # Rounding of float32 coordinates grows with their size, not with their spacing.
    worst = int(np.abs(steps - np.median(steps)).argmax())
    tolerance = CLOSE * abs(np.median(steps)) + 4 * np.finfo(np.float32).eps * abs(values[-1])
    if abs(steps[worst] - np.median(steps)) > tolerance:
        raise DataError(
            f"{what} is not evenly spaced: {steps[worst]:.6g} from {values[worst]:.6g} to "
            f"{values[worst + 1]:.6g} (entries {worst} and {worst + 1}), elsewhere "
            f"{np.median(steps):.6g}."
        )
    return float(values[-1] - values[0]) / len(steps)


def _pair(lengths: Lengths | list[float]) -> tuple[float, float]:
    if isinstance(lengths, int | float):
        return float(lengths), float(lengths)
    return float(lengths[0]), float(lengths[1])


def _check_grid(
    dataset: xr.Dataset, path: Path, shape: tuple[int, int] | None, domain: Lengths | None
) -> None:
    found = (dataset.sizes["x"], dataset.sizes["y"])
    if dataset.u.shape[-2:] != found or dataset.v.shape[-2:] != found:
        raise DataError(
            f"{path}: u has {dataset.u.shape[-2:]} and v {dataset.v.shape[-2:]} values for "
            f"{found} cells; a periodic staggered grid has one of each a cell."
        )
    PeriodicGrid.of(found, tuple(dataset.attrs["domain"]))
    if shape is not None and tuple(shape) != found:
        raise DataError(
            f"{path} is on {found[0]} x {found[1]} cells, expected {shape[0]} x {shape[1]}. Open "
            "the file of that grid, or down-sample with TurbulenceWindows(factor=...)."
        )
    if domain is not None and not np.allclose(dataset.attrs["domain"], _pair(domain), rtol=CLOSE):
        sides = " x ".join(f"{s:.6g}" for s in dataset.attrs["domain"])
        wanted = " x ".join(f"{s:.6g}" for s in _pair(domain))
        raise DataError(f"{path} is on a domain of {sides}, expected {wanted}.")


def _check_time(dataset: xr.Dataset, path: Path, frame_spacing: float | None) -> None:
    times = dataset.time.values
    if len(times) < 2:
        raise DataError(f"{path} holds {len(times)} frame; a forecast needs at least two.")
    try:
        found = _even(times, f"time of {path}")
    except DataError as error:
        raise DataError(
            f"{error} Frames are missing there: open the parts on either side as files of their "
            "own, for instance with Dataset.isel(time=...).to_netcdf."
        ) from error
    if frame_spacing is not None and not math.isclose(found, frame_spacing, rel_tol=CLOSE):
        raise DataError(
            f"{path} has frames every {found:.8g} time units, expected {frame_spacing:.8g}. "
            "Simulate with that frame spacing, or use the file's."
        )


def _check_ends(dataset: xr.Dataset, path: Path) -> None:
    """A simulation that blew up is NaN to its end; one that was cut off ends in NaN or fill."""
    for frame in (0, -1):
        for name in ("u", "v"):
            values = dataset[name].isel(time=frame).values
            bad = ~np.isfinite(values).all((-2, -1))
            if bad.any():
                flows = [int(i) for i in np.flatnonzero(bad)]
                raise DataError(
                    f"{path}: {name} of flows {flows} is not finite at time "
                    f"{float(dataset.time[frame]):.6g}. Leave these flows out, or simulate them "
                    "again with a smaller time step."
                )
