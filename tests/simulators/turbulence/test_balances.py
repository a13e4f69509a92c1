"""What the equations conserve, or balance, the solvers do too."""

import math

import pytest
import torch

from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    divergence,
    fourier_resample,
)
from pushforward.simulators.turbulence.exponential import SPECTRAL_STEPPERS

TAU = 2 * math.pi


class UniformForcing:
    """The same force everywhere, which only the mean velocity feels."""

    def on_faces(self, grid):
        return torch.tensor([0.3, -0.2], dtype=torch.float64)[:, None, None]

    def curl(self, grid):
        return torch.zeros(1, 1, dtype=torch.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"advection": "central", "stepper": "rk4"},
        {"advection": "upwind", "stepper": "heun"},
        {"advection": "lax_wendroff", "stepper": "midpoint"},
        {"diffusion": "implicit"},
    ],
)
def test_mean_velocity_follows_its_own_equation(options):
    """d<v>/dt = <f> − mu <v>, whatever the flow does: 20 steps of the stepper on that ODE alone."""
    dt, drag = 0.01, 0.4
    solver = FiniteVolumeSolver(
        (20, 17),
        domain=(TAU, 5.0),
        viscosity=1e-2,
        drag=drag,
        forcing=UniformForcing(),
        dt=dt,
        dtype=torch.float64,
        **options,
    )
    state = solver.initial(seed=0, max_velocity=3.0)
    state[0] += 0.5
    force = torch.tensor([0.3, -0.2], dtype=torch.float64)
    mean = state.mean((-2, -1))
    z = -drag * dt
    orders = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
    terms = range(orders[options.get("stepper", "euler")] + 1)
    growth = sum(z**k / math.factorial(k) for k in terms)
    steady = force / drag
    expected = steady + growth**20 * (mean - steady)
    after = solver.advance(state, 20)
    assert (after.mean((-2, -1)) - expected).abs().max() < 1e-14


def test_single_precision_keeps_momentum_and_divergence_over_a_thousand_steps():
    """100 x 100 cells, dt 1e-3, as in the peer's tests: the force adds up to the momentum."""
    solver = FiniteVolumeSolver(
        (100, 100), domain=TAU, viscosity=1e-3, forcing=UniformForcing(), dt=1e-3
    )
    state = solver.initial(seed=0, max_velocity=2.0)
    before = state.double().mean((-2, -1))
    after = solver.advance(state, 1000)
    gained = after.double().mean((-2, -1)) - before
    assert (gained - torch.tensor([0.3, -0.2])).abs().max() < 1e-4
    assert divergence(after, solver.spacing).abs().max() < 1e-3


@pytest.mark.parametrize("stepper", sorted(SPECTRAL_STEPPERS))
def test_energy_and_enstrophy_are_kept_to_the_order_of_the_stepper(stepper):
    """Without viscosity and forcing the modes that the 2/3 rule keeps form a closed system with
    both invariants, so all change comes from the steps in time."""
    changes = []
    for steps in (10, 20):
        solver = SpectralSolver(
            (24, 21),
            domain=(TAU, 5.0),
            viscosity=0.0,
            dt=0.5 / steps,
            stepper=stepper,
            max_velocity=2.0,
            dtype=torch.float64,
        )
        state = solver.initial(seed=1, max_velocity=2.0) * solver._kept
        after = solver.advance(state, steps)
        invariants = [
            torch.stack([solver.velocity(s).square().sum(), solver.vorticity(s).square().sum()])
            for s in (state, after)
        ]
        changes.append((invariants[1] / invariants[0] - 1).abs())
    order = {"euler": 1, "cn_rk2": 2, "etdrk2": 2, "cn_rk3": 3, "imex_sil3": 2}.get(stepper, 4)
    assert (torch.log2(changes[0] / changes[1]) > order - 0.3).all()
    assert changes[1].max() < {1: 0.5, 2: 5e-3}.get(order, 5e-4)


@pytest.mark.parametrize("shape", [(16, 16), (15, 18)])
def test_products_carry_no_aliasing(shape):
    """The explicit part on a grid is that of the doubled grid, restricted to the modes kept."""
    fine_shape = (2 * shape[0], 2 * shape[1])
    options = {"domain": (TAU, 5.0), "viscosity": 0.0, "dt": 1e-3, "dtype": torch.float64}
    coarse, fine = SpectralSolver(shape, **options), SpectralSolver(fine_shape, **options)
    state = coarse.initial(seed=0, peak_wavenumber=6.0) * coarse._kept
    vorticity = coarse.vorticity(state)
    origin = (0.0, 0.0)
    refined = fourier_resample(vorticity, offset=origin, to_cells=fine_shape, to_offset=origin)
    found = torch.fft.irfft2(coarse.tendency(state), s=shape)
    expected = torch.fft.irfft2(fine.tendency(torch.fft.rfft2(refined)), s=fine_shape)
    expected = fourier_resample(expected, offset=origin, to_cells=shape, to_offset=origin)
    expected = torch.fft.irfft2(torch.fft.rfft2(expected) * coarse._kept, s=shape)
    assert (found - expected).abs().max() < 1e-12 * expected.abs().max()
    assert found.abs().max() > 1


def test_rate_of_change_of_the_energy_is_work_less_dissipation():
    """dE/dt = <u·f> − nu <omega²> − 2 mu E, by central differences in time of the modes."""
    nu, drag, dt = 2e-2, 0.1, 1e-3
    solver = SpectralSolver(
        (32, 32),
        domain=TAU,
        viscosity=nu,
        drag=drag,
        forcing=KolmogorovForcing(0.7),
        dt=dt,
        stepper="etdrk4",
        dtype=torch.float64,
    )
    states = [solver.initial(seed=0, max_velocity=2.0) * solver._kept]
    for _ in range(2):
        states.append(solver.step(states[-1]))
    energy = [solver.velocity(s).square().sum(0).mean() / 2 for s in states]
    u, _ = solver.velocity(states[1])
    _, y = solver.grid.points((0, 0))
    work = (u * 0.7 * torch.sin(4 * y)).mean()
    dissipation = nu * solver.vorticity(states[1]).square().mean() + 2 * drag * energy[1]
    assert (energy[2] - energy[0]) / (2 * dt) == pytest.approx(
        (work - dissipation).item(), rel=1e-5
    )


@pytest.mark.parametrize("solver_class", [FiniteVolumeSolver, SpectralSolver])
def test_twice_the_viscosity_decays_faster(solver_class):
    energies = []
    for nu in (0.0, 1e-2, 2e-2):
        solver = solver_class((32, 32), domain=TAU, viscosity=nu, dt=0.01, max_velocity=2.0)
        state = solver.advance(solver.initial(seed=0, max_velocity=2.0), 50)
        energies.append(solver.velocity(state).square().mean().item())
    assert energies[0] > 1.02 * energies[1] > 1.02**2 * energies[2]
