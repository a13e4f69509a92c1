"""Scores of predicted populations beside reference rows, all on the same random draws."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics import POPULATION_METRICS, fraction_closed
from pushforward.benchmarks.result import Metric
from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix
from pushforward.surrogates.training import stream

__all__ = ["PopulationScores", "score_populations"]

LARGEST = 1000  # cells a side; the exact distances are cubic in it

CLOSED = ("w2", "mmd")  # distances whose share of the identity-to-floor gap is stated


@dataclass(frozen=True)
class PopulationScores:
    """Row name -> metric name -> `Metric`; rows hold the models, the floor and the oracle."""

    rows: dict[str, dict[str, Metric]]
    n_cells: int

    def values(self, row: str) -> dict[str, float]:
        """The bare numbers of a row, as they stand beside other rows in a results file."""
        return {name: metric.value for name, metric in self.rows[row].items()}


def score_populations(
    predictions: Mapping[str, Float[Tensor, "_ d"]],
    control: Float[Tensor, "n d"],
    treated: Float[Tensor, "m d"],
    *,
    seed: int,
    n_draws: int,
) -> PopulationScores:
    """Compare predicted cells with held-out treated cells, at equal numbers, over random draws.

    In each draw the treated cells are halved: half B is the target, half A the noise floor (what
    a perfect model would score). Every row gives as many cells as B has. Rows added here:

    - `floor`: half A against half B;
    - `oracle_shift`: control cells moved by the mean effect measured on half A, which no model
      may see: what the best mean shift could do.

    The standard errors are over draws and describe the drawing alone: the draws share cells.

    Parameters
    ----------
    predictions : name -> predicted cells; `identity` must be among them for the share of the gap.
    control : the control cells given at test time.
    treated : the held-out treated cells.
    seed : of the draws; the same for all models, so that differences are paired.
    n_draws : number of halvings.

    Raises
    ------
    DataError : fewer than 4 treated cells or 2 cells in a row: halves would be too small.
    """
    n = min(len(treated) // 2, len(control), LARGEST, *(len(p) for p in predictions.values()))
    if n < 2:
        raise DataError(
            f"{len(treated)} treated cells and rows of {[len(p) for p in predictions.values()]} "
            "cells; halving needs 4 treated cells and 2 cells a row."
        )
    eps = 0.1 * cost_matrix(treated[:LARGEST], treated[:LARGEST]).mean().item()
    if not eps > 0:
        raise DataError("the held-out treated cells all coincide; there is no law to compare with.")
    draws: dict[str, dict[str, list[float]]] = {}
    for draw in range(n_draws):
        generator = stream(seed, "score", draw)
        order = torch.randperm(len(treated), generator=generator)
        half_a, half_b = treated[order[:n]], treated[order[n : 2 * n]]
        index = torch.randperm(len(control), generator=generator)[:n]
        given = control[index]
        clouds = {"floor": half_a, "oracle_shift": given + half_a.mean(0) - control.mean(0)}
        for name, predicted in predictions.items():
            # Rows with one cell for each control cell show the same cells: differences are paired.
            same = len(predicted) == len(control)
            own = index if same else torch.randperm(len(predicted), generator=generator)[:n]
            clouds[name] = predicted[own]
        for name, cloud in clouds.items():
            for metric, definition in POPULATION_METRICS.items():
                value = definition.compute(cloud, half_b, given, eps)
                draws.setdefault(name, {}).setdefault(metric, []).append(value)
    rows = {name: _summary(values, draws) for name, values in draws.items()}
    return PopulationScores(rows, n)


def _summary(
    values: dict[str, list[float]], draws: dict[str, dict[str, list[float]]]
) -> dict[str, Metric]:
    summary = {
        metric: Metric.over_draws(
            numbers, unit=POPULATION_METRICS[metric].unit, best=POPULATION_METRICS[metric].best
        )
        for metric, numbers in values.items()
    }
    for metric in CLOSED:
        if "identity" not in draws:
            continue
        try:
            share, error = fraction_closed(
                values[metric], draws["identity"][metric], draws["floor"][metric]
            )
        except DataError:
            continue  # no effect to predict: the share is undefined and left out of the row
        n = len(values[metric])
        summary[f"gap_closed_{metric}"] = Metric(share, error, n, "1", "highest")
    return summary
