"""Scores of forecasts of channel flow: errors over windows, statistics over the long roll-out."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.channel import (
    PROFILES,
    ChannelSpectra,
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
from pushforward.benchmarks.result import Metric
from pushforward.benchmarks.tasks.channel.data import ChannelProblem, Windows
from pushforward.surrogates.channel import divergence

__all__ = ["LongScores", "ShortScores", "score_long", "score_short"]

CORRELATED = 0.8  # a forecast is followed until its fluctuations correlate less
SKIPPED = 0.1  # share of the long roll-out that counts as its start and not as its statistics


@dataclass(frozen=True)
class ShortScores:
    """What short forecasts are worth.

    Parameters
    ----------
    metrics : by name.
    error, correlation : against steps, mean over windows.
    """

    metrics: dict[str, Metric]
    error: list[float]
    correlation: list[float]


@dataclass(frozen=True)
class LongScores:
    """What a long roll-out is worth.

    Parameters
    ----------
    metrics : by name; statistics only of a roll-out that stayed in the bounded range.
    energy : fluctuation energy over the data's mean, against steps; ends where the flow was lost.
    profiles, spectra : of the roll-out without its first tenth; None where it was lost.
    """

    metrics: dict[str, Metric]
    energy: list[float]
    profiles: dict[str, Float[np.ndarray, " half"]] | None
    spectra: ChannelSpectra | None


def score_short(
    problem: ChannelProblem,
    windows: Windows,
    predicted: Float[Tensor, "n steps 3 x y z"],
    horizons: list[int],
) -> ShortScores:
    """Errors relative to the true fluctuations at some horizons, `correlation_time`, `wall_slip`
    (largest velocity at a wall over u_τ) and `divergence` (rms, in u_τ/h) of the last frame."""
    weights, mean = problem.grid.weights, problem.mean
    errors = relative_error(predicted, windows.truth, mean, weights)
    correlation = fluctuation_correlation(predicted, windows.truth, mean, weights)
    n = len(errors)
    metrics = {}
    for h in horizons:
        values = errors[:, h - 1]
        if torch.isfinite(values).all():
            metrics[f"error_{h}"] = Metric.over_draws(values.tolist(), unit="1", best="lowest")
    times = [
        crossing_time(c, spacing=problem.frame_spacing, level=CORRELATED)
        for c in correlation.numpy()
    ]
    metrics["correlation_time"] = Metric.over_draws(times, unit="h/u_tau", best="highest")
    last, u_tau = predicted[:, -1], problem.data.friction_velocity
    if torch.isfinite(last).all():
        slip = float(last[..., [0, -1], :].abs().max()) / u_tau
        rms = float(divergence(last, problem.grid).square().mean().sqrt()) / u_tau
        metrics["wall_slip"] = Metric(slip, 0.0, n, "u_tau", "lowest")
        metrics["divergence"] = Metric(rms, 0.0, n, "u_tau/h", "lowest")
    curve = errors.mean(0)
    return ShortScores(
        metrics,
        [round(e, 5) for e in curve[torch.isfinite(curve)].tolist()],
        [round(c, 5) for c in correlation.mean(0).tolist()],
    )


def score_long(problem: ChannelProblem, predicted: Float[Tensor, "steps 3 x y z"]) -> LongScores:
    """`bounded_steps` (kinetic energy within 0.5 to 2 of its mean), `lively_steps` (the same of
    the fluctuations' energy), errors of energy, profiles and spectra after the first tenth."""
    weights, mean = problem.grid.weights, problem.mean
    whole = fluctuation_energy(predicted, torch.zeros_like(mean), weights).numpy()
    lively = fluctuation_energy(predicted, mean, weights).numpy() / problem.energy
    true = fluctuation_energy(problem.judged, torch.zeros_like(mean), weights).mean().item()
    steps = len(predicted)
    bounded = bounded_steps(whole, true)
    metrics = {
        "bounded_steps": Metric(float(bounded), 0.0, 1, "steps", "highest"),
        "lively_steps": Metric(float(bounded_steps(lively, 1.0)), 0.0, 1, "steps", "highest"),
    }
    energy = [round(e, 4) for e in lively[:bounded].tolist()]
    if bounded < steps:
        return LongScores(metrics, energy, None, None)
    settled = predicted[round(SKIPPED * steps) :]
    profiles = channel_profiles(settled)
    for name in PROFILES:
        value = profile_error(profiles[name], problem.profiles[name], problem.half_weights)
        metrics[f"error_{name}"] = Metric(value, 0.0, 1, "1", "lowest")
    spectra = channel_spectra(settled, problem.planes)
    error = spectra_error(spectra, problem.spectra)
    if math.isfinite(error):
        metrics["spectra_error"] = Metric(error, 0.0, 1, "1", "lowest")
    gap = abs(float(lively[round(SKIPPED * steps) :].mean()) - 1)
    metrics["energy_error"] = Metric(gap, 0.0, 1, "1", "lowest")
    return LongScores(metrics, energy, profiles, spectra)
