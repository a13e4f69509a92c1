"""The flows of the turbulence task: simulated on the reference grid, kept on the coarse one."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import safe_open, save_file
from torch import Tensor

from pushforward.benchmarks.tasks.turbulence.config import SIDE, FlowSet, TurbulenceConfig
from pushforward.datasets.turbulence import open_turbulence, velocity_tensor, write_flows
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import configuration_hash, provenance
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    downsample_velocity,
    refine_velocity,
)
from pushforward.surrogates.training import Progress

__all__ = ["Reference", "finite_volume_solver", "reference", "spectral_solver"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """A set's truth.

    Parameters
    ----------
    flows : what was simulated.
    history : (flows, frames, 2, x, y), coarse frames up to the start of the forecasts, included.
    truth : (flows, time, 2, x, y), coarse frames after it.
    first : (flows, 2, X, Y), the reference's own velocity at the start.
    fingerprint : of the configuration it was made with.
    """

    flows: FlowSet
    history: Float[Tensor, "flows frames 2 x y"]
    truth: Float[Tensor, "flows time 2 x y"]
    first: Float[Tensor, "flows 2 X Y"]
    fingerprint: str


def reference(
    config: TurbulenceConfig, flows: FlowSet, folder: Path, history: int, *, preset: str = ""
) -> Reference:
    """Simulate a set, or read it if it was simulated before.

    Flows grow from random velocities on a coarser grid, are refined by Fourier interpolation,
    and settle on the reference grid before the first frame is kept.

    Parameters
    ----------
    config : resolutions and time steps.
    flows : the set.
    folder : where `<name>.nc` (coarse frames, the start at time 0; what other models can be given
        and judged on) and `<name>.safetensors` (the reference's own start) are kept.
    history : frames before the start of the forecasts, the start included.
    preset : of the run, noted in the file.

    Raises
    ------
    DataError : the file there was made with other options.
    """
    path = folder / f"{flows.name}.safetensors"
    wanted = _fingerprint(config, flows, history)
    if path.exists():
        with safe_open(path, framework="pt") as opened:
            found = (opened.metadata() or {}).get("fingerprint")
            if found != wanted:
                raise DataError(
                    f"{path} holds flows of another configuration ({found}, now {wanted}). "
                    "Remove it, or choose another --out."
                )
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if "truth" not in tensors:  # runs of older versions kept everything in one file
            frames = _kept_frames(path.with_suffix(".nc"), wanted)
            tensors["history"] = frames[:, :history].contiguous()
            tensors["truth"] = frames[:, history:].contiguous()
    else:
        tensors = _simulate(config, flows, history)
        frames = torch.cat([tensors["history"], tensors["truth"]], 1)
        about = {"config_hash": wanted, "preset": preset, "split": flows.name}
        _keep_frames(path.with_suffix(".nc"), config, flows, frames, history, about)
        with atomic_path(path) as temporary:
            save_file({"first": tensors["first"]}, temporary, metadata={"fingerprint": wanted})
    return Reference(flows, tensors["history"], tensors["truth"], tensors["first"], wanted)


def finite_volume_solver(
    config: TurbulenceConfig, flows: FlowSet, cells: int
) -> FiniteVolumeSolver:
    """The finite-volume solver of a set with `cells` for a side of 2 pi."""
    n = cells * flows.domain
    return FiniteVolumeSolver(
        (n, n),
        domain=SIDE * flows.domain,
        viscosity=flows.viscosity,
        drag=flows.drag,
        forcing=KolmogorovForcing(flows.amplitude) if flows.amplitude else None,
        dt=config.time_step(cells),
    )


def spectral_solver(config: TurbulenceConfig, flows: FlowSet, cells: int) -> SpectralSolver:
    """The spectral solver of a set; it takes `stride` times the finite-volume step.

    Three stages a step are the cheapest of the steppers: two need half that step to stay stable,
    four gain no accuracy at it.
    """
    n = cells * flows.domain
    return SpectralSolver(
        (n, n),
        domain=SIDE * flows.domain,
        viscosity=flows.viscosity,
        drag=flows.drag,
        forcing=KolmogorovForcing(flows.amplitude) if flows.amplitude else None,
        dt=config.stride * config.time_step(cells),
        stepper="cn_rk3",
    )


def _simulate(config: TurbulenceConfig, flows: FlowSet, history: int) -> dict[str, Tensor]:
    cells = config.reference_cells
    solver = finite_volume_solver(config, flows, cells)
    if flows.spin_up:
        coarser = finite_volume_solver(config, flows, config.spin_up_cells)
        state = coarser.initial(seed=flows.seed, batch=(flows.flows,))
        state = coarser.advance(state, round(flows.spin_up / coarser.dt))
        state = refine_velocity(state, solver.grid)
    else:
        state = solver.initial(seed=flows.seed, batch=(flows.flows,))
    factor = cells // config.coarse_cells
    ahead = round(flows.time / config.frame_spacing)
    settle = round(flows.settle / config.frame_spacing)
    frames = []
    with Progress(settle + history - 1 + ahead, f"reference {flows.name}") as progress:
        for i in range(1 - settle - history, ahead + 1):
            if i > 1 - settle - history:
                state = solver.advance(state, config.frame_steps)
                progress.advance()
            if i == 0:
                first = state.clone()
            if i > -history:
                frames.append(downsample_velocity(state, factor))
    coarse = torch.stack(frames, 1)
    return {
        "history": coarse[:, :history].contiguous(),
        "truth": coarse[:, history:].contiguous(),
        "first": first,
    }


def _keep_frames(
    path: Path,
    config: TurbulenceConfig,
    flows: FlowSet,
    frames: Float[Tensor, "flows time 2 x y"],
    history: int,
    about: dict[str, str],
) -> None:
    flow = config.coarse_flow(flows)
    write_flows(
        path,
        frames,
        time=config.frame_spacing * np.arange(1 - history, frames.shape[1] - history + 1),
        domain=flow.domain,
        attributes={
            **provenance(seed=flows.seed),
            **about,
            "comment": "Forecasts of the benchmark start at time 0 and end with the last frame.",
            "viscosity": flow.viscosity,
            "drag": flow.drag,
            "forcing_amplitude": flow.amplitude,
            "forcing_wavenumber": flow.wavenumber,
        },
    )


def _kept_frames(path: Path, fingerprint: str) -> Float[Tensor, "flows time 2 x y"]:
    with open_turbulence(path) as dataset:
        found = dataset.attrs.get("config_hash")
        if found != fingerprint:
            raise DataError(
                f"{path} holds flows of another configuration ({found}, now {fingerprint}). "
                "Remove it and the .safetensors beside it, or choose another --out."
            )
        return velocity_tensor(dataset)


def _fingerprint(config: TurbulenceConfig, flows: FlowSet, history: int) -> str:
    return configuration_hash(
        {
            **asdict(flows),
            "history": history,
            "reference_cells": config.reference_cells,
            "coarse_cells": config.coarse_cells,
            "spin_up_cells": config.spin_up_cells,
            "stride": config.stride,
        }
    )
