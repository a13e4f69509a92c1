"""Time steppers on equations with known solutions: tolerances and orders."""

import math

import pytest
import torch

from pushforward.simulators.turbulence import FiniteVolumeSolver, KolmogorovForcing
from pushforward.simulators.turbulence.exponential import SPECTRAL_STEPPERS, stage_table

EXPLICIT_ORDERS = {
    "euler": 1,
    "cn_rk2": 2,
    "cn_rk3": 3,
    "cn_rk4": 4,
    "imex_sil3": 2,  # 3 where the right-hand side is linear
    "etdrk2": 2,
    "etdrk4": 4,
}
# With part of the right-hand side implicit, Crank-Nicolson limits the order to 2.
MIXED_ORDERS = {**EXPLICIT_ORDERS, "cn_rk3": 2, "cn_rk4": 2}
# After 100 steps of 0.01: exponential growth, harmonic oscillator.
TOLERANCES = {
    "euler": (5e-2, 1e-2),
    "cn_rk2": (1e-4, 3e-5),
    "cn_rk3": (1e-6, 6e-8),
    "cn_rk4": (1e-9, 5e-11),
    "imex_sil3": (1e-6, 6e-8),
    "etdrk2": (1e-4, 3e-5),
    "etdrk4": (1e-8, 1e-9),
}


def integrate(stepper, linear, explicit, start, *, dt, steps):
    """Steps of u' = linear u + explicit(u) through the table that the spectral solver uses."""
    z = torch.as_tensor(dt * linear, dtype=torch.float64)
    table = stage_table(stepper, z)
    u = torch.as_tensor(start, dtype=torch.float64)
    for _ in range(steps):
        terms, stage = [u], u
        for row in table:
            terms.append(dt * explicit(stage))
            stage = sum(c * x for c, x in zip(row, terms, strict=True) if c is not None)
        u = stage
    return u


def test_every_stepper_is_listed():
    assert set(EXPLICIT_ORDERS) == set(TOLERANCES) == set(SPECTRAL_STEPPERS)


@pytest.mark.parametrize("stepper", sorted(TOLERANCES))
def test_growth_and_oscillation_after_a_hundred_steps(stepper):
    growth, oscillation = TOLERANCES[stepper]
    one = integrate(stepper, 0.0, lambda u: u, 1.0, dt=1e-2, steps=100)
    assert (one - math.e).abs() < growth
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    state = integrate(stepper, 0.0, lambda u: quarter @ u, [1.0, 0.0], dt=1e-2, steps=100)
    exact = torch.tensor([math.cos(1), -math.sin(1)], dtype=torch.float64)
    assert (state - exact).abs().max() < oscillation


@pytest.mark.parametrize("stepper", sorted(TOLERANCES))
def test_decay_by_the_linear_part_alone(stepper):
    after = integrate(stepper, -2.0, lambda u: 0 * u, 1.0, dt=1e-2, steps=100)
    most = {"etdrk2": 1e-13, "etdrk4": 1e-13, "euler": 5e-3}.get(stepper, 2e-5)
    assert (after - math.exp(-2)).abs() < most


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("stepper", sorted(TOLERANCES))
def test_order_on_the_logistic_equation(stepper, mixed):
    """u' = −u + u², u = 1/(1 + (1/u_0 − 1) e^t), −u either in the linear part or in the other."""
    exact = 1 / (1 + math.e)
    errors = []
    for steps in (8, 16):
        u = integrate(
            stepper,
            -1.0 if mixed else 0.0,
            (lambda u: u**2) if mixed else (lambda u: u**2 - u),
            0.5,
            dt=1 / steps,
            steps=steps,
        )
        errors.append((u - exact).abs().item())
    order = (MIXED_ORDERS if mixed else EXPLICIT_ORDERS)[stepper]
    assert order - 0.3 < math.log2(errors[0] / errors[1]) < order + 1.2


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({"stepper": "euler"}, 1),
        ({"stepper": "midpoint"}, 2),
        ({"stepper": "heun"}, 2),
        ({"stepper": "rk4"}, 4),
        ({"diffusion": "implicit"}, 1),
    ],
)
def test_order_in_time_of_the_finite_volume_solver(options, order):
    """Three step sizes against each other on one grid, projection after every stage included."""
    ends = []
    for steps in (8, 16, 32):
        solver = FiniteVolumeSolver(
            (16, 20),
            domain=2 * math.pi,
            viscosity=2e-2,
            drag=0.1,
            forcing=KolmogorovForcing(),
            dt=0.4 / steps,
            advection="central",
            max_velocity=2.0,
            dtype=torch.float64,
            **options,
        )
        ends.append(solver.advance(solver.initial(seed=0, max_velocity=2.0), steps))
    coarse, fine = (ends[i] - ends[i + 1] for i in (0, 1))
    assert math.log2(coarse.norm() / fine.norm()) == pytest.approx(order, abs=0.25)
