"""The fused kernels agree with the differentiable eager steps to rounding."""

import math

import pytest
import torch

from pushforward.simulators.errors import DivergedError
from pushforward.simulators.turbulence import FiniteVolumeSolver, KolmogorovForcing, divergence

DOMAIN = (2 * math.pi, 5.0)
SCHEMES = [
    {},
    {"advection": "central", "stepper": "rk4"},
    {"advection": "lax_wendroff", "stepper": "midpoint"},
    {"advection": "upwind", "stepper": "heun"},
    {"diffusion": "implicit"},
]


def make(shape, dtype=torch.float64, dt=0.01, **options):
    return FiniteVolumeSolver(
        shape,
        domain=DOMAIN,
        viscosity=1e-2,
        drag=0.1,
        forcing=KolmogorovForcing(wavenumber=4 * math.pi / 5),
        dt=dt,
        dtype=dtype,
        **options,
    )


def eager(solver, state, n_steps):
    for _ in range(n_steps):
        state = solver.step(state.clone().requires_grad_()).detach()
    return state


@pytest.mark.parametrize("shape", [(16, 16), (17, 24), (20, 33)])
@pytest.mark.parametrize("options", SCHEMES)
def test_kernels_equal_the_eager_steps(shape, options):
    solver = make(shape, **options)
    state = solver.initial(seed=0, batch=(2,))
    fast = solver.advance(state, 3)
    assert (fast - eager(solver, state, 3)).abs().max() < 1e-13
    alone = solver.advance(state[1], 3)  # a batch is its members, up to the transforms' rounding
    assert (alone - fast[1]).abs().max() < 1e-13


@pytest.mark.parametrize("options", [SCHEMES[0], SCHEMES[-1]])
def test_single_precision(options):
    solver = make((24, 17), torch.float32, **options)
    state = solver.initial(seed=1)
    assert (solver.advance(state, 3) - eager(solver, state, 3)).abs().max() < 1e-5
    assert divergence(solver.advance(state, 50), solver.spacing).abs().max() < 1e-3


def test_the_state_passed_in_is_left_alone_and_runs_can_be_cut():
    solver = make((16, 24))
    state = solver.initial(seed=0)
    before = state.clone()
    whole = solver.advance(state, 4)
    assert torch.equal(state, before)
    assert torch.equal(solver.advance(solver.advance(state, 3), 1), whole)
    assert torch.equal(solver.advance(state, 0), state)


def test_momentum_is_kept_by_every_scheme():
    """Without forcing and drag the mean velocity is constant to rounding."""
    for options in SCHEMES:
        solver = FiniteVolumeSolver(
            (16, 24), domain=DOMAIN, viscosity=1e-2, dt=0.01, dtype=torch.float64, **options
        )
        state = solver.initial(seed=0, max_velocity=3.0) + 0.5
        mean = solver.advance(state, 20).mean((-2, -1))
        assert (mean - 0.5).abs().max() < 1e-14


def test_kernels_report_the_step_of_divergence():
    solver = FiniteVolumeSolver(
        (16, 16),
        domain=2 * math.pi,
        viscosity=0.0,
        dt=0.02,
        forcing=KolmogorovForcing(amplitude=100.0),
    )
    state = solver.initial(seed=0, max_velocity=1.0)
    with pytest.raises(DivergedError, match="diverged at step") as fast:
        solver.advance(state, 100)
    with pytest.raises(DivergedError) as slow:
        solver.advance(state.clone().requires_grad_(), 100)
    assert str(fast.value).split(":")[0] == str(slow.value).split(":")[0]


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
    assert (one - two).abs().max() < 1e-13


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_has_its_threads_back(threads):
    """A small grid is stepped on one thread, whatever torch may use elsewhere."""
    solver = make((16, 16), torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        solver.advance(solver.initial(seed=0), 2)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow  # a minute of compiling
@pytest.mark.filterwarnings("ignore")
def test_the_compiled_step_is_the_eager_one(unchecked):
    """What a GPU is given; compiled for the CPU here."""
    solver = make((16, 16), torch.float32)
    state = solver.initial(seed=0)
    with torch.no_grad():
        ours, theirs = solver._compiled_step(state), solver._eager_step(state)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
