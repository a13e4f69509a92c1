"""Advection of a scalar: known translations, total variation, mass, gradients."""

import math
from itertools import pairwise

import pytest
import torch

from pushforward.simulators.turbulence import PeriodicGrid, advect_scalar, random_velocity
from pushforward.simulators.turbulence.advection import ADVECTION_SCHEMES

CELLS = 101
H = 1 / CELLS


def carried(c, velocity, spacing, dt, steps, scheme):
    for _ in range(steps):
        c = c + dt * advect_scalar(c, velocity, spacing, dt, scheme)
    return c


def along(axis, values):
    """A profile along one axis of a grid of five cells the other way, and unit velocity."""
    c = values[:, None].expand(-1, 5) if axis == 0 else values[None, :].expand(5, -1)
    velocity = torch.zeros(2, *c.shape, dtype=c.dtype)
    velocity[axis] = 1.0
    return c, velocity


def gaussian():
    x = -0.5 + (torch.arange(CELLS, dtype=torch.float64) + 0.5) * H
    return torch.exp(-30 * x**2)


def square_pulse():
    x = torch.arange(CELLS)
    return ((x > 20) & (x < 50)).double()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("scheme", "courant", "steps", "most"),
    [
        ("van_leer", 0.5, 100, 2e-2),
        ("upwind", 0.5, 100, 7e-2),
        ("lax_wendroff", 0.5, 100, 2e-2),
        ("central", 0.01, 1000, 5e-2),
    ],
)
def test_a_gaussian_arrives_where_it_should(axis, sign, scheme, courant, steps, most):
    c, velocity = along(axis, gaussian())
    after = carried(c, sign * velocity, (H, H), courant * H, steps, scheme)
    expected = c.roll(sign * round(courant * steps), axis)
    error = (after - expected).abs().max()
    assert error < most
    if scheme == "upwind":
        assert error > 2e-2  # a first-order scheme smears more than the limited one may


def test_orders_of_a_smooth_wave():
    """Measured in the mean: first order for upwind, second for Lax-Wendroff, near it for the
    limiter, which is of first order at the two extrema only."""
    orders = {}
    for scheme in ("upwind", "van_leer", "lax_wendroff"):
        errors = []
        for n in (64, 128):
            h = 2 * math.pi / n
            x = (torch.arange(n, dtype=torch.float64) + 0.5) * h
            c, velocity = along(0, torch.sin(x))
            after = carried(c, velocity, (h, h), 0.5 * h, n // 2, scheme)
            errors.append((after - c.roll(n // 4, 0)).abs().mean().item())
        orders[scheme] = math.log2(errors[0] / errors[1])
    assert orders["upwind"] == pytest.approx(1.0, abs=0.1)
    assert orders["lax_wendroff"] == pytest.approx(2.0, abs=0.1)
    assert orders["upwind"] + 0.5 < orders["van_leer"] < 2.3


@pytest.mark.parametrize("courant", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("scheme", ADVECTION_SCHEMES)
def test_total_variation_never_rises_with_a_limiter(scheme, courant):
    c, velocity = along(1, square_pulse())
    limited = scheme in ("van_leer", "upwind")
    variation = [2.0]
    for _ in range(300):
        c = carried(c, velocity, (H, H), courant * H, 1, scheme)
        variation.append((c[0] - c[0].roll(1)).abs().sum().item())
        if variation[-1] > 2.5:
            break
    rises = max(b - a for a, b in pairwise(variation))
    if limited:
        assert rises < 1e-6
        assert -1e-12 < c.min() < c.max() < 1 + 1e-12
    elif courant < 1 or scheme == "central":
        assert rises > 1e-3  # without one it does, so the test can tell


def test_mass_is_kept():
    """1000 van Leer steps in a random flow, with mass moved about by it."""
    grid = PeriodicGrid.of((24, 17), (2.0, 1.5))
    velocity = random_velocity(grid, seed=0, max_velocity=1.0, peak_wavenumber=8)
    x, y = grid.points()
    start = 1 + torch.sin(math.pi * x) * torch.cos(2 * math.pi * y / 1.5)
    after = carried(start, velocity, grid.spacing, 0.02, 1000, "van_leer")
    assert (after.sum() / start.sum() - 1).abs() < 1e-13
    assert (after - start).abs().max() > 0.5
    assert start.min() - 0.05 < after.min() < after.max() < start.max() + 0.05


@pytest.mark.parametrize("scheme", ["van_leer", "lax_wendroff", "central"])
@pytest.mark.parametrize("constant", [True, False])
def test_gradient_of_the_carried_energy_is_the_start(scheme, constant):
    """Ten steps keep ½|c|² but for the scheme's own error, so its gradient in c_0 is c_0; also
    where c is constant and the limiter meets 0/0."""
    values = torch.full((CELLS,), 0.7, dtype=torch.float64) if constant else gaussian()
    c, velocity = along(0, values)
    c = c.clone().requires_grad_()
    after = carried(c, velocity, (H, H), 0.1 * H, 10, scheme)
    (gradient,) = torch.autograd.grad(after.square().sum() / 2, c)
    assert torch.isfinite(gradient).all()
    assert (gradient - c).abs().max() < (1e-12 if constant else 1e-2)
