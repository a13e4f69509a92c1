"""Scores of predicted populations beside reference rows, all on the same random draws."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics import (
    AS_CODED_METRICS,
    POPULATION_METRICS,
    discrimination_score,
    fraction_closed,
)
from pushforward.benchmarks.result import Metric
from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix
from pushforward.surrogates.training import stream

__all__ = ["PopulationScores", "score_populations"]

LARGEST = 1000  # cells a side; the exact distances are cubic in it

METRICS = {**POPULATION_METRICS, **AS_CODED_METRICS}
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
    other_effects: Float[Tensor, "k d"] | None = None,
) -> PopulationScores:
    """Compare predicted cells with held-out treated cells, at equal numbers, over random draws.

    In each draw the treated cells are halved: half B is the target, half A the noise floor (what
    a perfect model would score). Every row gives as many cells as B has. Rows added here:

    - `floor`: half A against half B;
    - `oracle_shift`: control cells moved by the mean effect measured on half A, which no model
      may see: what the best mean shift could do;
    - `ceiling`: halves of a bootstrap sample of twice their size against each other, as cell-eval
      does it. Cells that both halves drew make it a little better than the floor.

    The standard errors are over draws and describe the drawing alone: the draws share cells.

    Parameters
    ----------
    predictions : name -> predicted cells; `identity` must be among them for the share of the gap.
    control : the control cells given at test time.
    treated : the held-out treated cells.
    seed : of the draws; the same for all models, so that differences are paired.
    n_draws : number of halvings.
    other_effects : mean changes of other populations, among which `discrimination` looks for the
        true one; without them it is left out.

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
        drawn = torch.randint(len(treated), (2, n), generator=stream(seed, "ceiling", draw))
        bootstrap, again = treated[drawn[0]], treated[drawn[1]]
        clouds = {
            "floor": half_a,
            "ceiling": bootstrap,
            "oracle_shift": given + half_a.mean(0) - control.mean(0),
        }
        for name, predicted in predictions.items():
            # Rows with one cell for each control cell show the same cells: differences are paired.
            same = len(predicted) == len(control)
            own = index if same else torch.randperm(len(predicted), generator=generator)[:n]
            clouds[name] = predicted[own]
        for name, cloud in clouds.items():
            target = again if name == "ceiling" else half_b
            values = {
                metric: definition.compute(cloud, target, given, eps)
                for metric, definition in METRICS.items()
            }
            if other_effects is not None and len(other_effects):
                predicted, true = (z.mean(0) - given.mean(0) for z in (cloud, target))
                values["discrimination"] = discrimination_score(predicted, true, other_effects)
            for metric, value in values.items():
                draws.setdefault(name, {}).setdefault(metric, []).append(value)
    rows = {name: _summary(values, draws) for name, values in draws.items()}
    return PopulationScores(rows, n)


def _summary(
    values: dict[str, list[float]], draws: dict[str, dict[str, list[float]]]
) -> dict[str, Metric]:
    summary = {
        metric: Metric.over_draws(numbers, unit=_unit(metric), best=_best(metric))
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


def _unit(metric: str) -> str:
    return METRICS[metric].unit if metric in METRICS else "1"


def _best(metric: str) -> str:
    return METRICS[metric].best if metric in METRICS else "highest"
