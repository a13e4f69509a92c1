"""Metrics against brute force in NumPy, closed forms, invariances, and wrong input."""

import itertools

import numpy as np
import pytest
import torch

from pushforward.benchmarks.metrics import (
    POPULATION_METRICS,
    energy_distance,
    fraction_closed,
    mmd,
    r2_differences,
    r2_means,
)
from pushforward.simulators.errors import DataError


def clouds(n=7, m=7, d=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, d, generator=g, dtype=torch.float64),
        torch.randn(m, d, generator=g, dtype=torch.float64) + 0.5,
    )


def distances(x, y):
    return np.array([[np.linalg.norm(a - b) for b in y.numpy()] for a in x.numpy()])


def brute_wasserstein(x, y, p):
    cost = distances(x, y) ** p
    n = len(x)
    best = min(sum(cost[i, s[i]] for i in range(n)) / n for s in itertools.permutations(range(n)))
    return best ** (1 / p)


@pytest.mark.parametrize("p", [1, 2])
def test_wasserstein_equals_the_best_permutation(p):
    x, y = clouds(6, 6)
    value = POPULATION_METRICS[f"w{p}"].compute(x, y, x, 1.0)
    assert value == pytest.approx(brute_wasserstein(x, y, p), rel=1e-9)


def test_mmd_equals_the_double_sum():
    x, y = clouds(5, 8)
    gammas = (2.0, 0.1)
    expected = np.mean(
        [
            np.exp(-g * distances(x, x) ** 2).mean()
            + np.exp(-g * distances(y, y) ** 2).mean()
            - 2 * np.exp(-g * distances(x, y) ** 2).mean()
            for g in gammas
        ]
    )
    assert mmd(x, y, gammas=gammas) == pytest.approx(expected, rel=1e-9)


def test_mmd_uses_the_reference_bandwidths():
    x, y = clouds()
    assert mmd(x, y) == pytest.approx(
        mmd(x, y, gammas=(2.0, 1.0, 0.5, 0.1, 0.01, 0.005)), rel=1e-12
    )


def test_energy_distance_equals_the_double_sum():
    x, y = clouds(5, 8)
    expected = 2 * distances(x, y).mean() - distances(x, x).mean() - distances(y, y).mean()
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_sinkhorn_divergence_of_a_translation_is_its_squared_length():
    x, _ = clouds(20)
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    value = POPULATION_METRICS["sinkhorn_divergence"].compute(x + shift, x, x, 0.5)
    assert value == pytest.approx((shift**2).sum().item(), rel=1e-4)


def test_r2_of_means_equals_numpy():
    x, y = clouds(9, 4, d=6)
    expected = np.corrcoef(x.numpy().mean(0), y.numpy().mean(0))[0, 1] ** 2
    assert r2_means(x, y) == pytest.approx(expected, rel=1e-9)


def test_r2_of_differences_equals_numpy_and_ignores_the_offset():
    x, y = clouds(9, 4, d=6)
    y = y + (x.mean(0) * 2)  # a positive correlation of the differences
    control = torch.randn(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    differences = [c.numpy().mean(0) - control.numpy().mean(0) for c in (x, y)]
    correlation = np.corrcoef(*differences)[0, 1]
    assert correlation > 0
    value = r2_differences(x, y, control)
    assert value == pytest.approx(correlation**2, rel=1e-9)
    offset = torch.arange(6, dtype=torch.float64) * 10
    assert r2_differences(x + offset, y + offset, control + offset) == pytest.approx(value)


def test_r2_of_differences_gives_nothing_for_no_change_or_the_opposite():
    control, treated = clouds(8, 8)
    assert r2_differences(control, treated, control) == 0.0
    change = treated.mean(0) - control.mean(0)
    assert r2_differences(control - change, treated, control) == 0.0
    assert r2_differences(control + 0.1 * change, treated, control) == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(POPULATION_METRICS))
def test_perfect_prediction_has_the_best_value_and_order_does_not_matter(name):
    metric = POPULATION_METRICS[name]
    x, y = clouds(12, 12)
    control = y - torch.tensor([1.0, -2.0, 0.3], dtype=torch.float64)
    perfect = metric.compute(y, y, control, 1.0)
    assert perfect == pytest.approx(1.0 if metric.best == "highest" else 0.0, abs=1e-6)
    value = metric.compute(x, y, control, 1.0)
    assert (value > perfect) == (metric.best == "lowest")
    shuffled = metric.compute(x.flip(0), y.roll(3, 0), control, 1.0)
    assert shuffled == pytest.approx(value, rel=1e-5)


def test_correlations_of_flat_vectors_are_zero_not_rounding_noise():
    x, y = clouds(8, 8)
    assert r2_differences(x, y, y - 1.0) == 0.0
    assert r2_means(torch.ones(4, 3), y.float()) == 0.0


def test_spread_error_is_the_log_ratio_of_total_variances():
    x, _ = clouds(50)
    compute = POPULATION_METRICS["spread_error"].compute
    assert compute(2 * x, x, x, 1.0) == pytest.approx(np.log(4))
    assert compute(0.5 * x, x, x, 1.0) == pytest.approx(np.log(4))


def test_fraction_closed_runs_from_nothing_to_the_floor():
    identity, floor = [5.0, 6.0, 7.0], [1.0, 1.5, 2.0]
    assert fraction_closed(identity, identity, floor) == (0.0, 0.0)
    assert fraction_closed(floor, identity, floor)[0] == pytest.approx(1.0)
    assert fraction_closed([9.0, 9.0, 9.0], identity, floor)[0] < 0


def test_the_error_of_a_fraction_covers_its_scatter():
    """The stated standard error agrees with the spread over many repetitions."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(400):
        identity = 10 + rng.normal(size=20)
        floor = 2 + 0.3 * rng.normal(size=20)
        model = 6 + rng.normal(size=20)
        value, error = fraction_closed(list(model), list(identity), list(floor))
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_wrong_input_is_named(unchecked):
    x, y = clouds()
    with pytest.raises(DataError, match="have 3 coordinates, true cells 2"):
        mmd(x, y[:, :2])
    bad = x.clone()
    bad[1, 0] = float("nan")
    with pytest.raises(DataError, match="1 of 7 predicted cells hold NaN"):
        energy_distance(bad, y)
    with pytest.raises(DataError, match="1 of 7 true cells hold NaN"):
        r2_means(x, bad)
    with pytest.raises(DataError, match="3, 2 and 3 draws"):
        fraction_closed([1.0] * 3, [1.0] * 2, [1.0] * 3)
    with pytest.raises(DataError, match="already at the noise floor"):
        fraction_closed([1.0], [1.0], [2.0])
