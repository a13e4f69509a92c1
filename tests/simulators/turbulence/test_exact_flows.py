"""Both solvers against flows whose solution is known in closed form."""

import math
from functools import cache

import pytest
import torch

from pushforward.benchmarks.validation.turbulence import REFERENCE, orders, taylor_green_error
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    PeriodicGrid,
    SpectralSolver,
    divergence,
    taylor_green,
)

TAU = 2 * math.pi
OPTIONS = {
    "central+rk4": {"advection": "central", "stepper": "rk4"},
    "implicit": {"advection": "central", "diffusion": "implicit"},
}
SIZES = [32, 64, *(pytest.param(n, marks=pytest.mark.slow) for n in (128, 256))]


def solver_of(kind, shape, **options):
    solver = SpectralSolver if kind.startswith(("cn_", "etdrk", "imex")) else FiniteVolumeSolver
    return solver(shape, dtype=torch.float64, **OPTIONS.get(kind, {}), **options)


def offsets(solver):
    staggered = isinstance(solver, FiniteVolumeSolver)
    return ((1, 0.5), (0.5, 1)) if staggered else ((0, 0), (0, 0))


def exact(solver, t, **flow):
    return taylor_green(
        solver.grid, offsets(solver), t, viscosity=solver.viscosity, drag=solver.drag, **flow
    )


def error_after(solver, time, **flow):
    steps = round(time / solver.dt)
    state = solver.from_velocity(*exact(solver, 0.0, **flow))
    state = solver.advance(state, steps)
    error = solver.velocity(state) - exact(solver, steps * solver.dt, **flow)
    return error.abs().max().item()


standard_error = cache(taylor_green_error)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("scheme", sorted(REFERENCE))
def test_taylor_green_error_is_at_most_that_of_the_peer(scheme, n):
    assert standard_error(scheme, n) <= 1.01 * REFERENCE[scheme][n]


@pytest.mark.parametrize(
    ("scheme", "order"),
    [
        ("central, rk4", 2.0),
        ("central, euler", 2.0),
        ("central, implicit", 2.0),
        ("van Leer, euler", 1.1),
    ],
)
def test_orders_of_the_standard_case(scheme, order):
    """In the maximum norm, where the limiter is of first order at the extrema."""
    measured = orders({n: standard_error(scheme, n) for n in (32, 64)})
    assert measured[64] == pytest.approx(order, abs=0.15)


def test_central_differences_reach_the_predicted_error():
    """The five-point Laplacian decays a wave too slowly by k²h²/12: 2 nu T (h²/12) e^(−2 nu T)."""
    n, nu = 32, 1e-2
    solver = solver_of("central+rk4", (n, n), domain=TAU, viscosity=nu, dt=0.01)
    predicted = 2 * nu * (TAU / n) ** 2 / 12 * math.exp(-2 * nu)
    assert error_after(solver, 1.0) == pytest.approx(predicted, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "n", "least", "most"),
    [("central+rk4", 25, 1.9, 2.1), ("implicit", 24, 1.9, 2.1), ("van_leer", 24, 0.95, 2.0)],
)
def test_order_in_space_of_general_waves_on_a_rectangle(kind, n, least, most):
    """Odd sizes included. Central differences: 2. The limiter: 2 where smooth, 1 at extrema."""
    errors = []
    for cells in (n, 2 * n):
        solver = solver_of(
            kind, (cells, cells + cells // 2), domain=(TAU, 5.0), viscosity=2e-2, drag=0.1, dt=2e-3
        )
        errors.append(error_after(solver, 0.2, waves=(1, 2)))
    assert least < math.log2(errors[0] / errors[1]) < most


@pytest.mark.parametrize("shape", [(32, 48), (33, 47)])
def test_spectral_solver_is_exact_for_general_waves(shape):
    """Taylor-Green vortices do not advect themselves, so only the linear part acts."""
    solver = solver_of(
        "etdrk2", shape, domain=(TAU, 5.0), viscosity=2e-2, drag=0.1, dt=0.01, stepper="etdrk2"
    )
    assert error_after(solver, 0.5, waves=(3, 2)) < 1e-13


def test_moving_taylor_green_is_second_order_with_central_differences():
    errors = []
    for n in (32, 64):
        solver = solver_of("central+rk4", (n, n), domain=TAU, viscosity=1e-2, dt=0.2 / n)
        errors.append(error_after(solver, 0.5, waves=(1, 1), drift=(1.0, 0.5)))
    assert errors[1] < 1e-3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)


