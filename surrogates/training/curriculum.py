"""Training in several stretches, one objective after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from pushforward.surrogates.training.loop import Objective, Optimisation, TrainingReport, train
from pushforward.surrogates.training.randomness import stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Lesson", "train_lessons"]


@dataclass(frozen=True)
class Lesson:
    """A stretch of training: what is minimised, how, and its name in progress lines."""

    objective: Objective
    optimisation: Optimisation
    name: str


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
