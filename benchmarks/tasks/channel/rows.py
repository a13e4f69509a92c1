"""The rows of the channel task: every way to continue a coarse velocity field."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.tasks.channel.config import SIZES, ChannelConfig
from pushforward.benchmarks.tasks.channel.data import ChannelProblem
from pushforward.benchmarks.tasks.channel.les import LargeEddySimulation
from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import load_any
from pushforward.surrogates.channel import (
    FNO,
    IFNO,
    ChannelConstraints,
    ChannelEmulator,
    ChannelGrid,
    ChannelNetwork,
    IFactFormer,
    convect,
    convection,
)

__all__ = ["Row", "learned_row", "load_emulator", "new_emulator", "plain_rows"]

Frames = Float[Tensor, "n steps 3 x y z"]


@dataclass(frozen=True)
class Row:
    """A way to go on.

    Parameters
    ----------
    name : in tables.
    forecast : `(start (n, 3, x, y, z), steps) -> (n, steps, 3, x, y, z)`, not a number from where
        a flow was lost.
    long_steps : of its long roll-out.
    """

    name: str
    forecast: Callable[[Tensor, int], Frames]
    long_steps: int

    def seconds_per_frame(self, start: Tensor, *, frames: int, repeats: int = 3) -> float:
        """Seconds a frame of one flow takes: the least of some repeats."""
        self.forecast(start, 1)
        least = float("inf")
        for _ in range(repeats):
            begun = time.perf_counter()
            self.forecast(start, frames)
            least = min(least, time.perf_counter() - begun)
        return least / frames


def plain_rows(config: ChannelConfig, problem: ChannelProblem) -> list[Row]:
    """Rows that learn nothing, or one number a plane: persistence, persistence that is carried on,
    the mean profile, large-eddy simulation."""
    mean = problem.mean[:, None, :, None]
    displacement = convection(problem.training, mean.to(problem.training), problem.grid)

    def persistence(start: Tensor, steps: int) -> Frames:
        return start[:, None].expand(-1, steps, -1, -1, -1, -1)

    def convected(start: Tensor, steps: int) -> Frames:
        frames = [convect(start, (t + 1) * displacement, problem.grid) for t in range(steps)]
        return torch.stack(frames, 1)

    def run_mean(start: Tensor, steps: int) -> Frames:
        return mean.to(start).expand(len(start), steps, -1, *start.shape[2:])

    rows = [
        Row("persistence", persistence, 0),
        Row("convected_persistence", convected, 0),
        Row("run_mean", run_mean, config.rollout_steps),
    ]
    for name in config.les:
        simulation = LargeEddySimulation(problem, name)
        rows.append(Row(f"les_{name}", simulation.forecast, config.les_frames))
    return rows


def new_emulator(
    config: ChannelConfig, name: str, seed: int, *, grid: ChannelGrid
) -> ChannelEmulator:
    """An untrained emulator of a row."""
    size: dict[str, Any] = {**SIZES[config.size][name], "seed": seed}
    network: ChannelNetwork
    if name.startswith("ifactformer"):
        network = IFactFormer(
            grid,
            variant="chained" if name.endswith("chained") else "parallel",
            positions=config.positions,
            quadrature=config.quadrature,
            precision=config.precision,
            **size,
        )
    elif name in ("fno", "ifno"):
        network = (FNO if name == "fno" else IFNO)(grid, **size)
    else:
        raise DataError(f"unknown model {name!r}.")
    constraints = ChannelConstraints(grid) if config.constrained else None
    return ChannelEmulator(network, target=config.target, constraints=constraints)


def load_emulator(folder: Path, grid: ChannelGrid) -> ChannelEmulator:
    """A trained emulator of a row.

    Raises
    ------
    DataError : no emulator there, or one that was trained on another grid.
    """
    model = load_any(folder, (ChannelEmulator,))
    if model.grid != grid:
        raise DataError(
            f"the model in {folder} was trained on {model.grid.shape} points in a box of "
            f"{model.grid.lengths}; the data have {grid.shape} in {grid.lengths}, or another "
            "spacing in y. Train one on these data, or filter them onto its grid."
        )
    return model


def learned_row(config: ChannelConfig, name: str, model: ChannelEmulator) -> Row:
    """Roll-outs of an emulator, in float64 between its steps, so that constraints hold to that."""

    def forecast(start: Tensor, steps: int) -> Frames:
        with torch.inference_mode():
            return model.rollout(start.to(model.mean.device).double(), steps).velocity.cpu()

    return Row(name, forecast, config.rollout_steps)
