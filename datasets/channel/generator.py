"""Simulating channel flow and writing what a coarse grid sees of it."""

import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.datasets.channel.simulation import ChannelSimulation
from pushforward.datasets.channel.storage import (
    COMPONENTS,
    PER_FRAME,
    add_per_frame,
    channel_file,
    periodic,
)
from pushforward.simulators.channel import ChannelFlow, ChannelState, perturbed, resample_state
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.provenance import provenance

__all__ = ["generate_channel"]

log = logging.getLogger(__name__)

CHUNK = 20  # steps between two reports of progress
LIVELY = 1e-3  # least share of fluctuation energy in a turbulent channel; it has about 0.01


def generate_channel(
    simulation: ChannelSimulation,
    path: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    report: Callable[[float], None] | None = None,
) -> Path:
    """Simulate channel flows and write their filtered velocity; the file appears when it is whole.

    Parameters
    ----------
    simulation : what to do.
    path : netCDF file to write, .nc: u, v, w (run, time, x, y, z) in float32; pressure gradient
        and friction velocity of each run and frame. The pressure field, which the solver
        eliminates and the surrogates don't use, is left out.
    device : of the solver, float64 throughout.
    report : called often, with the share of all work done since the last call; an exception
        raised in it stops the run and leaves no file.

    Returns
    -------
    The path.

    Raises
    ------
    DataError : another suffix; a flow that became laminar, whose data would be worthless.
    DivergedError : with the runs and the time.

    Examples
    --------
    >>> simulation = ChannelSimulation(
    ...     points=[8, 17, 8], runs=2, dt=0.1, stride=1, spin_up=0.0, settle=0.0, time=0.2,
    ...     kept=[8, 9, 8],
    ... )
    >>> path = generate_channel(simulation, "channel.nc")
    >>> from pushforward.datasets import open_channel
    >>> open_channel(path).velocity(1).shape
    torch.Size([3, 3, 8, 9, 8])
    """
    flow, coarse = simulation.flow(device), simulation.spin_up_flow(device)
    view = simulation.view(flow)
    nx, _, nz = simulation.kept
    axes = (periodic(nx, flow.lengths[0]), simulation.y.numpy(), periodic(nz, flow.lengths[1]))
    log.info(
        "%d flows on %d x %d x %d points, %d frames every %g h/U, kept on %d x %d x %d",
        simulation.runs,
        *simulation.points,
        simulation.frames,
        simulation.frame_spacing,
        *simulation.kept,
    )
    work = _Work(simulation, report or (lambda share: None))
    time = np.arange(simulation.frames) * simulation.frame_spacing
    about = _attributes(simulation, view.widths)
    with channel_file(path, runs=simulation.runs, time=time, axes=axes, attributes=about) as file:
        numbers = {name: add_per_frame(file, name) for name in PER_FRAME}
        for first in range(0, simulation.runs, simulation.batch):
            runs = range(first, min(first + simulation.batch, simulation.runs))
            span = slice(runs.start, runs.stop)
            state = _developed(simulation, flow, coarse, runs, work)
            for frame in range(simulation.frames):
                if frame:
                    state = work.advance(flow, state, simulation.stride, runs)
                seen = view(state).float().cpu().numpy()
                for i, name in enumerate(COMPONENTS):
                    file[name][span, frame] = seen[:, i]
                numbers["pressure_gradient"][span, frame] = state.pressure_gradient.cpu().numpy()
                friction = flow.friction_velocity(state).cpu().numpy()
                numbers["friction_velocity"][span, frame] = friction
        _summarise(file, simulation, numbers)
    return Path(path)


