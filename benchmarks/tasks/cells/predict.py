"""A trained model of cells applied to a file: its control cells, as they would be treated."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pushforward.benchmarks.tasks.cells.application import read_application
from pushforward.benchmarks.tasks.origin import model_origin
from pushforward.datasets.cells import open_cells, write_predictions
from pushforward.datasets.forecasts import new_file
from pushforward.simulators.errors import DataError
from pushforward.surrogates.training.devices import resolve_device

__all__ = ["predict"]

log = logging.getLogger(__name__)

ON_ONE_SCALE = {"counts", "log-normalised"}  # counts are normalised and logged on reading


def predict(
    folder: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    populations: Sequence[str] | None = None,
    population_key: str | None = None,
    condition_key: str | None = None,
    control: str | None = None,
    device: str = "auto",
) -> Path:
    """Predict the treated cells of every population of a file from its control cells.

    Parameters
    ----------
    folder : of the saved model.
    data : h5ad file with control cells and the genes of the training data; treated cells in it
        are not looked at, and need not be there.
    out : h5ad file to write, in the layout of `open_predictions`; must not exist.
    populations : those to predict; default: all with control cells. Models that look at the whole
        of a population see one at a time.
    population_key, condition_key, control : of the file; default: as in the training data.
    device : auto, cpu, cuda, cuda:N.

    Returns
    -------
    The path.

    Raises
    ------
    DataError : no model there, or one that cannot be applied; missing columns, labels, populations
        or genes; values on another scale; an existing file.
    """
    path = new_file(out)
    device = resolve_device(device)
    model, features, application = read_application(folder)
    source = open_cells(
        data,
        population_key=population_key or application.population_key,
        condition_key=condition_key or application.condition_key,
        control=control or application.control,
        controls_only=True,
    )
    if (
        source.measure != application.measure
        and not {
            source.measure,
            application.measure,
        }
        <= ON_ONE_SCALE
    ):
        raise DataError(
            f"X of {data} holds {source.measure} values; the model was trained on "
            f"{application.measure} ones. Give values of that kind, or counts."
        )
    if unknown := sorted(set(populations or ()) - set(source.populations)):
        raise DataError(
            f"no population {', '.join(map(repr, unknown))} in {data}. Populations present: "
            f"{', '.join(source.populations)}."
        )
    rows = {p: source.rows(p, source.control) for p in populations or source.populations}
    rows = {p: r for p, r in rows.items() if len(r)}
    if not rows:
        raise DataError(f"{', '.join(populations or ())} of {data} has no control cell.")
    log.info(
        "%s: %d control cells of %d populations as %r",
        folder,
        sum(map(len, rows.values())),
        len(rows),
        application.treatment,
    )
    model.to(device)
    moved = [
        application.predict(model, torch.from_numpy(features.transform(source, r)).to(device))
        for r in rows.values()
    ]
    for population, cells in zip(rows, moved, strict=True):
        if not torch.isfinite(cells).all():
            raise DataError(
                f"the prediction for population {population!r} is not finite: its cells lie too "
                "far from those of training."
            )
    write_predictions(
        path,
        source,
        np.concatenate(list(rows.values())),
        features,
        torch.cat(moved).numpy(),
        treatment=application.treatment,
        attributes=model_origin(model, folder),
    )
    return path
