"""The spectral solver's fused kernels agree with its differentiable eager steps to rounding."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
import torch

from pushforward.simulators.errors import DivergedError
from pushforward.simulators.turbulence import KolmogorovForcing, SpectralSolver
from pushforward.simulators.turbulence.exponential import SpectralStepper

STEPPERS = get_args(SpectralStepper)


def make(shape, dtype=torch.float64, **options):
    settings = {"domain": (2 * math.pi, 5.0), "viscosity": 1e-2, "drag": 0.1, "dt": 0.01}
    forcing = KolmogorovForcing(wavenumber=4 * math.pi / 5)
    return SpectralSolver(shape, **{"forcing": forcing, **settings, **options}, dtype=dtype)


def eager(solver, state, n_steps):
    for _ in range(n_steps):
        state = solver.step(state.clone().requires_grad_()).detach()
    return state


def distance(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("stepper", STEPPERS)
def test_kernels_equal_the_eager_steps_of_every_stepper(stepper):
    solver = make((17, 24), stepper=stepper)
    state = solver.initial(seed=0, batch=(2, 1))
    fast = solver.advance(state, 3)
    assert distance(fast, eager(solver, state, 3)) < 1e-14
    assert torch.equal(solver.step(state), solver.advance(state, 1))
    assert distance(solver.advance(state[1, 0], 3), fast[1, 0]) < 1e-14


@pytest.mark.parametrize("shape", [(16, 16), (18, 27), (20, 33), (4, 5)])
def test_kernels_equal_the_eager_steps_on_every_kind_of_grid(shape):
    """The 2/3 rule keeps other modes of sizes that 3 divides, or 2 does not."""
    solver = make(shape, forcing=KolmogorovForcing(wavenumber=2 * math.pi / 5))
    state = solver.initial(seed=0, max_velocity=3.0)
    assert distance(solver.advance(state, 3), eager(solver, state, 3)) < 1e-14


def test_modes_that_are_not_advected_feel_the_linear_part_and_the_forcing():
    """A forcing beyond the 2/3 rule, also with a step cut into two."""
    solver = make(
        (16, 24), forcing=KolmogorovForcing(wavenumber=20 * math.pi / 5), stepper="cn_rk4"
    )
    state = solver.initial(seed=0)
    fast = solver.advance(state, 4)
    assert distance(fast[:, 9:], eager(solver, state, 4)[:, 9:]) < 1e-14
    assert torch.equal(solver.advance(solver.advance(state, 3), 1), fast)
    assert torch.equal(solver.advance(state, 0), state)


def test_single_precision():
    solver = make((24, 17), torch.float32)
    state = solver.initial(seed=1)
    assert distance(solver.advance(state, 20), eager(solver, state, 20)) < 3e-6


def test_kernels_report_the_step_and_the_flow_of_divergence():
    solver = make((16, 16), dt=0.02, forcing=KolmogorovForcing(100.0, 2 * math.pi / 5))
    state = solver.initial(seed=0, max_velocity=1.0, batch=(2,))
    state[1] *= 2
    with pytest.raises(DivergedError, match=r"in flow \(1,\)") as fast:
        solver.advance(state, 100)
    with pytest.raises(DivergedError) as slow:
        solver.advance(state.clone().requires_grad_(), 100)
    assert str(fast.value) == str(slow.value)
    state[0, 3, 2] = math.nan
    with pytest.raises(DivergedError, match=r"step 0 .* flow \(0,\) .* no longer finite"):
        solver.advance(state, 1)


def test_one_solver_may_be_stepped_from_several_threads():
    solver = make((16, 24))
    states = solver.initial(seed=0, batch=(4,))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda state: solver.advance(state, 50), states))
    assert all(torch.equal(a, solver.advance(b, 50)) for a, b in zip(together, states, strict=True))


@pytest.mark.slow
def test_two_threads_give_the_same_numbers():
    solver = make((192, 192), dt=2e-3)
    state = solver.initial(seed=0)
    one = solver.advance(state, 2)
    torch.set_num_threads(2)
    try:
        two = solver.advance(state, 2)
    finally:
        torch.set_num_threads(1)
    assert distance(two, one) < 1e-14
