"""Fitting an emulator of channel flow: single steps first, then steps from its own states."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel.emulator import ChannelEmulator
from pushforward.surrogates.channel.objective import StepObjective
from pushforward.surrogates.training import (
    Optimisation,
    Stage,
    TrainingReport,
    device_of,
    rollout_lessons,
    train_lessons,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["fit_emulator"]


def fit_emulator(
    model: ChannelEmulator,
    flows: Float[Tensor, "runs time 3 x y z"],
    *,
    stages: Sequence[Stage],
    optimisation: Optimisation,
    batch_size: int = 4,
    noise: float = 0.0,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "emulator",
) -> list[TrainingReport]:
    """Train by stages; the learning rate follows its schedule anew in each, from half the last's.

    Parameters
    ----------
    model : trained in place; its scales are taken from the data first.
    flows : training runs, one frame a step.
    stages : gradient steps and lengths of push-forward, in order.
    optimisation : AdamW; its number of steps is replaced by the stage's.
    batch_size, noise : see `StepObjective`.
    seed : of the batches.
    folder : where checkpoints are kept; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Returns
    -------
    One `TrainingReport` a stage.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : as `train` and `StepObjective`.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import FNO, ChannelEmulator, ChannelGrid, fit_emulator
    >>> from pushforward.surrogates.training import Optimisation, Stage
    >>> grid = ChannelGrid.chebyshev((8, 9, 4), (6.0, 2.0))
    >>> model = ChannelEmulator(FNO(grid, width=2, modes=(2, 3, 2), layers=1, hidden=4))
    >>> reports = fit_emulator(model, torch.randn(1, 4, 3, 8, 9, 4),
    ...                        stages=[Stage(2, 1), Stage(1, 2)], optimisation=Optimisation())
    >>> [len(report.losses) for report in reports]
    [2, 1]
    """
    if not stages:
        raise DataError("no stages to train; give at least one.")
    objectives = [
        StepObjective(flows, model.grid, unroll=stage.unroll, batch_size=batch_size, noise=noise)
        for stage in stages
    ]
    lessons = rollout_lessons(stages, objectives, optimisation)
    model.calibrate(flows)
    model.to(device_of(fabric))
    return train_lessons(model, lessons, seed=seed, folder=folder, fabric=fabric, label=label)
