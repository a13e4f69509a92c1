"""The models of the cells task: each is fitted on training groups and then moves control cells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from torch import Tensor

from pushforward.benchmarks.tasks.cells.conditional import fit_conditional
from pushforward.benchmarks.tasks.cells.question import Training
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.cells import (
    fit_flow,
    fit_monge_map,
    fit_population_map,
    identity,
    mean_shift,
    pasted,
)
from pushforward.surrogates.training import stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pushforward.benchmarks.tasks.cells.config import CellsConfig

__all__ = ["MODELS", "REFERENCES", "FitContext", "FittedModel", "reference_rows"]


class FitContext(TypedDict):
    """Where and how a model is fitted: the arguments that every fit takes.

    Parameters
    ----------
    seed : of weights and batches.
    folder : for checkpoints, this fit's own; a killed fit goes on from there.
    fabric : device and precision.
    label : at the start of progress lines.
    """

    seed: int
    folder: Path
    fabric: "Fabric"
    label: str


@dataclass(frozen=True)
class FittedModel:
    """A trained model as the task uses it.

    Parameters
    ----------
    model : saved under `models/`.
    predict : control cells of the held-out question -> treated ones, one for each, on the
        training device.
    steps : gradient steps taken.
    nfe : calls of the network for one prediction.
    """

    model: Surrogate
    predict: Callable[[Tensor], Tensor]
    steps: int
    nfe: int


Fit = Callable[[Training, "CellsConfig", FitContext], FittedModel]


def _monge_map(training: Training, config: "CellsConfig", context: FitContext) -> FittedModel:
    fitted = fit_monge_map(
        training.populations,
        hidden=tuple(config.hidden),
        options=config.objective,
        optimisation=config.optimisation,
        select_every=config.select_every,
        **context,
    )
    return FittedModel(fitted.model, fitted.model, fitted.steps, nfe=1)


def _flow(embedding: Literal["none", "one_hot"] | None) -> Fit:
    """A flow with this embedding; None: the one the configuration names."""

    def fit(training: Training, config: "CellsConfig", context: FitContext) -> FittedModel:
        network = config.flow_network
        options = config.flow
        if embedding is not None:  # nothing is embedded, so nothing alternates
            network = replace(network, embedding=embedding)
            options = replace(options, schedule="joint")
        fitted = fit_flow(
            training.populations,
            network=network,
            options=options,
            optimisation=config.flow_optimisation,
            choice=config.calibration,
            groups=training.groups,
            **context,
        )

        def predict(control: Tensor) -> Tensor:
            # The held-out population has no name that a model could know.
            condition = {"population": "(held out)", "treatment": training.treatment}
            return fitted.model(control, condition=condition)

        return FittedModel(fitted.model, predict, fitted.steps, nfe=2 * network.ode_steps)

    return fit


def _population_map(training: Training, config: "CellsConfig", context: FitContext) -> FittedModel:
    fitted = fit_population_map(
        training.populations,
        hidden=tuple(config.hidden),
        options=config.objective,
        optimisation=config.population_optimisation,
        choice=config.calibration,
        groups=training.groups,
        **context,
    )
    return FittedModel(fitted.model, fitted.model, fitted.steps, nfe=1)


MODELS: dict[str, Fit] = {
    "monge_map": _monge_map,
    "population_map": _population_map,
    "mfm": _flow(None),
    "fm": _flow("none"),
    "one_hot": _flow("one_hot"),
    "conditional_map": fit_conditional,
}
"""Name -> fit. A model sees `Training` alone, so held-out cells cannot reach it."""

REFERENCES = ("mean_shift", "identity", "pasted")
"""Rows that learn nothing and stand beside every model."""


def reference_rows(
    training: Training, control: Tensor, n: int, *, seed: int, split: str
) -> dict[str, Tensor]:
    """Predictions of the rows that learn nothing: for `control`, or `n` cells pasted."""
    generator = stream(seed, "pasted", split)
    return {
        "mean_shift": mean_shift(control, training.populations),
        "identity": identity(control),
        "pasted": pasted(n, training.populations, generator=generator),
    }
