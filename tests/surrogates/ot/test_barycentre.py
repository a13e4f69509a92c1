"""Barycentres: Gaussians in closed form, translations, POT."""

import math

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import barycenter, free_barycenter

GRID = torch.linspace(-6, 6, 241, dtype=torch.float64)
COST = (GRID[:, None] - GRID) ** 2


def gaussian(mean, std):
    w = torch.exp(-0.5 * ((GRID - mean) / std).square())
    return w / w.sum()


def moments(q):
    mean = (q @ GRID).item()
    return mean, (q @ (GRID - mean).square()).item()


def test_debiased_barycentre_of_equal_gaussians_keeps_their_width():
    measures = torch.stack([gaussian(-1.5, 0.6), gaussian(2.0, 0.6)])
    weight = torch.tensor([0.25, 0.75], dtype=torch.float64)
    plain = moments(barycenter(COST, measures, eps=0.2, weight=weight))
    clean = moments(barycenter(COST, measures, eps=0.2, weight=weight, debiased=True, tol=1e-9))
    assert plain[0] == pytest.approx(-0.375 + 1.5, abs=1e-6)
    assert clean[0] == pytest.approx(-0.375 + 1.5, abs=1e-6)
    assert clean[1] == pytest.approx(0.36, abs=1e-5)
    assert plain[1] > 0.4


def test_agrees_with_pot():
    x = torch.linspace(0, 1, 20, dtype=torch.float64)
    C = (x[:, None] - x) ** 2
    measures = torch.softmax(
        torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), -1
    )
    weight = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    q = barycenter(C, measures, eps=0.02, weight=weight, tol=1e-10)
    # The log-domain form: for torch tensors the kernel form of POT 0.9.7 does not agree with it.
    expected = pot.barycenter(
        measures.T.contiguous(),
        C,
        0.02,
        weights=weight,
        stopThr=1e-13,
        numItermax=20000,
        method="sinkhorn_log",
    )
    torch.testing.assert_close(q, expected, atol=1e-6, rtol=0)
    one = barycenter(C.expand(3, 20, 20), measures, eps=0.02, weight=weight, tol=1e-10)
    torch.testing.assert_close(one, q)


def test_measures_with_empty_bins():
    ends = torch.eye(241, dtype=torch.float64)[[60, 180]]
    q = barycenter(COST, ends, eps=0.5)
    mean, variance = moments(q)
    assert mean == pytest.approx(0.0, abs=1e-6)
    # Of two Diracs the plan is blurred by eps/2 alone.
    assert variance == pytest.approx(0.25, rel=1e-3)


def test_free_support_of_translated_copies():
    x = torch.randn(15, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([4.0, -2.0], dtype=torch.float64)
    weight = torch.tensor([0.75, 0.25], dtype=torch.float64)
    y = free_barycenter([x, x + shift], x.flip(0), weight=weight)
    torch.testing.assert_close(y, x.flip(0) + 0.25 * shift)
    assert free_barycenter([x], x[:4], eps=0.5).shape == (4, 2)


def test_errors_and_warning():
    measures = torch.stack([gaussian(0, 1), gaussian(1, 1)])
    with pytest.raises(DataError, match="expected 1 each"):
        barycenter(COST, 2 * measures, eps=1.0)
    with pytest.raises(DataError, match="C has shape"):
        barycenter(COST[:, :9], measures, eps=1.0)
    with pytest.raises(DataError, match="debiased=True needs"):
        barycenter(COST.triu(), measures, eps=1.0, debiased=True)
    with pytest.raises(DataError, match="weight is"):
        barycenter(COST, measures, eps=1.0, weight=torch.tensor([-1.0, 2.0]))
    with pytest.raises(DataError, match="clouds is empty"):
        free_barycenter([], COST[:, :2])
    with pytest.warns(ConvergenceWarning, match="barycenter stopped after 2 sweeps"):
        barycenter(COST, measures, eps=0.01, max_iter=2)
    with pytest.warns(ConvergenceWarning, match="free_barycenter stopped after 1 steps"):
        free_barycenter([COST[:, :2]], COST[:5, :2] + math.pi, max_iter=1)