def test_moving_taylor_green_with_the_limiter():
    solver = solver_of("van_leer", (64, 64), domain=TAU, viscosity=1e-2, dt=0.01)
    assert error_after(solver, 0.5, waves=(1, 1), drift=(1.0, 0.5)) < 0.02


@pytest.mark.parametrize("kind", ["central+rk4", "implicit", "van_leer"])
@pytest.mark.parametrize("drift", [0.0, 0.7])
def test_laminar_kolmogorov_flow_is_steady(drift, kind):
    """u = A sin(4y)/(16 nu + mu), also seen from a frame moving along y (drag off)."""
    nu, drag = 0.05, 0.0 if drift else 0.1
    forcing = KolmogorovForcing(amplitude=0.5)
    solver = solver_of(kind, (8, 64), domain=TAU, viscosity=nu, drag=drag, forcing=forcing, dt=2e-3)
    h = TAU / 64
    eigenvalue = (2 - 2 * math.cos(4 * h)) / h**2
    amplitude = 0.5 * math.sin(2 * h) / (2 * h) / (eigenvalue * nu + drag)
    assert amplitude == pytest.approx(0.5 / (16 * nu + drag), rel=0.02)
    _, y = solver.grid.points((1, 0.5))
    u = drift + amplitude * torch.sin(4 * y).expand(8, 64)
    state = solver.from_velocity(u, torch.zeros(8, 64))
    assert (solver.advance(state, 200) - state).abs().max() < 1e-12


def test_laminar_kolmogorov_flow_is_steady_in_modes():
    nu, drag = 0.05, 0.1
    solver = solver_of(
        "etdrk2",
        (16, 32),
        domain=TAU,
        viscosity=nu,
        drag=drag,
        forcing=KolmogorovForcing(amplitude=0.5),
        dt=1e-2,
        stepper="etdrk2",
    )
    _, y = solver.grid.points((0, 0))
    u = (0.5 / (16 * nu + drag) * torch.sin(4 * y)).expand(16, 32)
    state = solver.from_velocity(u, torch.zeros(16, 32))
    after = solver.velocity(solver.advance(state, 100))
    assert (after[0] - u).abs().max() < 1e-13
    assert after[1].abs().max() < 1e-13


@pytest.mark.parametrize("kind", ["van_leer", "implicit", "etdrk4"])
def test_shear_wave_decays_at_its_rate(kind):
    nu, drag, k = 0.03, 0.2, 3
    solver = solver_of(kind, (8, 96), domain=TAU, viscosity=nu, drag=drag, dt=1e-3)
    _, y = solver.grid.points(offsets(solver)[0])
    u = torch.sin(k * y).expand(8, 96)
    after = solver.velocity(solver.advance(solver.from_velocity(u, 0 * u), 300))
    rate = nu * k**2 + drag
    tolerance = 1e-12 if kind == "etdrk4" else 1e-3
    assert (after[0] - math.exp(-0.3 * rate) * u).abs().max() < tolerance


def test_greater_viscosity_decays_faster():
    energies = []
    for nu in (1e-2, 2e-2):
        solver = solver_of("van_leer", (32, 32), domain=TAU, viscosity=nu, dt=0.01)
        energies.append(solver.advance(solver.initial(seed=0, max_velocity=2), 50).square().mean())
    assert energies[1] < energies[0]


@pytest.mark.parametrize("waves", [(2, 1), (1, 2), (3, 1)])
def test_taylor_green_vortices_have_no_divergence_and_decay_as_they_should(waves):
    """Exactly none in the continuum; on the staggered grid to second order."""
    found = []
    for n in (32, 64):
        grid = PeriodicGrid.of((n, n), (TAU, 5.0))
        field = taylor_green(grid, ((1, 0.5), (0.5, 1)), 0.0, viscosity=0.0, waves=waves)
        found.append(divergence(field, grid.spacing).abs().max())
        later = taylor_green(grid, ((1, 0.5), (0.5, 1)), 2.0, viscosity=0.1, drag=0.2, waves=waves)
        k_squared = waves[0] ** 2 + (TAU / 5.0 * waves[1]) ** 2
        torch.testing.assert_close(later, math.exp(-2.0 * (0.1 * k_squared + 0.2)) * field)
    assert math.log2(found[0] / found[1]) == pytest.approx(2.0, abs=0.2)
