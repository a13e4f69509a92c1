"""What a trained model of cells needs beside its weights, to be applied to other files."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.benchmarks.tasks.cells.question import Question
from pushforward.datasets.cells import CellData, CellFeatures
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.surrogates.blocks import Surrogate, load_any
from pushforward.surrogates.cells import (
    ConditionalMongeMap,
    MetaFlowMatching,
    MongeMap,
    PopulationMongeMap,
)

__all__ = ["Application", "read_application", "write_application"]

FEATURES = "features.safetensors"
DESCRIPTION = "application.json"
UNKNOWN = "(held out)"  # the name of a population that no model knows


@dataclass(frozen=True)
class Application:
    """How a model was asked, in the words of the data it was trained on.

    Parameters
    ----------
    treatment : the condition that it predicts.
    condition : that treatment's drug and dose, or its label.
    held_out : the split; its cells were not seen in training.
    population_key, condition_key, control : of the training data.
    measure : what their X held.
    """

    treatment: str
    condition: dict[str, Any]
    held_out: str
    population_key: str
    condition_key: str
    control: str
    measure: str

    def predict(self, model: Surrogate, control: Tensor) -> Tensor:
        """Where the model sends the control cells of one population."""
        with torch.no_grad():
            if isinstance(model, MetaFlowMatching):
                condition = {"population": UNKNOWN, "treatment": self.treatment}
                return model(control, condition=condition).cpu()
            if isinstance(model, ConditionalMongeMap):
                return model(control, condition=self.condition).cpu()
            return model(control).cpu()


def write_application(folder: Path, question: Question, data: CellData) -> None:
    """Write features and `application.json` into the folder of a model."""
    question.features.save(folder / FEATURES)
    split = question.split
    application = Application(
        split.treatment,
        dict(question.conditions[split.treatment]),
        split.name,
        data.population_key,
        data.condition_key,
        data.control,
        data.measure,
    )
    write_json(folder / DESCRIPTION, asdict(application))


def read_application(
    folder: str | os.PathLike[str],
) -> tuple[Surrogate, CellFeatures, Application]:
    """Read a model of cells with what it needs.

    Raises
    ------
    DataError : no model there, one that is of no use for cells, or one without its features, as
        older versions of this package wrote them.
    """
    kinds = (MongeMap, PopulationMongeMap, MetaFlowMatching, ConditionalMongeMap)
    model = load_any(folder, kinds)
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise DataError(
            f"{folder} holds a {type(model).__name__} without {DESCRIPTION} and {FEATURES}, the "
            "coordinates that it works in: an older version wrote it, or they were removed. Train "
            "it again with `pushforward run cells`."
        )
    try:
        application = Application(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    return model, CellFeatures.load(Path(folder) / FEATURES), application
