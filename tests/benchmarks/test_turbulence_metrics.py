"""Metrics of turbulence forecasts against closed forms."""

import math

import numpy as np
import pytest
import torch

from pushforward.benchmarks.metrics.turbulence import (
    Duration,
    bootstrap_interval,
    diverged_at,
    duration,
    energy_spectrum,
    spectrum_error,
    vorticity_correlation,
)
from pushforward.benchmarks.tasks.turbulence.scoring import score_forecast
from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import FiniteVolumeSolver


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def flows(n, frames, cells=16):
    """Frames that turn gradually from one random flow into another."""
    solver = FiniteVolumeSolver((cells, cells), domain=2 * math.pi, viscosity=0.01, dt=0.01)
    a, b = (solver.initial(seed=s, max_velocity=2.0, batch=(n, 1)) for s in (0, 1))
    share = torch.linspace(0, 1, frames + 1)[1:, None, None, None]
    return (1 - share) * a + share * b, a.expand(-1, frames, -1, -1, -1)


def test_correlation_of_shifted_waves_is_the_cosine_of_the_phase():
    x = 2 * math.pi * torch.arange(32) / 32
    wave = torch.sin(3 * x)[:, None].expand(32, 32)
    for cells in (0, 1, 4):
        moved = wave.roll(cells, 0)
        expected = math.cos(3 * cells * 2 * math.pi / 32)
        assert vorticity_correlation(5 * moved, wave).item() == pytest.approx(expected, abs=1e-6)
    assert vorticity_correlation(torch.full((4, 4), torch.nan), torch.ones(4, 4)).item() == 0
    assert vorticity_correlation(torch.zeros(4, 4), torch.ones(4, 4)).item() == 0


def test_correlation_is_taken_before_the_mean():
    """A strong flow that is right does not hide a weak one that is wrong."""
    truth = torch.stack([100 * randn(8, 8), randn(8, 8, seed=1)])
    predicted = torch.stack([truth[0], -truth[1]])
    assert vorticity_correlation(predicted, truth).mean().item() == pytest.approx(0.0, abs=1e-6)


def test_durations_by_crossing_and_by_count():
    curve = np.array([1.0, 0.9, 0.79, 0.9, 0.5])
    assert duration(curve, spacing=0.5, threshold=0.8) == Duration(1.0, 1.5, False)
    assert duration(curve, spacing=0.5, threshold=0.95) == Duration(0.5, 0.5, False)
    whole = duration(np.ones(7), spacing=0.5, threshold=0.8)
    assert (whole.crossing, whole.count, whole.reached_end) == (3.5, 3.5, True)
    assert duration(np.zeros(3), spacing=0.5, threshold=0.8).crossing == 0


def test_spectrum_adds_up_to_the_kinetic_energy():
    velocity = randn(3, 2, 15, 15)
    spectrum = energy_spectrum(velocity)
    energy = velocity.double().square().sum(1).mean((1, 2)) / 2
    torch.testing.assert_close(spectrum.sum(-1), energy)
    assert (spectrum >= 0).all()
    with pytest.raises(DataError, match="8 x 16 is not square"):
        energy_spectrum(torch.zeros(2, 8, 16))


def test_spectrum_finds_the_shell_of_a_wave():
    """3 waves along x and 4 along y lie in shell 5 with energy 1/4 of the squared amplitude."""
    x = 2 * math.pi * torch.arange(32, dtype=torch.float64) / 32
    wave = torch.cos(3 * x[:, None] + 4 * x[None, :])
    spectrum = energy_spectrum(torch.stack([2 * wave, torch.zeros(32, 32)]))
    assert spectrum[5].item() == pytest.approx(1.0)
    assert spectrum.sum().item() == pytest.approx(1.0)
    assert spectrum_error(2 * spectrum + 1, spectrum * 2 + 1, largest=9) == 0


def test_bootstrap_agrees_with_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=400)
    error, low, high = bootstrap_interval(lambda i: values[i].mean(), 400)
    expected = values.std(ddof=1) / 20
    assert error == pytest.approx(expected, rel=0.1)
    assert high - low == pytest.approx(2 * 1.645 * expected, rel=0.15)
    assert bootstrap_interval(lambda i: 3.0, 5) == (0.0, 3.0, 3.0)


def test_a_perfect_forecast_reaches_the_end_and_a_diverged_one_scores_zero_from_there():
    truth, start = flows(3, 12)
    perfect = score_forecast(truth, truth, spacing=0.5, cell=0.4)
    assert perfect.metrics["duration_80"].value == perfect.metrics["count_95"].value == 6.0
    assert perfect.metrics["duration_80"].std_error == 0
    assert perfect.metrics["spectrum_error"].value == perfect.metrics["diverged"].value == 0
    held = score_forecast(start, truth, spacing=0.5, cell=0.4)
    assert 0.5 < held.metrics["duration_80"].value < 5.0
    assert held.metrics["duration_95"].value < held.metrics["duration_80"].value
    for poison in (torch.nan, torch.inf, 1e20):
        broken = truth.clone()
        broken[1, 4:, 0, 2, 3] = poison
        assert diverged_at(broken, largest=50.0).tolist() == [12, 4, 12]
        scores = score_forecast(broken, truth, spacing=0.5, cell=0.4)
        np.testing.assert_array_equal(scores.correlation[1, 4:], 0)
        np.testing.assert_allclose(scores.correlation[1, :4], 1)
        assert scores.metrics["duration_80"].value == 2.0
        assert scores.metrics["diverged"].value == pytest.approx(1 / 3)
        assert scores.metrics["spectrum_error"].value < 1
    nothing = score_forecast(torch.full_like(truth, torch.nan), truth, spacing=0.5, cell=0.4)
    assert nothing.metrics["duration_80"].value == 0
    assert "spectrum_error" not in nothing.metrics


def test_other_shapes_are_refused(unchecked):
    with pytest.raises(DataError, match=r"predicted vorticity has shape \(8, 8\), the truth"):
        vorticity_correlation(torch.zeros(8, 8), torch.zeros(4, 4))
