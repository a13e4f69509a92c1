"""One training loop for every domain: exact resume, atomic checkpoints, honest failure."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.surrogates.training.checkpoint import load_checkpoint, restore, save_checkpoint
from pushforward.surrogates.training.progress import Progress
from pushforward.surrogates.training.randomness import stream
from pushforward.surrogates.training.signals import StopSignal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Optimisation", "TrainingReport", "train"]

log = logging.getLogger(__name__)

Objective = Callable[[nn.Module, torch.Generator], Mapping[str, Tensor]]
Evaluation = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class Optimisation:
    """How a model is optimised: AdamW with a constant or cosine learning rate, warmed up or not.

    Parameters
    ----------
    steps
        number of gradient steps, one batch each
    learning_rate
        step size of AdamW at the start
    weight_decay
        decoupled weight decay of AdamW
    schedule
        constant, or cosine down to final_fraction of the learning rate
    final_fraction
        where the cosine ends, as a share of the learning rate
    clip_norm
        largest norm of the gradient; longer gradients are scaled down to it
    warm_up
        first steps, in which the learning rate grows linearly to that of the schedule

    Examples
    --------
    >>> warm = Optimisation(steps=10, learning_rate=1.0, schedule="cosine", warm_up=2)
    >>> [round(warm.rate(step), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.505, 0.01]
    """

    steps: int = 1000
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    schedule: Literal["constant", "cosine"] = "constant"
    final_fraction: float = 0.01
    clip_norm: float = 10.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} = {getattr(self, name)} must be positive.")
        for name in ("weight_decay", "warm_up"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} = {getattr(self, name)} must not be negative.")

    def rate(self, step: int) -> float:
        """Learning rate of a step: a function of its number, so nothing needs saving."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        share = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self.learning_rate * (self.final_fraction + (1 - self.final_fraction) * share)


@dataclass(frozen=True)
class TrainingReport:
    """What a training run did: steps, evaluations by step, seconds spent in this process."""

    steps: int
    history: list[dict[str, int | float]]
    seconds: float
    resumed_from: int
    losses: list[float] = field(default_factory=list, repr=False)


def train(
    model: nn.Module,
    objective: Objective,
    optimisation: Optimisation,
    *,
    seed: int,
    folder: Path | None = None,
    evaluate: Evaluation | None = None,
    evaluate_every: int = 0,
    checkpoint_every: int = 100,
    fabric: "Fabric | None" = None,
    label: str = "training",
) -> TrainingReport:
    """Minimise an objective; stop, resume and fail in ways that can be relied on.

    The batch of a step is a function of (seed, step): the objective draws from the generator it
    is handed, which is `stream(seed, "step", step, rank)`. A resumed run therefore equals an
    uninterrupted one bit for bit on the CPU.

    Parameters
    ----------
    model : trained in place. Left on the device it was trained on.
    objective : `(model, generator) -> {"loss": scalar, other named scalars}`. Draws its batch
        from the generator, which lives on the CPU so that every device sees the same batches.
    optimisation : steps, learning rate and the rest.
    seed : of the batches.
    folder : where `checkpoint.safetensors` is kept; None keeps nothing. If the file is there, the
        run continues from it.
    evaluate : `model -> {name: number}`, called after every `evaluate_every` steps and at the end.
    checkpoint_every : steps between checkpoints; the last step is always saved.
    fabric : Lightning Fabric for device, precision and ranks; None: this process, CPU, float32.
    label : at the start of the progress line.

    Returns
    -------
    TrainingReport; `losses` holds the losses of this process's steps.

    Raises
    ------
    DivergedError : the loss or a gradient is not finite: names the step, the terms or the
        parameter, and the last good checkpoint.
    InterruptedRun : a signal came; the state is saved.
    DataError : the folder holds a checkpoint of another configuration.

    Examples
    --------
    >>> layer = nn.Linear(1, 1)
    >>> def objective(model, generator):
    ...     x = torch.randn(8, 1, generator=generator)
    ...     return {"loss": (model(x) - 2 * x).square().mean()}
    >>> report = train(layer, objective, Optimisation(steps=300, learning_rate=0.05), seed=0)
    >>> abs(layer.weight.item() - 2) < 0.05
    True
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay
    )
    path = folder / "checkpoint.safetensors" if folder else None
    identity = {"optimisation": asdict(optimisation), "seed": seed}
    history: list[dict[str, int | float]] = []
    start = 0
    if path is not None and path.exists():
        saved = load_checkpoint(path)
        _check_same(saved.state["identity"], identity, path)
        restore(saved, model, optimizer)
        start, history = saved.step, saved.state["history"]
    runner, optimizer_ = (model, optimizer) if fabric is None else fabric.setup(model, optimizer)
    rank = 0 if fabric is None else fabric.global_rank

    def save(step: int) -> None:
        if path is not None and rank == 0:
            save_checkpoint(
                path,
                step=step,
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
                state={"identity": identity, "history": history},
            )

    begun = time.monotonic()
    losses: list[float] = []
    model.train()
    with StopSignal() as stop, Progress(optimisation.steps, label, start=start) as progress:
        for step in range(start, optimisation.steps):
            for group in optimizer.param_groups:
                group["lr"] = optimisation.rate(step)
            with _located(step, path):
                terms = objective(runner, stream(seed, "step", step, rank))
            _check_terms(terms, step, path)
            optimizer_.zero_grad(set_to_none=True)
            if fabric is None:
                terms["loss"].backward()
            else:
                fabric.backward(terms["loss"])
            norm = nn.utils.clip_grad_norm_(model.parameters(), optimisation.clip_norm)
            _check_gradient(norm, model, step, path)
            optimizer_.step()
            losses.append(terms["loss"].item())
            done = step + 1
            last = done == optimisation.steps
            if evaluate is not None and (last or (evaluate_every and done % evaluate_every == 0)):
                model.eval()
                with torch.no_grad(), _located(step, path):
                    history.append({"step": done, **evaluate(model)})
                model.train()
            halt = _any_rank(stop.requested, fabric)
            if last or halt or done % checkpoint_every == 0:
                save(done)
            if halt:
                stop.raise_if_requested(f"step {done} of {label}")
            progress.advance(loss=losses[-1])
    model.eval()
    seconds = time.monotonic() - begun
    return TrainingReport(optimisation.steps, history, seconds, start, losses)


def _check_same(saved: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    if saved == wanted:
        return
    flat_saved = {**saved["optimisation"], "seed": saved["seed"]}
    flat = {**wanted["optimisation"], "seed": wanted["seed"]}
    differing = [
        f"{k}: {flat_saved.get(k)} there, {flat[k]} now"
        for k in flat
        if flat_saved.get(k) != flat[k]
    ]
    raise DataError(
        f"{path} belongs to another configuration ({'; '.join(differing)}). "
        "Use another output folder, or the same options."
    )


def _kept(path: Path | None) -> str:
    if path is None or not path.exists():
        return "No checkpoint had been written."
    return f"The last good checkpoint is {path} (step {load_checkpoint(path).step})."


@contextmanager
def _located(step: int, path: Path | None) -> Iterator[None]:
    """Add the step and the way back to a divergence that the model's own code noticed."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(
            f"{error} at step {step + 1}. {_kept(path)} Lower the learning rate."
        ) from error


def _check_terms(terms: Mapping[str, Tensor], step: int, path: Path | None) -> None:
    if torch.isfinite(terms["loss"]):
        return
    values = ", ".join(f"{name} = {value.item():.4g}" for name, value in terms.items())
    raise DivergedError(
        f"the loss is not finite at step {step + 1} ({values}). {_kept(path)} "
        "Lower the learning rate, or check the data for extreme values."
    )


def _check_gradient(norm: Tensor, model: nn.Module, step: int, path: Path | None) -> None:
    if torch.isfinite(norm):
        return
    names = [
        name
        for name, p in model.named_parameters()
        if p.grad is not None and not torch.isfinite(p.grad).all()
    ]
    raise DivergedError(
        f"the gradient is not finite at step {step + 1}, first in parameter "
        f"{names[0] if names else '(overflow of the norm)'!r}, though the loss is finite. "
        f"{_kept(path)} Lower the learning rate; look for a division or root at zero."
    )


def _any_rank(flag: bool, fabric: "Fabric | None") -> bool:
    """All ranks must stop at the same step, or the next collective call would wait for ever."""
    if fabric is None or fabric.world_size == 1:
        return flag
    total = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(torch.as_tensor(total).item() > 0)
