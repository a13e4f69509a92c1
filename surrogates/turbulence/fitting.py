"""Fitting a model of coarse turbulence through a curriculum of roll-outs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.training import (
    Optimisation,
    TrainingReport,
    device_of,
    rollout_lessons,
    train_lessons,
)
from pushforward.surrogates.training.randomness import stream
from pushforward.surrogates.turbulence.model import CoarseSurrogate
from pushforward.surrogates.turbulence.objective import RolloutObjective, Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["fit_rollouts"]

CALIBRATION_WINDOWS = 64


def fit_rollouts(
    model: CoarseSurrogate,
    trajectories: Float[Tensor, "flows time 2 x y"],
    *,
    stages: Sequence[Stage],
    optimisation: Optimisation,
    batch_size: int = 8,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "roll-outs",
) -> list[TrainingReport]:
    """Train on roll-outs whose length grows from stage to stage.

    Short roll-outs teach the step cheaply; long ones teach what its errors grow into. The
    learning rate follows its schedule anew in each stage, from `optimisation.learning_rate` halved
    with every stage.

    Parameters
    ----------
    model : trained in place; its features are scaled on the training data first.
    trajectories : down-sampled reference, one frame a time step.
    stages : gradient steps and roll-out lengths, in order.
    optimisation : AdamW; its number of steps is replaced by the stage's.
    batch_size : windows a gradient step.
    seed : of the batches.
    folder : where checkpoints are kept, one folder a stage; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Returns
    -------
    One `TrainingReport` a stage.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : as `train` and `RolloutObjective`.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.training import Optimisation
    >>> from pushforward.surrogates.turbulence import CoarseFlow, LearnedInterpolation, Stage
    >>> flow = CoarseFlow((16, 16), dt=0.01)
    >>> model = LearnedInterpolation(flow, hidden=4, layers=1)
    >>> data = torch.randn(2, 6, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> reports = fit_rollouts(model, data, stages=[Stage(2, 1), Stage(1, 3)],
    ...                        optimisation=Optimisation())
    >>> [len(report.losses) for report in reports]
    [2, 1]
    """
    if not stages:
        raise DataError("no stages to train; give at least one.")
    flow = model.flow
    device = device_of(fabric)
    model.to(device)
    objectives = [
        RolloutObjective(
            trajectories, flow, frames=model.frames, unroll=stage.unroll, batch_size=batch_size
        )
        for stage in stages
    ]
    generator = stream(seed, "calibration")
    some = [objectives[0].draw(generator) for _ in range(-(-CALIBRATION_WINDOWS // batch_size))]
    model.calibrate(torch.cat(some)[:, : model.frames].to(device))
    lessons = rollout_lessons(stages, objectives, optimisation)
    return train_lessons(model, lessons, seed=seed, folder=folder, fabric=fabric, label=label)
