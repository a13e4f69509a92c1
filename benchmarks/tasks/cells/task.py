"""The cells task: predict how an unseen population answers a treatment."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pushforward.benchmarks.result import Result, safe_name
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.cells.application import write_application
from pushforward.benchmarks.tasks.cells.config import CellsConfig
from pushforward.benchmarks.tasks.cells.models import (
    MODELS,
    REFERENCES,
    FittedModel,
    reference_rows,
)
from pushforward.benchmarks.tasks.cells.question import Question, plan, pose
from pushforward.benchmarks.tasks.cells.sample import gene_symbols, population_sample
from pushforward.benchmarks.tasks.cells.scoring import PopulationScores, score_populations
from pushforward.benchmarks.tasks.foreign import UNKNOWN_COST, check_row_name, write_foreign
from pushforward.benchmarks.tasks.judging import peak_memory_mb
from pushforward.datasets.cells import (
    CellData,
    hold_out_population,
    open_cells,
    open_predictions,
    write_predictions,
)
from pushforward.simulators.provenance import configuration_hash, provenance
from pushforward.surrogates.training import Progress, StopSignal, make_fabric

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TASK", "TASK_VERSION", "evaluate", "open_data", "plan", "pose", "run"]

log = logging.getLogger(__name__)

TASK = "cells"
TASK_VERSION = 1
HEADLINE = ["w2", "gap_closed_w2", "mmd", "gap_closed_mmd", "spread_error", "r2_differences"]


def open_data(config: CellsConfig) -> CellData:
    """The cells of a configuration: read from its files, or simulated."""
    if config.data is None:
        log.info("no --data given: simulated cells are used")
        return open_cells(config.simulation.simulate(seed=0))
    return open_cells(
        config.data,
        population_key=config.population_key,
        condition_key=config.condition_key,
        control=config.control,
    )


def run(config: CellsConfig, folder: RunFolder, *, device: str = "auto") -> list[Path]:
    """Train, predict and score every split and seed; finished parts are skipped.

    Parameters
    ----------
    config : what to do.
    folder : where results, models and predictions go; see `RunFolder`.
    device : auto, cpu, cuda, cuda:N.

    Returns
    -------
    Paths of all results files, old and new.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : with the exit codes 3, 4 and 75.
    """
    data = open_data(config)
    splits = plan(config, data)
    fabric = make_fabric(device)
    folder.claim(config.plain(), sweep=config.SWEEP)
    fingerprint = data.fingerprint()
    log.info(
        "%d splits x %d seeds on %s, results in %s",
        len(splits),
        config.n_seeds,
        fabric.device,
        folder.path,
    )
    written: list[Path] = []
    with StopSignal() as stop, Progress(len(splits) * config.n_seeds, "cells") as progress:
        for split in splits:
            question = None
            for seed in config.seeds:
                paths = {
                    model: folder.result_path(model, split.name, seed)
                    for model in (*config.models, *REFERENCES)
                }
                written += paths.values()
                missing = [model for model, path in paths.items() if not path.exists()]
                if missing:
                    question = question or pose(data, split, config)
                    for result in _answer(
                        question, missing, data, config, seed, folder, fabric, fingerprint
                    ):
                        result.write(folder.results)
                progress.advance()
                stop.raise_if_requested("every finished part")
    return written


def _answer(
    question: Question,
    models: Sequence[str],
    data: CellData,
    config: CellsConfig,
    seed: int,
    folder: RunFolder,
    fabric: "Fabric",
    fingerprint: str,
) -> Iterator[Result]:
    """Fit the models for one seed and score them, with the reference rows, on the same draws."""
    predictions, costs = _references(question, seed), {}
    for model in (m for m in models if m in MODELS):
        predictions[model], costs[model] = _predict(
            question, model, data, config, seed, folder, fabric
        )
    scores = score_populations(
        predictions,
        question.control,
        question.treated,
        seed=seed,
        n_draws=config.n_draws,
        other_effects=question.other_effects,
    )
    for model in models:
        yield _result(
            model,
            question,
            seed,
            scores,
            cost=costs.get(model, _no_cost()),
            config_hash=config.hash,
            preset=folder.preset,
            fingerprint=fingerprint,
            split_kind=config.split,
            sample=population_sample(question, predictions[model], gene_symbols(data))
            if seed == config.seed
            else {},
        )


def _predict(
    question: Question,
    model: str,
    data: CellData,
    config: CellsConfig,
    seed: int,
    folder: RunFolder,
    fabric: "Fabric",
) -> tuple[Tensor, dict[str, Any]]:
    """Fit one model, keep its weights and its prediction; returns the prediction and its cost."""
    split = question.split
    name = f"{model}-{safe_name(split.name)}-{seed}"
    label = f"{model} {split.name} seed {seed}"
    begun = time.monotonic()
    fitted = MODELS[model](
        question.training(fabric.device),
        config,
        {"seed": seed, "folder": folder.training / name, "fabric": fabric, "label": label},
    )
    trained = time.monotonic() - begun
    write_application(folder.models / name, question, data)
    fitted.model.save(folder.models / name)
    begun = time.monotonic()
    with torch.no_grad():
        moved = fitted.predict(question.control.to(fabric.device)).cpu()
    inference = time.monotonic() - begun
    write_predictions(
        folder.predictions / f"{name}.h5ad",
        data,
        split.test_control,
        question.features,
        moved.numpy(),
        treatment=split.treatment,
        attributes=provenance(seed=seed, configuration=config.plain()),
    )
    return moved, _cost(fitted, trained, inference, fabric)


def evaluate(
    config: CellsConfig,
    predictions: str | os.PathLike[str],
    folder: RunFolder,
    *,
    model: str,
) -> list[Path]:
    """Score predicted treated cells of any model, from a file, as `run` scores its own.

    Every group of the file (population and treatment) is scored on the split that leaves its
    population out, in coordinates fitted on the other populations, beside the reference rows.

    Parameters
    ----------
    config : names the data, their labels, seeds and draws.
    predictions : h5ad of predicted cells, see `open_predictions`.
    folder : where the results go.
    model : the name of the row.

    Returns
    -------
    Paths of the results files.
    """
    check_row_name(model, {*MODELS, *REFERENCES, "floor", "ceiling", "oracle_shift"})
    data = open_data(config)
    predicted = open_predictions(predictions, data)
    groups = [
        (hold_out_population(data, population, treatment), population)
        for population, treatment in predicted.groups
    ]
    questions = []
    for split, population in groups:
        question = pose(data, split, config)
        encoded = predicted.encoded(population, split.treatment, question.features)
        questions.append((question, torch.from_numpy(encoded)))
    fingerprint = data.fingerprint()
    results = []
    for question, cloud in questions:
        for seed in config.seeds:
            rows = {**_references(question, seed), model: cloud}
            scores = score_populations(
                rows,
                question.control,
                question.treated,
                seed=seed,
                n_draws=config.n_draws,
                other_effects=question.other_effects,
            )
            result = _result(
                model,
                question,
                seed,
                scores,
                cost=UNKNOWN_COST,
                config_hash=configuration_hash({**config.plain(), "model": model}),
                preset=folder.preset,
                fingerprint=fingerprint,
                sample=population_sample(question, cloud, gene_symbols(data))
                if seed == config.seed
                else {},
            )
            results.append(result)
    return write_foreign(results, folder)


def _references(question: Question, seed: int) -> dict[str, Tensor]:
    return reference_rows(
        question.training(question.control.device),
        question.control,
        len(question.treated),
        seed=seed,
        split=question.split.name,
    )


def _result(
    model: str,
    question: Question,
    seed: int,
    scores: PopulationScores,
    *,
    fingerprint: str,
    **rest: Any,
) -> Result:
    return Result(
        task=TASK,
        task_version=TASK_VERSION,
        model=model,
        seed=seed,
        split=question.split.name,
        metrics=scores.rows[model],
        reference={r: scores.values(r) for r in scores.rows if r != model and r not in MODELS},
        headline=HEADLINE,
        learned=model not in REFERENCES,
        data_fingerprint=fingerprint,
        **rest,
    )


def _cost(
    fitted: FittedModel, trained: float, inference: float, fabric: "Fabric"
) -> dict[str, Any]:
    return {
        "parameters": fitted.model.n_parameters,
        "train_seconds": round(trained, 3),
        "train_steps": fitted.steps,
        "inference_seconds": round(inference, 5),
        "nfe": fitted.nfe,
        "peak_memory_mb": peak_memory_mb(fabric.device),
        "device": str(fabric.device),
    }


def _no_cost() -> dict[str, Any]:
    return {
        "parameters": 0,
        "train_seconds": 0.0,
        "inference_seconds": 0.0,
        "nfe": 0,
        "peak_memory_mb": 0.0,
        "device": "cpu",
    }
