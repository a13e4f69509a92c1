"""A turbulence data set in a few words and numbers."""

import os
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from pushforward.datasets.turbulence.hdf5 import series_of, stored_grids
from pushforward.datasets.turbulence.reader import open_turbulence, turbulence_layout
from pushforward.datasets.turbulence.windows import velocity_tensor
from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import divergence

__all__ = ["describe_turbulence"]

LAYOUTS = {
    "cf": "netCDF with coordinates of faces",
    "pnas": "netCDF of Kochkov et al. 2021",
    "tsm": "HDF5 of Sun et al. 2023",
}
SHOWN = (
    "viscosity",
    "drag",
    "forcing",
    "forcing_amplitude",
    "forcing_wavenumber",
    "simulated_cells",
    "dt",
    "solver",
    "seed",
    "config_hash",
    "source",
    "history",
)


def describe_turbulence(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of any of the three layouts holds; a fault that opening finds is `PROBLEM`.

    Raises
    ------
    DataError : the file has none of the layouts.

    Examples
    --------
    >>> from pushforward.datasets.turbulence import TurbulenceSimulation, simulate_turbulence
    >>> simulation = TurbulenceSimulation(
    ...     cells=[16], factors=[2], flows=3, spin_up_cells=0, spin_up=0.0, settle=0.0, time=0.2
    ... )
    >>> (path,) = simulate_turbulence(simulation, "flows.nc")
    >>> found = describe_turbulence(path)
    >>> found["flows"], found["cells"], found["viscosity"]
    (3, '8 x 8', 0.001)
    """
    path = Path(path)
    layout = turbulence_layout(path)
    content: dict[str, Any] = {"kind": "turbulence", "layout": f"{layout}: {LAYOUTS[layout]}"}
    grids = stored_grids(series_of(path)[0]) if layout == "tsm" else [None]
    for grid in grids:
        place = content.setdefault(f"grid {grid[0]} x {grid[1]}", {}) if grid else content
        try:
            with open_turbulence(path, shape=grid) as dataset:
                place |= _figures(dataset)
                about = {k: _plain(dataset.attrs[k]) for k in SHOWN if k in dataset.attrs}
        except DataError as error:
            place["PROBLEM"], about = str(error), {}
    return content | about


def _figures(dataset: xr.Dataset) -> dict[str, Any]:
    sizes, times = dataset.sizes, dataset.time.values
    lengths = dataset.attrs["domain"]
    spacing = (lengths[0] / sizes["x"], lengths[1] / sizes["y"])
    ends = velocity_tensor(dataset.isel(time=[0, -1]), dtype=torch.float64)
    speed = ends.square().sum(2).sqrt().amax((0, 2, 3))
    outflow = divergence(ends, spacing).abs().max() * min(spacing) / ends.abs().max()
    energy = ends.square().sum(2).mean((0, 2, 3)) / 2
    return {
        "flows": sizes["sample"],
        "cells": f"{sizes['x']} x {sizes['y']}",
        "domain": " x ".join(f"{s:.6g}" for s in lengths),
        "frames": sizes["time"],
        "time": f"{times[0]:.6g} to {times[-1]:.6g}, every {times[1] - times[0]:.8g}",
        "values": str(dataset.u.dtype),
        "greatest speed, first and last frame": [float(f"{v:.4g}") for v in speed],
        "mean kinetic energy, first and last frame": [float(f"{v:.4g}") for v in energy],
        "greatest divergence times h over greatest velocity": float(f"{outflow:.2g}"),
    }


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
