"""Training of transport emulators: single steps first, then ever longer roll-outs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.datasets.atmosphere import CarbonData, CarbonStatistics
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere.emulator import CarbonEmulator
from pushforward.surrogates.atmosphere.objective import TransportObjective
from pushforward.surrogates.training import (
    Lesson,
    Optimisation,
    Stage,
    TrainingReport,
    device_of,
    train_lessons,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["fit_emulator"]

ROLLOUT_RATE = 1e-2  # of the single-step learning rate: 1e-5 for the published 1e-3


def fit_emulator(
    model: CarbonEmulator,
    data: CarbonData,
    statistics: CarbonStatistics,
    *,
    stages: Sequence[Stage],
    optimisation: Optimisation,
    batch_size: int = 64,
    spectral: float = 0.1,
    rollout_rate: float = ROLLOUT_RATE,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "emulator",
) -> list[TrainingReport]:
    """Train on roll-outs whose length grows from stage to stage.

    Stages of single steps follow the learning rate's schedule, warm-up included; roll-outs hold
    `rollout_rate` times it.
    A batch of T-step roll-outs holds batch_size / (T + 1) windows, so that a gradient step costs
    about the same; single steps have the whole batch.

    Parameters
    ----------
    model : trained in place.
    data : the training split, best `load()`ed.
    statistics : of the training split; the model takes its scales from it.
    stages : gradient steps and roll-out lengths, in order.
    optimisation : AdamW; its number of steps is replaced by the stage's.
    batch_size : windows of single steps.
    spectral : share of the spectral loss.
    rollout_rate : constant learning rate of roll-outs of more than one step, as a share of
        `optimisation.learning_rate`.
    seed : of the batches.
    folder : where checkpoints are kept, one folder a stage; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Returns
    -------
    One `TrainingReport` a stage.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : as `train` and `TransportObjective`.
    """
    if not stages:
        raise DataError("no stages to train; give at least one.")
    objectives = []
    for stage in stages:
        batch = batch_size if stage.unroll == 1 else max(batch_size // (stage.unroll + 1), 1)
        objectives.append(
            TransportObjective(data, unroll=stage.unroll, batch_size=batch, spectral=spectral)
        )
    model.calibrate(statistics)
    model.to(device_of(fabric))
    lessons = []
    for stage, objective in zip(stages, objectives, strict=True):
        chosen = replace(optimisation, steps=stage.steps)
        if stage.unroll > 1:
            rate = optimisation.learning_rate * rollout_rate
            chosen = replace(chosen, learning_rate=rate, schedule="constant", warm_up=0)
        lessons.append(Lesson(objective, chosen, f"unroll {stage.unroll}"))
    return train_lessons(model, lessons, seed=seed, folder=folder, fabric=fabric, label=label)