def _summarise(file: Any, simulation: ChannelSimulation, numbers: dict[str, Any]) -> None:
    """u_τ over all frames and the mean pressure gradient of each run."""
    u_tau = math.sqrt(float(np.mean(numbers["friction_velocity"][:] ** 2)))
    file.setncatts({"u_tau": u_tau, "Re_tau": u_tau / simulation.viscosity})
    mean = file.createVariable("mean_pressure_gradient", "f8", ("run",), fill_value=False)
    mean.setncatts({"units": "1", "long_name": "mean over the frames of pressure_gradient"})
    # Frame 0 of a run without spin-up has had no step that was driven.
    mean[:] = np.nanmean(np.ma.filled(numbers["pressure_gradient"][:], np.nan), axis=1)


class _Work:
    """Takes steps, says how much of all that is to do they were, and where they failed."""

    def __init__(self, simulation: ChannelSimulation, report: Callable[[float], None]):
        full = simulation.settle_steps + (simulation.frames - 1) * simulation.stride
        sizes = math.prod(simulation.points), math.prod(simulation.spin_up_points)
        self.total = simulation.runs * (full * sizes[0] + simulation.spin_up_steps * sizes[1])
        self.report = report

    def advance(
        self, flow: ChannelFlow, state: ChannelState, steps: int, runs: range
    ) -> ChannelState:
        """That many steps further."""
        while steps:
            now = min(CHUNK, steps)
            steps -= now
            try:
                state = flow.advance(state, now)
            except DivergedError as error:
                raise DivergedError(f"runs {runs[0]} to {runs[-1]}: {error}") from error
            self.report(len(runs) * now * math.prod(flow.shape) / self.total)
        return state


def _developed(
    simulation: ChannelSimulation,
    flow: ChannelFlow,
    coarse: ChannelFlow,
    runs: range,
    work: _Work,
) -> ChannelState:
    """States at the first frame: perturbed, spun up on the coarse grid, refined, settled."""
    starts = [perturbed(coarse, seed=simulation.seed + i) for i in runs]
    fields = {
        name: torch.stack([getattr(s, name) for s in starts])
        for name in ("v", "phi", "g", "mean", "pressure_gradient")
    }
    state = ChannelState(**fields, time=0.0)
    state = work.advance(coarse, state, simulation.spin_up_steps, runs)
    state = resample_state(state, coarse, flow)
    state = work.advance(flow, state, simulation.settle_steps, runs)
    if simulation.spin_up and bool((quiet := _fluctuation(flow, state) < LIVELY).any()):
        raise DataError(
            f"run {runs[int(quiet.nonzero()[0])]} became laminar before its first frame. Lower "
            "the viscosity, or widen the box: turbulence needs about 100 wall units along z and "
            "300 along x."
        )
    return state


def _fluctuation(flow: ChannelFlow, state: ChannelState) -> Tensor:
    """Energy of the motion about the plane mean, over that of the mean."""
    u = torch.stack(flow.coefficients(state))
    u[..., 0, 0] = 0
    energy = (u.abs().square() * flow.plane.multiplicity).sum((0, -1, -2)) @ flow.wall.weights
    return energy / (state.mean.square().sum(-2) @ flow.wall.weights)


def _attributes(simulation: ChannelSimulation, widths: tuple[float, float]) -> dict[str, Any]:
    """What was simulated, how, and by what."""
    configuration = simulation.plain()
    return {
        "title": "Velocity between two plates by direct simulation, filtered",
        "references": "Kim, Moin, Moser, J. Fluid Mech. 177, 1987 (method)",
        **provenance(seed=simulation.seed, configuration=configuration),
        "simulation": json.dumps(configuration, sort_keys=True),
        "nu": simulation.viscosity,
        "U_b": simulation.bulk_velocity if simulation.driving == "flux" else "not held",
        "forcing": f"constant {simulation.driving}",
        "box": [simulation.box[0], 2.0, simulation.box[1]],
        "dns_points": simulation.points,
        "dt_dns": simulation.dt,
        "stride": simulation.stride,
        "filter": simulation.filter,
        "filter_widths": list(widths),
        "comment": "h = 1. Lengths, times and velocities are without dimension. The filter acts in "
        "x and z; between the walls the polynomial is evaluated at y. Planes dropped in y leave a "
        "divergence by the kept points.",
    }
