"""Simulating flows and writing them, frame by frame, into data sets of several grids."""

import logging
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from pushforward.datasets.turbulence.simulation import TurbulenceSimulation
from pushforward.datasets.turbulence.writers import LAYOUTS, Layout
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    downsample_velocity,
    refine_velocity,
)

__all__ = ["simulate_turbulence"]

log = logging.getLogger(__name__)

CHUNK = 0.1  # time units between two reports of progress while nothing is recorded


def simulate_turbulence(
    simulation: TurbulenceSimulation,
    path: str | os.PathLike[str],
    *,
    layout: Layout = "cf",
    device: torch.device | str = "cpu",
    report: Callable[[float], None] | None = None,
) -> list[Path]:
    """Simulate flows and write them; files appear under their names only when all are whole.

    Parameters
    ----------
    simulation : what to do.
    path : of the file. With several factors, the cells are added to its stem, as in
        `flows_32x32.nc`.
    layout : "cf", netCDF with the coordinates of the faces on which u and v live; "pnas", the
        netCDF of the learned-interpolation paper, dims (sample, time, x, y), whose x and y are
        cell centres for both components; "tsm", the HDF5 of the temporal-stencil paper: a file a
        flow, its number added to the name, that holds all grids.
    device : of the solver. Files of two devices differ: turbulence magnifies rounding.
    report : called often, with the share of all work done since the last call; an exception
        raised in it stops the run and leaves no file.

    Returns
    -------
    Paths of the files.

    Raises
    ------
    DataError : a name that the layout does not allow.
    DivergedError : with the flows, their grid and the time.

    Examples
    --------
    >>> from pushforward.datasets import open_turbulence
    >>> simulation = TurbulenceSimulation(
    ...     cells=[16], factors=[2, 4], flows=2, spin_up_cells=0, spin_up=0.1, settle=0.0, time=0.3
    ... )
    >>> [p.name for p in simulate_turbulence(simulation, "flows.nc")]
    ['flows_8x8.nc', 'flows_4x4.nc']
    >>> dict(open_turbulence("flows_8x8.nc").sizes)
    {'sample': 2, 'time': 6, 'x_face': 8, 'y': 8, 'x': 8, 'y_face': 8}
    """
    if layout not in LAYOUTS:
        raise DataError(f"layout = {layout!r} is unknown; choose one of {', '.join(LAYOUTS)}.")
    solver, coarser = simulation.solver(device), simulation.spin_up_solver(device)
    log.info(
        "%d flows on %d x %d cells, %d frames every %.6g time units, kept on %s cells",
        simulation.flows,
        *simulation.shape,
        simulation.frames,
        simulation.spacing,
        ", ".join(f"{nx} x {ny}" for nx, ny in simulation.grids),
    )
    work = _Work(simulation, report or (lambda share: None))
    with ExitStack() as stack:
        writer = LAYOUTS[layout](simulation, Path(path), stack)
        for first in range(0, simulation.flows, simulation.batch):
            samples = range(first, min(first + simulation.batch, simulation.flows))
            state = _developed(simulation, solver, coarser, samples, work)
            for frame in range(simulation.frames):
                if frame:
                    time = frame * simulation.spacing
                    state = work.advance(solver, state, simulation.frame_steps, samples, time)
                coarse = [downsample_velocity(state, s).cpu() for s in simulation.factors]
                writer.write(samples, frame, coarse)
    return writer.paths


class _Work:
    """Takes steps, says how much of all that is to do they were, and where they failed."""

    def __init__(self, simulation: TurbulenceSimulation, report: Callable[[float], None]):
        coarser, solver = simulation.spin_up_solver(), simulation.solver()
        recorded = (simulation.frames - 1) * simulation.frame_steps
        steps = {
            coarser: round(simulation.spin_up / coarser.dt),
            solver: round(simulation.settle / solver.dt) + recorded,
        }
        self.total = simulation.flows * sum(math.prod(s.shape) * n for s, n in steps.items())
        self.report = report

    def advance(
        self, solver: FiniteVolumeSolver, state: Tensor, steps: int, samples: range, time: float
    ) -> Tensor:
        """`steps` further, to about `time` after the first frame."""
        try:
            state = solver.advance(state, steps)
        except DivergedError as error:
            raise DivergedError(
                f"flows {samples[0]} to {samples[-1]}, on {solver.shape[0]} x {solver.shape[1]} "
                f"cells, about {time:.4g} time units after the first frame: {error}"
            ) from error
        self.report(len(samples) * math.prod(solver.shape) * steps / self.total)
        return state


def _developed(
    simulation: TurbulenceSimulation,
    solver: FiniteVolumeSolver,
    coarser: FiniteVolumeSolver,
    samples: range,
    work: _Work,
) -> Tensor:
    """Flows at the first frame: random starts, spun up, refined, settled."""
    state = torch.stack(
        [
            coarser.initial(
                seed=simulation.seed + i,
                max_velocity=simulation.max_velocity,
                peak_wavenumber=simulation.peak_wavenumber,
            )
            for i in samples
        ]
    )
    for stepping, end, length in (
        (coarser, -simulation.settle, simulation.spin_up),
        (solver, 0.0, simulation.settle),
    ):
        if stepping.shape != tuple(state.shape[-2:]):
            state = refine_velocity(state, stepping.grid)
        left = round(length / stepping.dt)
        chunk = max(1, round(CHUNK / stepping.dt))
        while left:
            steps = min(chunk, left)
            left -= steps
            state = work.advance(stepping, state, steps, samples, end - left * stepping.dt)
    return state
