"""Writers of turbulence data sets: CF netCDF, and the two published layouts."""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

from pushforward.datasets.turbulence.simulation import TurbulenceSimulation
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import provenance
from pushforward.simulators.turbulence import PeriodicGrid, stable_time_step

__all__ = ["LAYOUTS", "Layout", "Writer"]

Layout = Literal["cf", "pnas", "tsm"]
CITATION = (
    "Kochkov et al., Machine learning-accelerated computational fluid dynamics, PNAS 118, 2021 "
    "(equation, staggered finite volumes)"
)


class Writer(Protocol):
    """Takes frames of a batch of flows, on every grid of a simulation."""

    paths: list[Path]

    def write(self, samples: range, frame: int, coarse: Sequence[Tensor]) -> None:
        """Keep one frame: velocities (flows, 2, nx, ny) in the order of `simulation.factors`."""
        ...


class _NetCDFWriter:
    """A netCDF-4 file a grid, of u and v in float32; what is around them is the header's."""

    def __init__(
        self,
        simulation: TurbulenceSimulation,
        path: Path,
        stack: ExitStack,
        *,
        header: Callable[[Any, TurbulenceSimulation, int], tuple[Any, Any]],
    ):
        import netCDF4

        if path.suffix not in (".nc", ".nc4"):
            raise DataError(f"{path.name} must end in .nc for this layout.")
        self.paths = [path]
        if len(simulation.factors) > 1:
            self.paths = [path.with_stem(f"{path.stem}_{nx}x{ny}") for nx, ny in simulation.grids]
        # Every file is closed before the first takes its name, so that they come all or none.
        names = [stack.enter_context(atomic_path(p)) for p in self.paths]
        self.variables = []
        for name, factor in zip(names, simulation.factors, strict=True):
            file = stack.enter_context(netCDF4.Dataset(name, "w", format="NETCDF4"))
            self.variables.append(header(file, simulation, factor))

    def write(self, samples: range, frame: int, coarse: Sequence[Tensor]) -> None:
        """Keep one frame."""
        for pair, velocity in zip(self.variables, coarse, strict=True):
            for i, variable in enumerate(pair):
                variable[samples.start : samples.stop, frame] = velocity[:, i].numpy()


