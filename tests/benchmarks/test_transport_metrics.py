"""The transport diagnostics against values worked out by hand."""

import numpy as np
import pytest

from pushforward.benchmarks.metrics.transport import (
    filament_preservation,
    mixing,
    transport_errors,
)


def curve(x):
    return 0.9 - 0.8 * x**2


def test_error_norms_of_two_cells_by_hand():
    q, exact, weight = np.array([1.5, 2.0]), np.array([1.0, 3.0]), np.array([1.0, 3.0])
    errors = transport_errors(q, exact, weight, exact)
    assert errors.l1 == pytest.approx((0.5 + 3) / 10)
    assert errors.l2 == pytest.approx(np.sqrt((0.25 + 3) / 28))
    assert errors.linf == pytest.approx(1 / 3)
    assert errors.phi_min == pytest.approx(0.25)
    assert errors.phi_max == pytest.approx(-0.5)


def test_filaments_count_the_area_above_a_threshold():
    initial, weight = np.array([0.1, 0.5, 1.0]), np.array([1.0, 1.0, 2.0])
    thinned = np.array([0.4, 0.5, 0.6])
    got = filament_preservation(thinned, initial, weight, np.array([0.1, 0.3, 0.7, 2.0]))
    np.testing.assert_allclose(got, [100, 400 / 3, 0, 0])


def test_mixing_is_zero_on_the_curve_and_classed_off_it():
    x = np.linspace(0.1, 1, 50)
    assert max(mixing(x, curve(x), np.ones(50))) < 1e-12
    # The middle of the chord: real mixing. Its distance is found by brute force.
    a, b = np.array([0.55]), np.array([(0.892 + 0.1) / 2])
    s = np.linspace(0.1, 1, 200001)
    brute = np.sqrt(((a - s) / 0.9) ** 2 + ((b - curve(s)) / 0.792) ** 2).min()
    one = np.ones(1)
    np.testing.assert_allclose(mixing(a, b, one), [brute, 0, 0], atol=1e-9)
    assert mixing(np.array([0.9]), np.array([0.5]), one).unmixing > 0
    beyond = mixing(np.array([1.1]), np.array([0.1]), one)
    assert beyond.overshooting > 0 == beyond.real
    halves = mixing(np.array([0.55, 0.1]), np.array([0.496, 0.892]), np.array([1.0, 3.0]))
    assert halves.real == pytest.approx(brute / 4)
