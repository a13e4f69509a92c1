"""Metrics as the papers code them: closed forms, invariances, refusals."""

import math

import pytest
import torch

from pushforward.benchmarks.metrics import (
    AS_CODED_METRICS,
    correlation_structure,
    discrimination_score,
    entropic_wasserstein,
    euclidean_sinkhorn_divergence,
    pearson_differences,
    signature_distance,
)
from pushforward.simulators.errors import DataError

pytestmark = pytest.mark.usefixtures("unchecked")


def cloud(n=20, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_entropic_value_of_two_points_is_its_closed_form():
    """Two points a side at distance D: one number p decides the plan, the rest is algebra."""
    far = 0.4
    x = torch.tensor([[0.0], [far]], dtype=torch.float64)
    p = 1 / (1 + math.exp(-far / 0.1))  # share of mass that stays
    kl = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    assert entropic_wasserstein(x, x) == pytest.approx((1 - p) * far + 0.1 * kl, rel=1e-4)


def test_the_divergence_vanishes_on_equal_clouds_and_is_the_distance_of_two_points():
    x = cloud()
    assert euclidean_sinkhorn_divergence(x, x) == pytest.approx(0, abs=1e-6)
    assert entropic_wasserstein(x, x) != pytest.approx(0, abs=1e-3)
    a, b = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    assert euclidean_sinkhorn_divergence(a, b) == pytest.approx(5, rel=1e-5)


def test_signatures_of_a_translation_are_norms_of_it():
    x, shift = cloud(), torch.tensor([3.0, -4.0, 0.0, 0.0], dtype=torch.float64)
    values = {
        name: metric.compute(x + shift, x, x, 1.0)
        for name, metric in AS_CODED_METRICS.items()
        if name.startswith(("signature", "median"))
    }
    for centre in ("signature", "median"):
        assert values[f"{centre}_l2"] == pytest.approx(5)
        assert values[f"{centre}_l1"] == pytest.approx(7)
        assert values[f"{centre}_mse"] == pytest.approx(25 / 4)
    outlier = torch.cat((x, torch.full((1, 4), 1e3, dtype=torch.float64)))
    assert signature_distance(outlier, x, centre="median") < 1 < signature_distance(outlier, x)


def test_correlation_structure_sees_correlations_and_nothing_else():
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(4, 4, generator=g, dtype=torch.float64)
    x = cloud(4000) @ mix
    again = cloud(4000, seed=1) @ mix
    assert correlation_structure(x, again) > 0.98
    assert correlation_structure(5 * x - 3, again) == pytest.approx(
        correlation_structure(x, again), abs=1e-9
    )
    flipped = x * torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert correlation_structure(flipped, again) < 0.9
    flat = x * torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert math.isfinite(correlation_structure(flat, again))


def test_differences_keep_their_sign_and_identity_scores_nothing():
    control, step = cloud(), torch.tensor([1.0, 2.0, -1.0, 0.0], dtype=torch.float64)
    assert pearson_differences(control + step, control + 2 * step, control) == pytest.approx(1)
    assert pearson_differences(control - step, control + step, control) == pytest.approx(-1)
    assert pearson_differences(control, control + step, control) == 0


def test_discrimination_counts_the_changes_that_are_nearer():
    others = torch.tensor([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    zero = torch.zeros(2)
    assert discrimination_score(zero, torch.tensor([0.5, 0.0]), others) == 1
    assert discrimination_score(zero, torch.tensor([2.0, 0.0]), others) == 0.5
    assert discrimination_score(zero, torch.tensor([99.0, 0.0]), others) == 0.25
    order = torch.tensor([2, 0, 1])
    assert discrimination_score(zero, others[0], others[order]) == discrimination_score(
        zero, others[0], others
    )


def test_refusals():
    x = cloud()
    with pytest.raises(DataError, match="at least one"):
        discrimination_score(x[0], x[1], x[:0])
    with pytest.raises(DataError, match="correlation structure needs at least 3"):
        correlation_structure(x[:, :2], x[:, :2])
    with pytest.raises(DataError, match="centre = 'mode'"):
        signature_distance(x, x, centre="mode")
    broken = x.clone()
    broken[0, 0] = math.nan
    for metric in AS_CODED_METRICS.values():
        with pytest.raises(DataError, match="3 coordinates, true cells 4"):
            metric.compute(x[:, :3], x, x, 1.0)
        with pytest.raises(DataError, match="1 of 20 predicted cells hold NaN"):
            metric.compute(broken, x, x, 1.0)
