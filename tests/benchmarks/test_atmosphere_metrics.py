"""Metrics of CO2 forecasts against closed forms."""

import math

import numpy as np
import pytest
import torch

from pushforward.benchmarks.metrics.atmosphere import (
    carbon_mass,
    cosine_weights,
    decorrelation_days,
    field_scores,
    squared_correlation,
    to_ppm,
    weighted_mean,
    zonal_spectrum,
)
from pushforward.benchmarks.tasks.atmosphere.scoring import score_carbon
from pushforward.datasets.atmosphere import CarbonWindow
from pushforward.simulators.errors import DataError

PPM = 44.009 / 28.9652
LAT = torch.tensor([-67.5, -22.5, 22.5, 67.5])


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(starts=3, steps=8, seed=0):
    shape = (starts, steps + 1, 2, 4, 8)
    layers = torch.tensor([1.0, 9.0], dtype=torch.float64)[:, None, None]
    air = layers * (1 + 0.1 * randn(*shape, seed=seed + 1).abs())
    return CarbonWindow(
        (400 + randn(*shape, seed=seed)) * PPM,
        air,
        torch.zeros(starts, steps, 3, 4, 8),
        torch.zeros(starts, steps, 4, 8),
    )


def test_published_scores_in_closed_form():
    """A forecast too high by b everywhere and stretched by s about the mean: r² is 1, the error
    is known, and only bias and mass show b."""
    w = window()
    truth = w.concentration[:, 1:]
    weights = cosine_weights(LAT)
    mean = weighted_mean(truth, weights)[..., None, None, None]
    variance = weighted_mean((to_ppm(truth - mean)).square(), weights)
    b, s = 0.5, 1.2
    scores = field_scores(mean + s * (truth - mean) + b * PPM, truth, w.airmass[:, 1:], LAT)
    np.testing.assert_allclose(scores.correlation, 1.0)
    np.testing.assert_allclose(scores.lowest, 1.0)
    np.testing.assert_allclose(scores.bias, b)
    square = b**2 + (s - 1) ** 2 * variance.numpy()
    np.testing.assert_allclose(scores.square, square)
    assert scores.rmse == pytest.approx(math.sqrt(square.mean()))
    assert scores.nse == pytest.approx(np.median(1 - square / variance.numpy()))
    assert scores.relative_rmse == pytest.approx(scores.rmse / (mean.mean().item() / PPM))
    higher = field_scores(truth * 1.001, truth, w.airmass[:, 1:], LAT)
    assert higher.relative_mass_rmse == pytest.approx(0.001)
    pgc = (truth * w.airmass[:, 1:]).sum((-3, -2, -1)) / 1e6 / 3.664
    torch.testing.assert_close(carbon_mass(truth, w.airmass[:, 1:]), pgc)
    assert higher.mass_rmse == pytest.approx(0.001 * math.sqrt((pgc**2).mean().item()))


def test_weights_are_cosine_for_every_layer_or_the_air_itself():
    """An error in the thin lowest layer alone: half of the published score, a tenth by mass."""
    w = window()
    truth = w.concentration[:, 1:]
    air = torch.tensor([1.0, 9.0], dtype=torch.float64)[:, None, None].expand_as(truth)
    wrong = truth.clone()
    wrong[..., 0, :, :] += PPM
    assert field_scores(wrong, truth, air, LAT).square.mean() == pytest.approx(0.5)
    by_mass = field_scores(wrong, truth, air, LAT, mass_weighted=True)
    assert by_mass.square.mean() == pytest.approx(0.1)
    polar = truth.clone()
    polar[..., 0, :] += PPM
    cosine = torch.deg2rad(LAT.double()).cos()
    expected = (cosine[0] / cosine.sum()).item()
    assert field_scores(polar, truth, air, LAT).square.mean() == pytest.approx(expected)


def test_correlation_of_a_turned_wave_is_the_cosine_squared():
    lon = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    wave = torch.sin(2 * lon).expand(2, 4, 16)
    weights = cosine_weights(LAT)
    for cells in (0, 1, 2, 3):
        expected = math.cos(2 * cells * 2 * math.pi / 16) ** 2
        found = squared_correlation(3 * wave.roll(cells, -1) + 7, wave, weights)
        assert found.item() == pytest.approx(expected, abs=1e-12)
    assert squared_correlation(wave * 0, wave, weights).item() == 0
    assert squared_correlation(wave * math.nan, wave, weights).item() == 0


def test_decorrelation_days():
    curve = np.array([0.99, 0.95, 0.85, 0.95, 0.7])
    assert decorrelation_days(curve, threshold=0.9, days_per_step=0.25) == 0.75
    assert decorrelation_days(curve, threshold=0.8, days_per_step=0.25) == 1.25
    assert decorrelation_days(np.ones(360), threshold=0.9, days_per_step=0.25) == 90
    assert decorrelation_days(np.zeros(4), threshold=0.9, days_per_step=1.0) == 1


def test_spectrum_adds_up_to_the_variance_along_circles():
    for n in (8, 9):
        field = randn(5, 2, 4, n)
        weights = cosine_weights(LAT)
        spectrum = zonal_spectrum(field, weights)
        variance = weighted_mean(field.var(-1, unbiased=False)[..., None], weights)
        torch.testing.assert_close(spectrum.sum(-1), variance)


def test_scores_of_perfect_biased_and_broken_forecasts():
    w = window(starts=4, steps=8)
    truth = w.concentration[:, 1:]
    options = {"step_hours": 24 * 7}
    perfect = score_carbon(truth, w, LAT, **options)
    assert perfect.metrics["rmse"].value == perfect.metrics["rel_mass_rmse"].value == 0
    assert perfect.metrics["r2_30d"].value == pytest.approx(1.0)
    assert perfect.metrics["days_min_r2_90"].value == 56
    assert perfect.metrics["spectrum_error"].value == 0
    assert "r2_60d" not in perfect.metrics
    biased = score_carbon(truth + 2 * PPM, w, LAT, **options).metrics
    assert biased["r2"].value == pytest.approx(1.0)
    assert biased["abs_bias_30d"].value == pytest.approx(2.0)
    assert biased["rmse"].value == pytest.approx(2.0)
    assert biased["rel_mass_rmse"].value == pytest.approx(0.005, rel=0.01)
    broken = truth.clone()
    broken[2, 5:] = math.nan
    scores = score_carbon(broken, w, LAT, **options)
    assert scores.metrics["diverged"].value == 0.25
    assert scores.metrics["rmse"].value == 0
    assert scores.metrics["rmse"].n == 3
    assert set(score_carbon(broken[2:3], _only(w, 2), LAT, **options).metrics) == {"diverged"}


def _only(w, i):
    return CarbonWindow(*(getattr(w, f)[i : i + 1] for f in w.__dataclass_fields__))


def test_standard_errors_are_over_starts():
    w = window(starts=5, steps=2)
    truth = w.concentration[:, 1:]
    offset = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).double()[:, None, None, None, None] * PPM
    found = score_carbon(truth + offset, w, LAT, step_hours=24 * 7).metrics["abs_bias_7d"]
    assert (found.value, found.n) == (pytest.approx(3.0), 5)
    assert found.std_error == pytest.approx(math.sqrt(2.5 / 5))


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_differ_are_refused():
    w = window()
    with pytest.raises(DataError, match="must have the same shape"):
        field_scores(w.concentration, w.concentration[:, 1:], w.airmass, LAT)
