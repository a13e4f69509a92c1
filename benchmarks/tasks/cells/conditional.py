"""The conditional Monge map as a row of the cells task: drugs by a table, doses by their log."""

from typing import TYPE_CHECKING

from torch import Tensor

from pushforward.benchmarks.tasks.cells.conditions import chunks_of
from pushforward.benchmarks.tasks.cells.question import Training
from pushforward.surrogates.cells import fit_conditional_map

if TYPE_CHECKING:
    from pushforward.benchmarks.tasks.cells.config import CellsConfig
    from pushforward.benchmarks.tasks.cells.models import FitContext, FittedModel

__all__ = ["fit_conditional"]


def fit_conditional(
    training: Training, config: "CellsConfig", context: "FitContext"
) -> "FittedModel":
    """Fit on all training groups, told of each its drug and dose (or its label, without keys).

    Raises
    ------
    DataError : the treatment asked for cannot be encoded, such as a label that training lacks;
        before any training.
    """
    from pushforward.benchmarks.tasks.cells.models import FittedModel

    conditions = {name: training.conditions[t] for name, (_, t) in training.groups.items()}
    asked = training.conditions[training.treatment]
    chunks = chunks_of(
        list(conditions.values()), asked, training.drugs, training.treatment, config.dose_curve
    )
    model = fit_conditional_map(
        training.populations,
        conditions,
        chunks,
        recipe=config.conditional,
        **context,
    )

    def predict(control: Tensor) -> Tensor:
        return model(control, condition=asked)

    return FittedModel(model, predict, config.conditional.optimisation.steps, nfe=1)
