"""Wrong input is refused with numbers and remedy; divergence is reported where it happens."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    downsample_velocity,
    random_velocity,
    stable_time_step,
)
from pushforward.simulators.turbulence.grid import PeriodicGrid

TAU = 2 * math.pi
GOOD = {"domain": TAU, "viscosity": 1e-3, "dt": 0.005}


@pytest.mark.parametrize("solver", [FiniteVolumeSolver, SpectralSolver])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.02}, "dt = 0.02 exceeds the advective limit h/max_velocity = 0.0981748/7"),
        ({"dt": 0.0}, "dt = 0.0 must be positive"),
        ({"viscosity": -1e-3}, "viscosity = -0.001 must be finite and at least 0"),
        ({"drag": -0.1}, "drag = -0.1 must be finite and at least 0"),
        ({"domain": (TAU, -1.0)}, "both positive"),
        ({"stepper": "rk5"}, "stepper = 'rk5' is unknown; choose one of"),
        ({"max_velocity": -1.0}, "max_velocity = -1.0 must be positive"),
        ({"forcing": KolmogorovForcing(wavenumber=4.5)}, "makes 4.5 waves on Ly"),
        ({"forcing": KolmogorovForcing(wavenumber=32)}, "use at least 65"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_construction_refuses(solver, change, message):
    with pytest.raises(DataError, match=message):
        solver((64, 64), **GOOD | change)


@pytest.mark.usefixtures("unchecked")
def test_finite_volume_options_are_refused():
    with pytest.raises(DataError, match=r"limit of explicit diffusion .* = 0.00240957 .*implicit"):
        FiniteVolumeSolver((64, 64), domain=TAU, viscosity=1.0, dt=0.005)
    FiniteVolumeSolver((64, 64), domain=TAU, viscosity=1.0, dt=0.005, diffusion="implicit")
    with pytest.raises(DataError, match="first-order splitting"):
        FiniteVolumeSolver((64, 64), **GOOD, diffusion="implicit", stepper="rk4")
    with pytest.raises(DataError, match="advection = 'weno' is unknown"):
        FiniteVolumeSolver((64, 64), **GOOD, advection="weno")
    with pytest.raises(DataError, match="at least 4 cells"):
        FiniteVolumeSolver((64, 3), **GOOD)


def test_max_velocity_none_leaves_the_check_to_the_run():
    solver = FiniteVolumeSolver((64, 64), domain=TAU, viscosity=1e-3, dt=0.05, max_velocity=None)
    with pytest.raises(DivergedError, match=r"at step 0 \(time 0\): the Courant number is"):
        solver.advance(solver.initial(seed=0), 5)
    solver.advance(solver.initial(seed=0, max_velocity=1.0), 5)


@pytest.mark.parametrize("solver_class", [FiniteVolumeSolver, SpectralSolver])
def test_divergence_is_reported_with_step_time_and_flow(solver_class):
    """One flow of the batch is pushed through the limit by a strong forcing."""
    solver = solver_class(
        (16, 16), domain=TAU, viscosity=0.0, dt=0.02, forcing=KolmogorovForcing(amplitude=2e3)
    )
    state = solver.initial(seed=0, batch=(3,), max_velocity=1.0)
    with pytest.raises(DivergedError, match=r"diverged at step 1 \(time 0.02\) in flow \(\d,\)"):
        solver.advance(state, 5)
    state[2] = float("nan")
    calm = solver_class((16, 16), domain=TAU, viscosity=0.0, dt=0.02)
    with pytest.raises(DivergedError, match=r"step 0 .*in flow \(2,\).* no longer finite"):
        calm.advance(state, 5)


@pytest.mark.parametrize("solver_class", [FiniteVolumeSolver, SpectralSolver])
@pytest.mark.usefixtures("unchecked")
def test_fields_of_another_grid_or_with_nan_are_refused(solver_class):
    solver = solver_class((16, 16), domain=TAU, viscosity=0.0, dt=0.02)
    with pytest.raises(DataError, match=r"u has shape \(16, 8\).*\(..., 16, 16\)"):
        solver.from_velocity(torch.zeros(16, 8), torch.zeros(16, 16))
    v = torch.zeros(16, 16)
    v[3, 4] = float("nan")
    with pytest.raises(DataError, match=r"v has 1 non-finite values, the first at \(3, 4\)"):
        solver.from_velocity(torch.zeros(16, 16), v)
    with pytest.raises(DataError, match="state has shape"):
        solver.step(torch.zeros(2, 8, 8))
    with pytest.raises(DataError, match="without any flow"):
        solver.from_velocity(torch.zeros(0, 16, 16), torch.zeros(0, 16, 16))
    state = solver.from_velocity(torch.zeros(1, 16, 16), torch.zeros(1, 16, 16))
    with pytest.raises(DataError, match="at least one flow|a flow or more"):
        solver.advance(state[:0], 1)


def test_mean_flow_is_refused_by_the_vorticity_form():
    solver = SpectralSolver((16, 16), domain=TAU, viscosity=0.0, dt=0.02)
    with pytest.raises(DataError, match="u has the mean 1; the vorticity form has no mean flow"):
        solver.from_velocity(torch.ones(16, 16), torch.zeros(16, 16))


def test_other_refusals():
    with pytest.raises(DataError, match=r"factor 3 does not divide the grid 8 x 12.*\[2, 4\]"):
        downsample_velocity(torch.zeros(2, 8, 12), 3)
    with pytest.raises(DataError, match="max_velocity = 0.0 must be positive"):
        random_velocity(PeriodicGrid.of((8, 8), 1.0), seed=0, max_velocity=0.0)


def test_stable_time_step_follows_the_rule():
    h = TAU / 2048
    assert stable_time_step((h, h)) == pytest.approx(0.0002191401125550916, rel=1e-12)
    assert stable_time_step((0.1, 0.2), max_velocity=2.0, cfl=1.0) == pytest.approx(0.05)
    assert stable_time_step((0.1, 0.1), viscosity=1.0) == pytest.approx(0.0025)
