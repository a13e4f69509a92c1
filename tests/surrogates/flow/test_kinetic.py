"""The kinetic-optimal path: known answers, the formula, optimality."""

import math

import numpy as np
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    CosinePath,
    GaussianMixture,
    GaussianMixtureField,
    KineticOptimalPath,
    LinearPath,
    VPPath,
    empirical_mmse,
    kinetic_energy,
)

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(160)
Z, W = torch.tensor(NODES), torch.tensor(WEIGHTS / WEIGHTS.sum())


def two_points(s):
    """mmse of ±1 in noise: 1 - E tanh(s² + s z)."""
    s = s.double()[:, None]
    return (W * (1 - torch.tanh(s**2 + s * Z))).sum(1)


DATA = torch.tensor([[-1.0], [1.0]])


def test_monte_carlo_mmse_agrees_with_quadrature():
    s = torch.tensor([0.1, 0.5, 1.0, 2.0, 3.0]).double()
    got = empirical_mmse(DATA.double(), draws=4096)(s)
    assert torch.allclose(got, two_points(s), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("path", [LinearPath(), CosinePath(), VPPath()])
def test_formula_equals_the_mean_square_of_the_exact_velocity(path):
    # mmse of a Gaussian of variance v is v/(1 + s² v); here v = 0.4, so m = 0.4.
    v = 0.4
    target = GaussianMixture(torch.zeros(1, 1).double(), v)
    oracle = GaussianMixtureField(GaussianMixture.standard(1), target, path=path)
    lo, hi = path.time_range
    t = lo + (hi - lo) * (torch.arange(400).double() + 0.5) / 400
    var = path.sigma(t) ** 2 + path.alpha(t) ** 2 * v
    # u is linear in x: E u² = u(1)² Var x.
    u = oracle(torch.ones(400, 1).double(), t)[:, 0]
    expected = float((u**2 * var).mean() * (hi - lo))
    got = kinetic_energy(path, lambda s: 1 / (1 + s * s), scale=v**0.5, points=400)
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "path", [KineticOptimalPath.fit(DATA), KineticOptimalPath(two_points)], ids=["fit", "exact"]
)
def test_two_points_reach_the_optimum_within_one_per_cent(path):
    reference = KineticOptimalPath(two_points, points=20_000, kappa_floor=0.001)
    optimum = 2 - 2 * math.cos(reference.phi_max)
    assert reference.kinetic_energy == pytest.approx(optimum)
    assert path.kinetic_energy == pytest.approx(optimum, rel=0.01)
    assert kinetic_energy(path, two_points, points=8000) == pytest.approx(optimum, rel=0.01)


def test_it_beats_the_other_schedules():
    best = kinetic_energy(KineticOptimalPath(two_points), two_points)
    for path in (LinearPath(), CosinePath(), VPPath()):
        assert best < kinetic_energy(path, two_points)


def test_gaussian_data_need_no_transport_and_separated_data_the_line():
    nothing = KineticOptimalPath(lambda s: 1 / (1 + s * s))
    assert nothing.kinetic_energy == pytest.approx(0, abs=1e-6)
    t = torch.linspace(0, 1, 7).double()
    assert torch.allclose(
        nothing.alpha(t) ** 2 + nothing.sigma(t) ** 2, torch.ones(7).double(), atol=1e-3
    )
    line = KineticOptimalPath(lambda s: 0 * s)
    assert line.kinetic_energy == pytest.approx(2)
    assert torch.allclose(line.alpha(t), t, atol=1e-6)
    assert torch.allclose(line.sigma(t), 1 - t, atol=1e-6)


def test_few_points_in_high_dimension_approach_the_line():
    g = torch.Generator().manual_seed(0)
    energies = []
    for d in (2, 16, 1024):
        path = KineticOptimalPath.fit(
            torch.randn(4, d, generator=g), draws=64, points=200, generator=g
        )
        energies.append(path.kinetic_energy)
    assert energies[0] < energies[1] < energies[2]
    assert energies[2] == pytest.approx(2, abs=0.1)


def test_data_of_another_scale_reach_their_own_points():
    path = KineticOptimalPath.fit(5 * DATA)
    assert path.scale == pytest.approx(5)
    end = torch.tensor([0.0, 1.0]).double()
    assert torch.allclose(path.alpha(end), end, atol=1e-9)
    assert torch.allclose(path.sigma(end), 1 - end, atol=1e-9)
    got = kinetic_energy(path, two_points, scale=5.0, points=8000)
    assert got == pytest.approx(path.kinetic_energy, rel=0.01)
    assert got < kinetic_energy(LinearPath(), two_points, scale=5.0)


def test_errors():
    with pytest.raises(DataError, match="root mean square"):
        KineticOptimalPath.fit(torch.zeros(3, 2))
    with pytest.raises(DataError, match="kappa_floor"):
        KineticOptimalPath(two_points, kappa_floor=2.0)
    with pytest.raises(DataError, match="give a kappa_floor"):
        KineticOptimalPath(lambda s: 1 / (1 + s * s) * 1.01, kappa_floor=0.0)
