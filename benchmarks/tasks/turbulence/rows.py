"""The rows of the turbulence task: every way to forecast the coarse velocity from one start."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.tasks.turbulence.config import FlowSet, TurbulenceConfig
from pushforward.benchmarks.tasks.turbulence.reference import (
    Reference,
    finite_volume_solver,
    spectral_solver,
)
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.turbulence import downsample_velocity, fourier_resample
from pushforward.surrogates.turbulence import (
    LearnedCorrection,
    LearnedInterpolation,
    TemporalStencil,
)
from pushforward.surrogates.turbulence.model import CoarseSurrogate

__all__ = [
    "Row",
    "learned_row",
    "load_model",
    "march",
    "new_model",
    "persistence",
    "solver_rows",
]

Coarse = Float[Tensor, "flows time 2 x y"]


@dataclass(frozen=True)
class Row:
    """A way to forecast.

    Parameters
    ----------
    name : in tables.
    forecast : `(reference, frames) -> coarse velocities`, frame by frame after the start.
    work : `(reference, frames) -> None`: the stepping alone, without bringing anything onto
        the coarse grid, for the clock.
    """

    name: str
    forecast: Callable[[Reference, int], Coarse]
    work: Callable[[Reference, int], object]

    def seconds_per_unit(
        self, reference: Reference, config: TurbulenceConfig, *, flows: int, repeats: int = 3
    ) -> float:
        """Seconds a time unit of one flow takes when `flows` are stepped together: the least of
        some repeats, each of about a third of a time unit."""
        part = Reference(
            reference.flows,
            reference.history[:flows],
            reference.truth[:flows],
            reference.first[:flows],
            reference.fingerprint,
        )
        frames = max(4, round(0.33 / config.frame_spacing / 4) * 4)
        self.work(part, 4)
        least = float("inf")
        for _ in range(repeats):
            begun = time.perf_counter()
            self.work(part, frames)
            least = min(least, time.perf_counter() - begun)
        return least / (frames * config.frame_spacing * flows)


def persistence() -> Row:
    """The start, held."""

    def forecast(reference: Reference, frames: int) -> Coarse:
        return reference.history[:, -1:].expand(-1, frames, -1, -1, -1)

    return Row("persistence", forecast, forecast)


def solver_rows(config: TurbulenceConfig, flows: FlowSet) -> list[Row]:
    """Finite-volume and spectral solvers; on other sets only the two coarsest finite-volume ones,
    which are what learned models have to beat there."""
    volumes, spectral = config.finite_volume, config.spectral
    if flows.name != "kolmogorov":
        volumes, spectral = volumes[:2], []
    return [
        *(_finite_volume_row(config, flows, cells) for cells in volumes),
        *(_spectral_row(config, flows, cells) for cells in spectral),
    ]


def new_model(config: TurbulenceConfig, name: str, seed: int) -> CoarseSurrogate:
    """An untrained model of a row.

    tsm and li, and their bundled forms, differ only in what the network sees (a memory of past
    frames, or the last frame), so they cost the same but for the first convolution. lc has the
    same tower.
    """
    flow = config.coarse_flow(config.training)
    size: dict[str, Any] = {
        "hidden": config.hidden,
        "layers": config.layers,
        "precision": config.precision,
        "seed": seed,
    }
    bundle = config.bundle if name.endswith("_bundled") else 1
    if name.startswith("li"):
        return LearnedInterpolation(flow, bundle=bundle, **size)
    if name == "lc":
        return LearnedCorrection(flow, **size)
    if name.startswith("tsm"):
        return TemporalStencil(
            flow,
            frames=config.frames,
            memory=config.memory,
            features=config.features,
            bundle=bundle,
            **size,
        )
    raise DataError(f"unknown model {name!r}.")


def load_model(name: str, folder: Path) -> CoarseSurrogate:
    """A trained model of a row."""
    kinds: dict[str, type[CoarseSurrogate]] = {
        "lc": LearnedCorrection,
        "li": LearnedInterpolation,
        "tsm": TemporalStencil,
    }
    return kinds[name.removesuffix("_bundled")].load(folder)


def learned_row(config: TurbulenceConfig, name: str, model: CoarseSurrogate) -> Row:
    """Roll-outs of a learned model."""

    def forecast(reference: Reference, frames: int) -> Coarse:
        flow = config.coarse_flow(reference.flows)
        device = next(model.parameters()).device
        with torch.inference_mode():
            history = reference.history.to(device)
            return model.rollout(history, frames, condition=flow).cpu()

    return Row(name, forecast, forecast)


def _finite_volume_row(config: TurbulenceConfig, flows: FlowSet, cells: int) -> Row:
    solver = finite_volume_solver(config, flows, cells)
    steps = config.frame_steps * cells // config.reference_cells

    def start(reference: Reference) -> Tensor:
        return downsample_velocity(reference.first, config.reference_cells // cells)

    def forecast(reference: Reference, frames: int) -> Coarse:
        def observe(state: Tensor) -> Tensor:
            return downsample_velocity(state, cells // config.coarse_cells)

        return march(solver.advance, start(reference), steps, frames, observe)

    def work(reference: Reference, frames: int) -> object:
        return solver.advance(start(reference), steps * frames)

    return Row(f"fv_{cells}", forecast, work)


def _spectral_row(config: TurbulenceConfig, flows: FlowSet, cells: int) -> Row:
    """A spectral solver on the finite-volume truth: start and frames pass through the Fourier
    interpolant of the reference's own staggered grid, where frames are averaged over coarse
    faces as the truth's are. So no offset and no different filter enters the comparison."""
    solver = spectral_solver(config, flows, cells)
    fine = config.reference_cells * flows.domain
    n = cells * flows.domain
    steps = config.frame_steps * cells // (config.reference_cells * config.stride)
    if steps * config.reference_cells * config.stride != config.frame_steps * cells:
        raise DataError(f"spectral_{cells}: a frame is not a whole number of its time steps.")
    offsets = ((1.0, 0.5), (0.5, 1.0))

    def start(reference: Reference) -> Tensor:
        u, v = (
            fourier_resample(reference.first[:, i], offset=o, to_cells=n, to_offset=(0.0, 0.0))
            for i, o in enumerate(offsets)
        )
        return solver.from_velocity(u, v)

    def observe(state: Tensor) -> Tensor:
        velocity = solver.velocity(state)
        parts = [
            fourier_resample(velocity[:, i], offset=(0.0, 0.0), to_cells=fine, to_offset=o)
            for i, o in enumerate(offsets)
        ]
        factor = config.reference_cells // config.coarse_cells
        return downsample_velocity(torch.stack(parts, 1), factor)

    def forecast(reference: Reference, frames: int) -> Coarse:
        return march(solver.advance, start(reference), steps, frames, observe)

    def work(reference: Reference, frames: int) -> object:
        return solver.advance(start(reference), steps * frames)

    return Row(f"spectral_{cells}", forecast, work)


def march(
    advance: Callable[[Tensor, int], Tensor],
    state: Tensor,
    steps: int,
    frames: int,
    observe: Callable[[Tensor], Tensor],
) -> Coarse:
    """Frames of a solver; a flow that blows up is not a number from there on, the others go on."""
    kept: list[Tensor] = []
    for _ in range(frames):
        try:
            state = advance(state, steps)
        except DivergedError:
            if len(state) > 1:
                left = frames - len(kept)
                parts = [march(advance, one[None], steps, left, observe) for one in state]
                return torch.cat([*(k[:, None] for k in kept), torch.cat(parts)], 1)
            blank = torch.full_like(observe(state), torch.nan)
            kept += [blank] * (frames - len(kept))
            break
        kept.append(observe(state))
    return torch.stack(kept, 1)
