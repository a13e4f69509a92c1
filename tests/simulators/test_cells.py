import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pushforward.simulators.cells import ConvexResponse, PerturbedPopulations
from pushforward.simulators.errors import DataError


def test_response_is_the_gradient_of_its_potential():
    rng = np.random.default_rng(0)
    response = ConvexResponse(rng.normal(size=(3, 4)), rng.normal(size=3), 0.7)
    z, h = rng.normal(size=(5, 4)), 1e-5
    for axis in range(4):
        step = h * np.eye(4)[axis]
        slope = (response.potential(z + step) - response.potential(z - step)) / (2 * h)
        np.testing.assert_allclose(response(z)[:, axis], slope, atol=1e-8)


def test_each_type_is_moved_by_its_own_slope():
    rng = np.random.default_rng(1)
    centres = 8.0 * np.eye(3, 5)
    response = ConvexResponse.tangent(centres, rng.uniform(0.5, 1, 5), rng.normal(size=5), 1.0)
    np.testing.assert_allclose(response(centres) - centres, response.slopes, atol=1e-5)


def test_noise_free_map_is_optimal():
    """Exact assignment between control cells and their images is the identity (Brenier)."""
    cells = PerturbedPopulations(n_cells=150, measurement="none").simulate(seed=3)
    control = cells.X[(cells.obs["condition"] == "ctrl").to_numpy()]
    image = PerturbedPopulations.optimal_map(cells, control)
    cost = ((control[:, None] - image[None]) ** 2).sum(-1)
    _, column = linear_sum_assignment(cost)
    np.testing.assert_array_equal(column, np.arange(len(control)))
    assert np.linalg.norm(image - control, axis=1).mean() > 1.0


def test_treated_cells_follow_the_law_of_mapped_controls():
    cells = PerturbedPopulations(n_populations=1, n_cells=4000, measurement="none").simulate(seed=0)
    control = (cells.obs["condition"] == "ctrl").to_numpy()
    mapped = PerturbedPopulations.optimal_map(cells, cells.X[control])
    treated = cells.X[~control]
    error = np.abs(mapped.mean(0) - treated.mean(0))
    noise = np.sqrt(mapped.var(0) / 4000 + treated.var(0) / 4000)
    assert (error < 5 * noise + 1e-9).all()


def test_counts_have_the_stated_mean_and_dispersion():
    config = PerturbedPopulations(n_populations=1, n_cells=3000, n_types=1, dispersion=0.5)
    cells = config.simulate(seed=0)
    counts = cells.X.toarray()
    assert (counts == np.round(counts)).all()
    assert (counts >= 0).all()
    np.testing.assert_allclose(np.median(counts.sum(1)), 3000, rtol=0.05)
    mean, variance = counts.mean(0), counts.var(0)
    assert (variance > mean).mean() > 0.95


def test_seeds_repeat_and_differ():
    config = PerturbedPopulations(n_cells=20)
    first, again, other = (config.simulate(seed=s).X.toarray() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cells": 0}, "n_cells = 0 must be at least 1"),
        ({"n_genes": 4}, "n_genes = 4 < n_latent = 8"),
        ({"measurement": "photo"}, "measurement = 'photo'"),
        ({"treatments": ("ctrl",)}, "none of them 'ctrl'"),
    ],
)
def test_wrong_configurations_are_refused(options, message, unchecked):
    with pytest.raises(DataError, match=message):
        PerturbedPopulations(**options)
