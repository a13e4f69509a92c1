"""Spherical harmonics: closed forms, quadrature, Parseval, round trips, symmetries, errors."""

import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import (
    SphericalHarmonicTransform,
    associated_legendre,
    latitude_quadrature,
)


def grid(n_lat, n_lon, nodes="half-offset"):
    mu, _ = latitude_quadrature(n_lat, nodes)
    return np.arccos(mu)[:, None], (2 * np.pi * np.arange(n_lon) / n_lon)[None, :]


def transform(n_lat, n_lon, **options):
    return SphericalHarmonicTransform(n_lat, n_lon, dtype=torch.float64, **options)


def random_coefficients(t, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(t.degrees, t.orders, 2, generator=generator, dtype=torch.float64)
    a[:, 0, 1] = 0
    a = torch.view_as_complex(a)
    degree, m = torch.meshgrid(torch.arange(t.degrees), torch.arange(t.orders), indexing="ij")
    return torch.where(m <= degree, a, 0)


@pytest.mark.parametrize("n", [5, 8, 33])
@pytest.mark.parametrize(("nodes", "degree"), [("half-offset", 1), ("gauss", 2)])
def test_quadrature_is_exact_up_to_its_degree(n, nodes, degree):
    mu, weights = latitude_quadrature(n, nodes)
    assert (np.diff(mu) > 0).all()
    assert (weights > 0).all()
    for power in range(degree * n):
        exact = 2 / (power + 1) if power % 2 == 0 else 0
        assert weights @ mu**power == pytest.approx(exact, abs=1e-13)
    beyond = degree * n + (degree * n) % 2
    assert n > 8 or abs(weights @ mu**beyond - 2 / (beyond + 1)) > 1e-13
    if nodes == "half-offset":
        np.testing.assert_allclose(
            np.arcsin(mu), np.radians((np.arange(n) + 0.5) * 180 / n - 90), atol=1e-15
        )


def test_legendre_functions_are_those_of_the_literature():
    mu, _ = latitude_quadrature(9)
    found = associated_legendre(mu, 7, 6)
    for degree in range(7):
        for m in range(6):
            exact = sph_harm_y(degree, m, np.arccos(mu), 0.0).real if m <= degree else 0 * mu
            np.testing.assert_allclose(found[m, degree], exact, atol=1e-13)


@pytest.mark.parametrize("nodes", ["half-offset", "gauss"])
def test_analytic_harmonics_give_single_coefficients(nodes):
    """Up to the highest degree of the grid, where Fejér's rule by itself would err."""
    theta, lam = grid(8, 16, nodes)
    t = transform(8, 16, nodes=nodes)
    for degree, m in ((0, 0), (1, 0), (3, 2), (7, 0), (7, 5), (7, 7)):
        field = torch.tensor(
            np.broadcast_to(sph_harm_y(degree, m, theta, lam).real, (8, 16)).copy()
        )
        expected = torch.zeros(8, 8, dtype=torch.complex128)
        expected[degree, m] = (
            1.0 if m == 0 else 0.5
        )  # Re Y_lm holds Y_lm and its conjugate by halves
        torch.testing.assert_close(t(field), expected, rtol=0, atol=1e-12)
    mu, weights = latitude_quadrature(8)
    by_rule = 2 * np.pi * (weights * associated_legendre(mu, 8, 1)[0, 7] ** 2).sum()
    assert abs(by_rule - 1) > 0.1


@pytest.mark.parametrize(("n_lat", "n_lon"), [(6, 12), (16, 32), (32, 64), (9, 10)])
def test_round_trip_and_parseval(n_lat, n_lon):
    t = transform(n_lat, n_lon)
    a = random_coefficients(t)
    field = t.inverse(a)
    torch.testing.assert_close(t(field), a, rtol=0, atol=1e-10)
    power = 2 * a.abs().square().sum(-1) - a[:, 0].abs().square()
    torch.testing.assert_close(t.power(field), power)
    _, weights = latitude_quadrature(4 * n_lat, "gauss")  # ∫ f² of the same field, finer
    fine = transform(4 * n_lat, n_lon * 2, degrees=t.degrees, orders=t.orders, nodes="gauss")
    square = fine.inverse(a).square().numpy()
    exact = (weights[:, None] * square).sum() * 2 * math.pi / (2 * n_lon)
    assert power.sum().item() == pytest.approx(exact, rel=1e-10)


def test_low_degrees_are_plain_quadrature():
    """Degrees up to (n − 1)/2: analysis is w_j P_lm(μ_j), Fejér's rule being exact."""
    t = transform(9, 16, degrees=5)
    mu, weights = latitude_quadrature(9)
    expected = weights * associated_legendre(mu, 5, 5)
    np.testing.assert_allclose(t.analysis.numpy(), expected, atol=1e-13)


def test_turning_in_longitude_turns_the_phase_and_keeps_the_power():
    t = transform(8, 16)
    field = torch.randn(3, 8, 16, generator=torch.Generator().manual_seed(0)).double()
    phase = torch.exp(-2j * math.pi * 3 / 16 * torch.arange(8).double())
    torch.testing.assert_close(t(field.roll(3, -1)), t(field) * phase)
    mirrored = t(field.flip(-2))
    degree, m = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    torch.testing.assert_close(mirrored, t(field) * (-1.0) ** (degree + m))
    torch.testing.assert_close(t.power(field.flip(-2)), t.power(field))


@pytest.mark.usefixtures("unchecked")
def test_errors():
    with pytest.raises(DataError, match="at most 8 degrees and 8 orders"):
        SphericalHarmonicTransform(8, 16, degrees=9)
    with pytest.raises(DataError, match="orders = 9"):
        SphericalHarmonicTransform(16, 16, orders=9)
    with pytest.raises(DataError, match="expected half-offset or gauss"):
        latitude_quadrature(8, "equiangular")
    with pytest.raises(DataError, match=r"a field of \(8, 15\)"):
        SphericalHarmonicTransform(8, 16)(torch.zeros(8, 15))