class _TSMWriter:
    """An HDF5 file a flow; (2, T, nx, ny) in float64 for each grid, all frames and thinned."""

    def __init__(self, simulation: TurbulenceSimulation, path: Path, stack: ExitStack):
        import h5py

        self.paths = [path.with_name(f"{path.name}-{i:04d}") for i in range(simulation.flows)]
        names = [stack.enter_context(atomic_path(p)) for p in self.paths]
        self.every = [s // min(simulation.factors) for s in simulation.factors]
        self.files = []
        for sample, name in enumerate(names):
            file = stack.enter_context(h5py.File(name, "w"))
            file.attrs.update(_attributes(simulation))
            file.attrs["seed"] = simulation.seed + sample
            pairs = []
            for (nx, ny), every in zip(simulation.grids, self.every, strict=True):
                thinned = -(-simulation.frames // every)
                pairs.append(
                    (
                        file.create_dataset(
                            f"full_prefix_{nx}x{ny}", (2, simulation.frames, nx, ny), "f8"
                        ),
                        file.create_dataset(f"prefix_{nx}x{ny}", (2, thinned, nx, ny), "f8"),
                    )
                )
            self.files.append(pairs)

    def write(self, samples: range, frame: int, coarse: Sequence[Tensor]) -> None:
        """Keep one frame."""
        for i, sample in enumerate(samples):
            grids = zip(self.files[sample], self.every, coarse, strict=True)
            for (full, thinned), every, velocity in grids:
                full[:, frame] = velocity[i].numpy()
                if frame % every == 0:
                    thinned[:, frame // every] = velocity[i].numpy()


def _cf_header(file: Any, simulation: TurbulenceSimulation, factor: int) -> tuple[Any, Any]:
    """Dimensions, coordinates of cells and faces, provenance."""
    grid = _coarse_grid(simulation, factor)
    coordinates = {
        "sample": (np.arange(simulation.flows), {"long_name": "flow"}),
        "time": (
            np.arange(simulation.frames) * simulation.spacing,
            {"long_name": "time since the first frame", "axis": "T"},
        ),
    }
    for axis, n, h in zip("xy", grid.shape, grid.spacing, strict=True):
        for name, offset, place in ((axis, 0.5, "cell centres"), (f"{axis}_face", 1.0, "faces")):
            about: dict[str, Any] = {"long_name": f"{axis} of {place}", "axis": axis.upper()}
            if offset == 1.0:
                about["c_grid_axis_shift"] = 0.5
            coordinates[name] = ((np.arange(n) + offset) * h, about)
    for name, (values, about) in coordinates.items():
        file.createDimension(name, len(values))
        variable = file.createVariable(name, values.dtype, (name,))
        variable.setncatts({"units": "1", **about})
        variable[:] = values
    seeds = file.createVariable("seed", "i8", ("sample",))
    seeds.setncatts({"long_name": "seed of the random start", "units": "1"})
    seeds[:] = simulation.seed + np.arange(simulation.flows)
    file.setncatts(
        {
            "Conventions": "CF-1.11",
            **_attributes(simulation),
            "down_sampling_factor": factor,
            "comment": "Lengths, times and velocities are without dimension. u is at (x_face, y), "
            "v at (x, y_face): the right and upper faces of their cells.",
        }
    )
    places = {"u": ("x_face", "y"), "v": ("x", "y_face")}
    pair = []
    for name, dims in places.items():
        variable = file.createVariable(name, "f4", ("sample", "time", *dims), fill_value=False)
        along = "xy"[name == "v"]
        variable.setncatts(
            {
                "long_name": f"velocity along {along}, mean over a face normal to {along}",
                "units": "1",
                "coordinates": "seed",
            }
        )
        pair.append(variable)
    return pair[0], pair[1]


def _attributes(simulation: TurbulenceSimulation) -> dict[str, Any]:
    """What was simulated, how, and by what."""
    solver = simulation.solver()
    return {
        "title": "Two-dimensional turbulence on a periodic rectangle, down-sampled",
        "references": CITATION,
        **provenance(seed=simulation.seed, configuration=simulation.plain()),
        "configuration": json.dumps(simulation.plain(), sort_keys=True),
        "simulated_cells": list(simulation.shape),
        "domain": list(simulation.lengths),
        "viscosity": simulation.viscosity,
        "drag": simulation.drag,
        "forcing": "amplitude * sin(wavenumber * y) along x" if simulation.amplitude else "none",
        "forcing_amplitude": simulation.amplitude,
        "forcing_wavenumber": simulation.wavenumber,
        "dt": simulation.dt,
        "frame_spacing": simulation.spacing,
        "solver": f"staggered finite volumes, {solver.advection} advection, {solver.diffusion} "
        f"diffusion, {solver.stepper} stepper, {str(solver.dtype).removeprefix('torch.')}",
    }


def _pnas_header(file: Any, simulation: TurbulenceSimulation, factor: int) -> tuple[Any, Any]:
    """One x and one y for both components, and the attributes of the published files."""
    grid = _coarse_grid(simulation, factor)
    (n, ny), (length, other) = grid.shape, grid.lengths
    if n != ny or not math.isclose(length, other):
        raise DataError(
            f"the layout pnas holds square grids only, not {n} x {ny} cells on {length:.6g} x "
            f"{other:.6g}. Choose the layout cf."
        )
    centres = (np.arange(n) + 0.5) * grid.spacing[0]
    values = {
        "sample": np.arange(simulation.flows),
        "time": np.arange(simulation.frames) * simulation.spacing,
        "x": centres,
        "y": centres,
    }
    for name, numbers in values.items():
        file.createDimension(name, len(numbers))
        file.createVariable(name, numbers.dtype, (name,))[:] = numbers
    stable = stable_time_step(grid.spacing, max_velocity=simulation.max_velocity)
    file.setncatts(
        {
            "domain_size": length,
            "domain_size_multiple": length / (2 * math.pi),
            "ndim": 2,
            "save_grid_size": n,
            "stable_time_step": stable,
            "warmup_time": simulation.spin_up + simulation.settle,
            "warmup_grid_size": simulation.spin_up_shape[0],
            "init_peak_wavenumber": simulation.peak_wavenumber,
            "init_cfl_safety_factor": simulation.cfl,
            "maximum_velocity": simulation.max_velocity,
            "time_subsample_factor": max(1, round(simulation.spacing / stable)),
            "simulation_time": simulation.time,
            "physics_config_str": json.dumps(simulation.plain(), sort_keys=True),
            **_attributes(simulation),
        }
    )
    dims = ("sample", "time", "x", "y")
    pair = []
    for name, offset in (("u", [1.0, 0.5]), ("v", [0.5, 1.0])):
        variable = file.createVariable(name, "f4", dims, fill_value=False)
        variable.setncattr("offset", offset)
        pair.append(variable)
    return pair[0], pair[1]


def _coarse_grid(simulation: TurbulenceSimulation, factor: int) -> PeriodicGrid:
    nx, ny = simulation.shape
    return PeriodicGrid.of((nx // factor, ny // factor), simulation.lengths)


LAYOUTS: dict[str, Callable[[TurbulenceSimulation, Path, ExitStack], Writer]] = {
    "cf": partial(_NetCDFWriter, header=_cf_header),
    "pnas": partial(_NetCDFWriter, header=_pnas_header),
    "tsm": _TSMWriter,
}
