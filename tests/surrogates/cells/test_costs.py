"""Costs beyond the Euclidean: their gaps where the optimum is known, and sparse displacements."""

import numpy as np
import pytest
import torch

from pushforward.surrogates.cells import (
    ElasticCost,
    MongeMap,
    MongeObjective,
    MongeOptions,
    PNormCost,
    displacement_sparsity,
    soft_threshold,
)
from pushforward.surrogates.ot import monge_gap
from pushforward.surrogates.training import Optimisation, train

COSTS = [PNormCost(1.5), PNormCost(2.0), ElasticCost(0.7)]


def cloud(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("cost", COSTS)
def test_translations_have_no_gap_and_reflections_the_gap_of_sorting(cost):
    x = cloud(40, 3)
    assert monge_gap(x, x + torch.tensor([1.0, -2.0, 0.5]), cost=cost).abs() < 1e-9
    line = cloud(40, 1)
    # On the line a convex cost is least when both sides are sorted.
    ordered = line.sort(0).values
    least = cost(ordered, (-line).sort(0).values).diagonal().mean()
    gap = cost(line, -line).diagonal().mean() - least
    assert gap > 0.1
    torch.testing.assert_close(monge_gap(line, -line, cost=cost), gap)


def test_the_shrunk_displacement_minimises_the_elastic_cost():
    """prox: argmin_z ½|z − u|² + γ|z|₁, found on a grid."""
    grid = np.linspace(-4, 4, 8001)
    for u in (-2.0, -0.5, 0.3, 1.7):
        best = grid[np.argmin(0.5 * (grid - u) ** 2 + 0.7 * np.abs(grid))]
        assert soft_threshold(torch.tensor([u]), 0.7).item() == pytest.approx(best, abs=1e-3)


def test_an_elastic_map_moves_only_the_coordinate_that_changed(unchecked):
    x, z = cloud(600, 4).float(), cloud(600, 4, seed=1).float()
    y = z + torch.tensor([3.0, 0.0, 0.0, 0.0])

    def fitted(cost, shrinkage):
        model = MongeMap(4, hidden=(16,), shrinkage=shrinkage, seed=0)
        options = MongeOptions(cost=cost, l1_weight=1.0, batch_size=128, gap_weight=0.3)
        train(
            model,
            MongeObjective({"a": (x, y)}, options),
            Optimisation(steps=150, learning_rate=0.01),
            seed=0,
        )
        with torch.no_grad():
            return model(x)

    sparse, dense = fitted("elastic", 1.5), fitted("sqeuclidean", 0.0)
    assert (sparse - x).mean(0)[0] == pytest.approx(3.0, abs=0.4)
    assert (sparse - x)[:, 1:].mean(0).abs().max() < 0.2
    assert ((sparse - x)[:, 1:] == 0).float().mean() > 0.6
    assert not ((dense - x)[:, 1:] == 0).any()
    assert displacement_sparsity(x, sparse) > 0.45 > 0.2 > displacement_sparsity(x, dense)
