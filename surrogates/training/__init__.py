"""One training loop for every domain: data order, checkpoint, resume, devices, signals."""

from pushforward.surrogates.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from pushforward.surrogates.training.curriculum import Lesson, rollout_lessons, train_lessons
from pushforward.surrogates.training.devices import device_of, make_fabric, resolve_device
from pushforward.surrogates.training.loop import Optimisation, TrainingReport, train
from pushforward.surrogates.training.progress import Progress
from pushforward.surrogates.training.randomness import stream
from pushforward.surrogates.training.signals import StopSignal
from pushforward.surrogates.training.stage import Stage

__all__ = [
    "Checkpoint",
    "Lesson",
    "Optimisation",
    "Progress",
    "Stage",
    "StopSignal",
    "TrainingReport",
    "device_of",
    "load_checkpoint",
    "make_fabric",
    "resolve_device",
    "rollout_lessons",
    "save_checkpoint",
    "stream",
    "train",
    "train_lessons",
]
