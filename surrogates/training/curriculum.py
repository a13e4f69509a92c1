"""Training in several stretches, one objective after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from pushforward.surrogates.training.loop import Objective, Optimisation, TrainingReport, train
from pushforward.surrogates.training.randomness import stream
from pushforward.surrogates.training.stage import Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Lesson", "rollout_lessons", "train_lessons"]


@dataclass(frozen=True)
class Lesson:
    """A stretch of training: what is minimised, how, and its name in progress lines."""

    objective: Objective
    optimisation: Optimisation
    name: str


def rollout_lessons(
    stages: Sequence[Stage], objectives: Sequence[Objective], optimisation: Optimisation
) -> list[Lesson]:
    """A lesson a stage, each with half the learning rate of the one before.

    Parameters
    ----------
    stages : in order.
    objectives : one a stage.
    optimisation : of the first stage; its number of steps is replaced by the stage's.

    Examples
    --------
    >>> lessons = rollout_lessons([Stage(9, 1), Stage(5, 4)], [dict, dict], Optimisation())
    >>> [(x.optimisation.steps, x.optimisation.learning_rate, x.name) for x in lessons]
    [(9, 0.001, 'unroll 1'), (5, 0.0005, 'unroll 4')]
    """
    return [
        Lesson(
            objective,
            replace(
                optimisation, steps=stage.steps, learning_rate=optimisation.learning_rate / 2**i
            ),
            f"unroll {stage.unroll}",
        )
        for i, (stage, objective) in enumerate(zip(stages, objectives, strict=True))
    ]


def train_lessons(
    model: nn.Module,
    lessons: Sequence[Lesson],
    *,
    seed: int,
    folder: Path | None,
    fabric: "Fabric | None",
    label: str,
) -> list[TrainingReport]:
    """Train on one lesson after the other; each has its own batches and checkpoints.

    Parameters
    ----------
    model : trained in place.
    lessons : in order.
    seed : of the batches; lesson i draws from its own stream.
    folder : where checkpoints are kept, `stage-i` for lesson i; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Returns
    -------
    One `TrainingReport` a lesson.

    Examples
    --------
    >>> import torch
    >>> layer = nn.Linear(1, 1)
    >>> def objective(model, generator):
    ...     x = torch.randn(8, 1, generator=generator)
    ...     return {"loss": (model(x) - 2 * x).square().mean()}
    >>> lessons = [Lesson(objective, Optimisation(steps=n), f"{n} steps") for n in (2, 3)]
    >>> reports = train_lessons(layer, lessons, seed=0, folder=None, fabric=None, label="line")
    >>> [len(report.losses) for report in reports]
    [2, 3]
    """
    return [
        train(
            model,
            lesson.objective,
            lesson.optimisation,
            seed=stream(seed, "stage", i).initial_seed() % 2**31,
            folder=folder / f"stage-{i}" if folder else None,
            fabric=fabric,
            label=f"{label}, {lesson.name}",
        )
        for i, lesson in enumerate(lessons)
    ]
