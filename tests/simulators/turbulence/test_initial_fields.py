"""Random starts, down-sampling, refinement."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    PeriodicGrid,
    SpectralSolver,
    divergence,
    downsample_velocity,
    random_velocity,
    refine_velocity,
    vorticity,
)
from pushforward.simulators.turbulence.initial import filtered_noise

TAU = 2 * math.pi


@pytest.mark.parametrize("n", [64, pytest.param(1024, marks=pytest.mark.slow)])
def test_a_random_start_has_the_speed_asked_for_and_no_divergence(n):
    """In single precision, with the peer's bounds: speed to 1e-5, divergence below 5e-4."""
    grid = PeriodicGrid.of((n, n), TAU)
    velocity = random_velocity(grid, seed=0, max_velocity=10.0, peak_wavenumber=17).float()
    speed = velocity.square().sum(0).sqrt().max().item()
    assert speed == pytest.approx(10.0, rel=1e-5)
    assert divergence(velocity.double(), grid.spacing).abs().max() < 5e-4
    assert velocity.mean((-2, -1)).abs().max() < 1e-5


def test_noise_has_the_prescribed_spectrum():
    """Mean of |modes|² over draws is n_x n_y s(k)², s = exp(−(m − ln k)²/(2 s2) − ln k)/k."""
    grid, draws, peak = PeriodicGrid.of((8, 10), TAU), 4000, 3.0
    noise = filtered_noise(grid, seed=0, peak_wavenumber=peak, batch=(draws // 2,))
    power = torch.fft.fft2(noise).abs().square().mean((0, 1))
    kx = torch.fft.fftfreq(8, 1 / 8, dtype=torch.float64)[:, None]
    ky = torch.fft.fftfreq(10, 1 / 10, dtype=torch.float64)[None, :]
    k = (kx**2 + ky**2).sqrt()
    log_mean = math.log(peak) + 0.25
    expected = (torch.exp(-((log_mean - k.log()) ** 2) / 0.5) / k**2) ** 2 * 8 * 10
    expected[0, 0] = 0.0
    assert power[0, 0] < 1e-20
    ratio = power.flatten()[1:] / expected.flatten()[1:]
    assert (ratio - 1).abs().max() < 5 * (2 / draws) ** 0.5  # five deviations of a real mode's mean


@pytest.mark.parametrize("kind", [FiniteVolumeSolver, SpectralSolver])
def test_a_seed_is_a_flow(kind):
    solver = kind((16, 16), domain=TAU, viscosity=0.0, dt=0.01)
    first = solver.initial(seed=1, batch=(2,))
    assert torch.equal(first, solver.initial(seed=1, batch=(2,)))
    assert not torch.equal(first, solver.initial(seed=2, batch=(2,)))
    assert (first[0] - first[1]).abs().max() > 0.1


def test_both_solvers_start_from_the_same_flow():
    """The same noise, projected and scaled by either's own derivatives: near for resolved waves."""
    options = {"domain": TAU, "viscosity": 0.0, "dt": 0.001, "dtype": torch.float64}
    volumes, modes = (kind((96, 96), **options) for kind in (FiniteVolumeSolver, SpectralSolver))
    u = volumes.initial(seed=0, peak_wavenumber=2.0)
    w = modes.vorticity(modes.initial(seed=0, peak_wavenumber=2.0))
    ours = torch.corrcoef(
        torch.stack([vorticity(u, volumes.spacing).roll((1, 1), (0, 1)), w]).flatten(1)
    )
    assert ours[0, 1] > 0.99


def test_downsampling_keeps_divergence_at_zero_in_any_order_of_factors():
    grid = PeriodicGrid.of((48, 24), (TAU, 5.0))
    fine = random_velocity(grid, seed=0, batch=(2,))
    for factor in (2, 3, 4, 6):
        coarse = downsample_velocity(fine, factor)
        spacing = (grid.spacing[0] * factor, grid.spacing[1] * factor)
        assert divergence(coarse, spacing).abs().max() < 1e-12
        torch.testing.assert_close(coarse.mean((-2, -1)), fine.mean((-2, -1)), rtol=0, atol=1e-14)
    for first, second in ((2, 3), (3, 2), (2, 2)):
        twice = downsample_velocity(downsample_velocity(fine, first), second)
        torch.testing.assert_close(
            twice, downsample_velocity(fine, first * second), rtol=0, atol=1e-14
        )


def test_downsampling_takes_face_means():
    """Of cos(x) sin(y) e_x: exact in closed form, the sine's mean over a coarse face."""
    n, s = 32, 4
    grid = PeriodicGrid.of((n, n), TAU)
    x, y = grid.points((1, 0.5))
    h = TAU / n
    u = torch.cos(x) * torch.sin(y)
    coarse = downsample_velocity(torch.stack([u, 0 * u]), s)
    x, y = PeriodicGrid.of((n // s, n // s), TAU).points((1, 0.5))
    mean = math.sin(s * h / 2) / (s * math.sin(h / 2))  # of s points spaced by h
    torch.testing.assert_close(coarse[0], mean * torch.cos(x) * torch.sin(y))


def test_refinement_is_exact_for_waves_and_free_of_divergence():
    coarse, fine = PeriodicGrid.of((12, 10), (TAU, 5.0)), PeriodicGrid.of((30, 25), (TAU, 5.0))
    start = random_velocity(coarse, seed=0, peak_wavenumber=1.0)
    refined = refine_velocity(start, fine)
    assert divergence(refined, fine.spacing).abs().max() < 1e-12
    shear = torch.zeros(2, 12, 10, dtype=torch.float64)
    shear[0] = torch.sin(2 * TAU * coarse.points((1, 0.5))[1] / 5.0)
    expected = torch.sin(2 * TAU * fine.points((1, 0.5))[1] / 5.0).expand(30, 25)
    torch.testing.assert_close(refine_velocity(shear, fine)[0], expected)
    with pytest.raises(DataError, match="cannot refine 12 x 10 cells to 8 x 8"):
        refine_velocity(start, PeriodicGrid.of((8, 8), (TAU, 5.0)))
