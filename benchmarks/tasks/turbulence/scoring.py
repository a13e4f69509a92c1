"""Scores of a forecast of turbulence: durations, spectra, divergence, with errors over flows."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.turbulence import (
    bootstrap_interval,
    diverged_at,
    duration,
    energy_spectrum,
    spectrum_error,
    vorticity_correlation,
)
from pushforward.benchmarks.result import Metric
from pushforward.simulators.turbulence import vorticity

__all__ = ["Scores", "score_forecast"]

SPEED_LIMIT = 50.0  # no flow of the task comes near it
THRESHOLDS = {"80": 0.8, "95": 0.95}


@dataclass(frozen=True)
class Scores:
    """What a forecast is worth.

    Parameters
    ----------
    metrics : by name.
    correlation : (flows, time), zero from the frame at which a flow diverged.
    spectrum : mean energy by shell over the last third of the forecast; empty if no flow lived.
    """

    metrics: dict[str, Metric]
    correlation: Float[np.ndarray, "flows time"]
    spectrum: list[float]


def score_forecast(
    predicted: Float[Tensor, "flows time 2 x y"],
    truth: Float[Tensor, "flows time 2 x y"],
    *,
    spacing: float,
    cell: float,
) -> Scores:
    """Compare a forecast with the truth, both on the coarse grid.

    Metrics: `duration_80`, `duration_95` (first crossing of the mean correlation of the staggered
    vorticity), `count_80` (frames above, anywhere), `energy_error` (of the mean kinetic energy)
    and `spectrum_error` over the last third of the forecast, `diverged` (share of flows that left
    the finite range or a speed of 50). Standard errors are over flows, by bootstrap.

    Parameters
    ----------
    predicted, truth : the same frames.
    spacing : time units between frames.
    cell : side of a coarse cell.
    """
    flows, frames = predicted.shape[:2]
    bad = diverged_at(predicted, largest=SPEED_LIMIT)
    alive = torch.arange(frames)[None] < bad[:, None]
    clean = torch.where(alive[:, :, None, None, None], predicted, 0.0)
    curves = vorticity_correlation(
        vorticity(clean, (cell, cell)), vorticity(truth, (cell, cell))
    ).numpy()
    metrics = {}
    for name, threshold in THRESHOLDS.items():
        for kind in ("duration", "count"):

            def measure(index: np.ndarray, kind: str = kind, threshold: float = threshold) -> float:
                found = duration(curves[index].mean(0), spacing=spacing, threshold=threshold)
                return found.crossing if kind == "duration" else found.count

            error, _, _ = bootstrap_interval(measure, flows)
            value = measure(np.arange(flows))
            metrics[f"{kind}_{name}"] = Metric(value, error, flows, "time units", "highest")
    share = float((bad < frames).float().mean())
    metrics["diverged"] = Metric(share, (share * (1 - share) / flows) ** 0.5, flows, "1", "lowest")
    late = slice(2 * frames // 3, None)
    lived = bad == frames
    spectrum: list[float] = []
    if lived.any():
        mine = energy_spectrum(predicted[lived, late]).mean((0, 1))
        true = energy_spectrum(truth[:, late]).mean((0, 1))
        largest = truth.shape[-1] // 2 - 1
        metrics |= {
            "spectrum_error": Metric(
                spectrum_error(mine, true, largest=largest), 0.0, flows, "1", "lowest"
            ),
            "energy_error": Metric(
                float((mine.sum() / true.sum() - 1).abs()), 0.0, flows, "1", "lowest"
            ),
        }
        spectrum = mine[: largest + 1].tolist()
    return Scores(metrics, curves, spectrum)
