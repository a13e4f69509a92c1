"""Metrics of channel flow against closed forms."""

import math

import numpy as np
import pytest
import torch

from pushforward.benchmarks.metrics.channel import (
    bounded_steps,
    channel_profiles,
    channel_spectra,
    crossing_time,
    fluctuation_correlation,
    fluctuation_energy,
    profile_error,
    relative_error,
    spectra_error,
)
from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel import ChannelGrid

GRID = ChannelGrid.chebyshev((8, 9, 6), (6.0, 2.0))
Y = torch.tensor(GRID.y, dtype=torch.float64)
X = 2 * math.pi * torch.arange(8, dtype=torch.float64)[:, None, None] / 8
Z = 2 * math.pi * torch.arange(6, dtype=torch.float64) / 6
ONE = torch.ones(8, 9, 6, dtype=torch.float64)


def wave(amplitude=1.0):
    """u = U + a (1-y²) √2 sin 2x, v = -a (1-y²) √2 sin 2x / 2, w = a √2 cos z, U = 1 - y²."""
    shape = (1 - Y**2)[:, None]
    u = shape + amplitude * shape * math.sqrt(2) * torch.sin(2 * X) * ONE
    v = -amplitude * shape * math.sqrt(2) * torch.sin(2 * X) * ONE / 2
    w = amplitude * math.sqrt(2) * torch.cos(Z) * ONE
    return torch.stack((u, v, w))


MEAN = torch.stack((1 - Y**2, 0 * Y, 0 * Y))


def test_errors_count_fluctuations_with_the_grid_s_weights():
    truth = wave()
    assert abs(relative_error(wave(1.3), truth, MEAN, GRID.weights) - 0.3) < 1e-12
    # The mean profile alone is off by all of the fluctuations, whatever the profile's size.
    mean = MEAN[:, None, :, None].expand_as(truth)
    assert abs(relative_error(mean, truth, MEAN, GRID.weights) - 1) < 1e-12
    # ∫(1-y²)² (1 + 1/4) + 1 over y, halved twice: 16/15 · 5/4 + 2, over 2 · 2.
    energy = fluctuation_energy(truth, MEAN, GRID.weights)
    assert abs(energy - (16 / 15 * 1.25 + 2) / 4) < 1e-12
    shifted = truth.roll(2, 1)  # sin 2x becomes minus itself; w stays
    expected = (2 - 16 / 15 * 1.25) / (2 + 16 / 15 * 1.25)
    found = fluctuation_correlation(shifted, truth, MEAN, GRID.weights)
    assert abs(found - expected) < 1e-12
    broken = truth * torch.nan
    assert fluctuation_correlation(broken, truth, MEAN, GRID.weights) == 0


@pytest.mark.usefixtures("unchecked")
def test_fields_of_different_shapes_are_refused():
    for metric in (relative_error, fluctuation_correlation):
        with pytest.raises(DataError, match="put both on one grid"):
            metric(wave()[..., :4], wave(), MEAN, GRID.weights)


def test_profiles_are_folded_with_their_symmetries():
    samples = torch.stack((wave(1.0), wave(-1.0)))
    full = channel_profiles(samples, fold=False)
    y = Y.numpy()
    np.testing.assert_allclose(full["U"], 1 - y**2, atol=1e-12)
    np.testing.assert_allclose(full["u_rms"], 1 - y**2, atol=1e-12)
    np.testing.assert_allclose(full["v_rms"], (1 - y**2) / 2, atol=1e-12)
    np.testing.assert_allclose(full["w_rms"], 1, atol=1e-12)
    np.testing.assert_allclose(full["uv"], (1 - y**2) ** 2 / 2, atol=1e-12)
    folded = channel_profiles(samples)
    np.testing.assert_allclose(folded["U"], (1 - y**2)[:5], atol=1e-12)
    np.testing.assert_allclose(folded["uv"], 0, atol=1e-12)  # even, so its odd part is nothing
    odd = samples.clone()
    odd[:, 1] = odd[:, 1] * torch.sign(Y)[:, None]
    np.testing.assert_allclose(channel_profiles(odd)["uv"], -full["uv"][:5] * [1, 1, 1, 1, 0])
    weights = GRID.weights.numpy()
    assert abs(profile_error(1.1 * full["U"], full["U"], weights) - 0.1) < 1e-12


def test_spectra_add_up_to_the_variance_and_find_waves():
    found = channel_spectra(wave()[None], [(2, 6), (4,)])
    height = (1 - Y[2].item() ** 2) ** 2
    assert found.along_x.shape == (3, 2, 4)
    assert found.along_z.shape == (3, 2, 3)
    np.testing.assert_allclose(found.along_x[0], [[0, 0, height, 0], [0, 0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(found.along_z[2], [[0, 1, 0], [0, 1, 0]], atol=1e-12)
    noise = torch.randn(4, 3, 8, 9, 6, dtype=torch.float64, generator=torch.manual_seed(0))
    noise = torch.fft.irfft2(
        torch.fft.rfft2(noise, dim=(2, 4))
        * (torch.arange(8) != 4)[:, None, None]
        * (torch.arange(4) != 3),
        s=(8, 6), dim=(2, 4),
    )  # fmt: skip
    spectra = channel_spectra(noise, [(3,)])
    variance = (noise - noise.mean((0, 2, 4), keepdim=True)).square().mean((0, 2, 4))[:, 3]
    for power in (spectra.along_x, spectra.along_z):
        np.testing.assert_allclose(power.sum(-1)[:, 0], variance, atol=1e-12)
    louder = channel_spectra(10 * noise, [(3,)])
    assert abs(spectra_error(louder, spectra) - 2) < 1e-12


def test_times_and_steps():
    assert crossing_time(np.array([0.9, 0.85]), spacing=0.5, level=0.8) == 1.0
    assert crossing_time(np.array([0.6, 0.9]), spacing=2.0, level=0.8) == pytest.approx(1.0)
    assert bounded_steps(np.array([1.0, np.nan, 1.0]), 1.0) == 1
    assert bounded_steps(np.array([0.4]), 1.0) == 0
