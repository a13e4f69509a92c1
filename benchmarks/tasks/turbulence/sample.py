"""Plot data of a forecast of turbulence: curves of every flow, and one flow in pictures."""

from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.turbulence import energy_spectrum
from pushforward.benchmarks.tasks.sample import picture, significant
from pushforward.benchmarks.tasks.turbulence.scoring import Scores
from pushforward.simulators.turbulence import vorticity

__all__ = ["forecast_sample"]

SHOWN_TIMES = (1.0, 2.0, 4.0, 8.0)  # time units after the start at which a flow is pictured


def forecast_sample(
    predicted: Float[Tensor, "flows time 2 x y"],
    truth: Float[Tensor, "flows time 2 x y"],
    scores: Scores,
    *,
    spacing: float,
    cell: float,
    pictures: bool,
) -> dict[str, Any]:
    """Correlation of every flow, mean spectrum, and vorticity of the first flow.

    Parameters
    ----------
    predicted, truth : the same frames.
    scores : of them.
    spacing : time units between frames.
    cell : side of a coarse cell.
    pictures : whether to show the first flow, and the truth's spectrum.
    """
    frames = truth.shape[1]
    every = max(1, frames // 120)
    sample: dict[str, Any] = {
        "kind": "forecast",
        "spacing": spacing * every,
        "correlation": np.round(scores.correlation[:, every - 1 :: every], 3).tolist(),
        "spectrum": significant(scores.spectrum),
    }
    if pictures:
        index = {
            t: round(t / spacing) - 1 for t in SHOWN_TIMES if 1 <= round(t / spacing) <= frames
        }
        index = index or {frames * spacing: frames - 1}
        sample["pictures"] = {
            name: {
                f"{t:g}": picture(vorticity(field[0, i], (cell, cell))) for t, i in index.items()
            }
            for name, field in (("forecast", predicted), ("truth", truth))
        }
        sample["true_spectrum"] = _spectrum(truth[:, 2 * frames // 3 :])
    return sample


def _spectrum(velocity: Tensor) -> list[float]:
    mean = energy_spectrum(velocity).mean((0, 1))
    return significant(mean[: velocity.shape[-1] // 2].tolist())
