"""A trained model of turbulence applied to a file of flows; forecasts out as CF netCDF."""

import logging
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pushforward.benchmarks.tasks.origin import model_origin
from pushforward.benchmarks.tasks.turbulence.foreign import flow_of_file
from pushforward.datasets.forecasts import new_file
from pushforward.datasets.turbulence import (
    open_turbulence,
    turbulence_layout,
    velocity_tensor,
    write_turbulence_forecasts,
)
from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import load_any
from pushforward.surrogates.training.devices import resolve_device
from pushforward.surrogates.turbulence import (
    CoarseFlow,
    LearnedCorrection,
    LearnedInterpolation,
    TemporalStencil,
)
from pushforward.surrogates.turbulence.model import CoarseSurrogate

__all__ = ["predict"]

log = logging.getLogger(__name__)

KINDS: tuple[type[CoarseSurrogate], ...] = (
    LearnedInterpolation,
    LearnedCorrection,
    TemporalStencil,
)


def predict(
    folder: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    steps: int | None = None,
    start: float | None = None,
    device: str = "auto",
) -> Path:
    """Go on from every flow of a file with a trained model, and write what it forecasts.

    Parameters
    ----------
    folder : of the saved model.
    data : flows with the model's spacing and time step, of any layout that `open_turbulence` reads.
    out : netCDF file to write, in the layout of `open_turbulence_forecasts`; must not exist.
    steps : of the model; default: to the last frame of the data.
    start : time of the frame to go on from; default: the first one from time 0 on that has as many
        frames up to it as the model needs.
    device : auto, cpu, cuda, cuda:N.

    Returns
    -------
    The path.

    Raises
    ------
    DataError : no model there; other data than it was made for; too few frames; an existing file.
    """
    path = new_file(out)
    device = resolve_device(device)
    model = load_any(folder, KINDS).to(device)
    # A file of the HDF5 layout may hold several grids, each of the other layouts its own.
    grid = model.flow.shape if turbulence_layout(data) == "tsm" else None
    with open_turbulence(data, shape=grid, frame_spacing=model.flow.dt) as dataset:
        flow = _fitting(model.flow, flow_of_file(dataset, str(data), model.flow), data)
        times = dataset["time"].values.astype(np.float64)
        at = _start_frame(times, start, model.frames, data)
        ahead = len(times) - 1 - at if steps is None else steps
        if ahead < 1:
            raise DataError(
                f"{data} ends at the start of the forecast, time {times[at]:.6g}. Give --steps, or "
                "an earlier --start."
            )
        history = velocity_tensor(dataset.isel(time=slice(at + 1 - model.frames, at + 1)))
        flows = dataset["sample"].values
    log.info("%s forecasts %d flows, %d steps from time %.6g", folder, len(flows), ahead, times[at])
    with torch.inference_mode():
        velocity = model.rollout(history.to(device), ahead, condition=flow).cpu()
    lost = ~torch.isfinite(velocity).flatten(1).all(1)
    if lost.any():
        log.warning("flows %s left the finite range", flows[lost.numpy()].tolist())
    return write_turbulence_forecasts(
        path,
        velocity,
        sample=flows,
        start_time=np.full(len(flows), times[at]),
        lead=model.flow.dt * np.arange(1, ahead + 1),
        domain=flow.domain,
        attributes=model_origin(model, folder),
    )


def _fitting(made_for: CoarseFlow, found: CoarseFlow, data: object) -> CoarseFlow:
    """The flow of a file as one that the model can step: its spacing and time step to the bit."""
    if not math.isclose(found.spacing, made_for.spacing, rel_tol=1e-4):
        raise DataError(
            f"{data} has cells of {found.spacing:.6g}, the model was made for "
            f"{made_for.spacing:.6g}: {made_for.shape[0]} x {made_for.shape[1]} cells on a domain "
            f"of {made_for.domain[0]:.6g} x {made_for.domain[1]:.6g}. Down-sample to these, for "
            "instance with `pushforward simulate turbulence --factors`."
        )
    (length, width), (n, m), (of_x, of_y) = made_for.domain, found.shape, made_for.shape
    domain = (length * n / of_x, width * m / of_y)
    return replace(found, domain=domain, dt=made_for.dt)


def _start_frame(times: np.ndarray, start: float | None, needed: int, data: object) -> int:
    """The frame to go on from."""
    spacing = (times[-1] - times[0]) / (len(times) - 1)
    if start is None:
        at = max(int(np.searchsorted(times, -0.01 * spacing)), needed - 1)
    else:
        at = int(np.abs(times - start).argmin())
        if abs(times[at] - start) > 0.01 * spacing:
            raise DataError(
                f"--start {start:.8g} is no time of {data}; the nearest is {times[at]:.8g}."
            )
    if at >= len(times) or at + 1 < needed:
        raise DataError(
            f"{data}: {min(at + 1, len(times))} frames up to the start; the model needs {needed}, "
            f"{spacing:.6g} apart. Give a later --start, or data with more frames."
        )
    return at
