"""Scores of CO2 forecasts with standard errors over starts, and the curves behind them."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.atmosphere import (
    FieldScores,
    cosine_weights,
    decorrelation_days,
    field_scores,
    to_ppm,
    zonal_spectrum,
)
from pushforward.benchmarks.result import Metric
from pushforward.benchmarks.tasks.sample import significant
from pushforward.datasets.atmosphere import CarbonWindow

__all__ = ["LEADS", "CarbonScores", "score_carbon"]

LEADS = (7, 30, 60, 90)  # days at which the paper states scores


@dataclass(frozen=True)
class CarbonScores:
    """What a forecast is worth.

    Parameters
    ----------
    metrics : by name.
    curves : by name, means over starts, one value a step.
    spectrum, true_spectrum : variance by zonal wave number over the last third, ppm².
    """

    metrics: dict[str, Metric]
    curves: dict[str, list[float]] = field(default_factory=dict)
    spectrum: list[float] = field(default_factory=list)
    true_spectrum: list[float] = field(default_factory=list)


def score_carbon(
    predicted: Float[Tensor, "starts steps level lat lon"],
    window: CarbonWindow,
    lat: Float[Tensor, " lat"],
    *,
    step_hours: float | int,
) -> CarbonScores:
    """Compare forecasts with the truth in a window.

    As published: cos(latitude) weights, all layers alike (`rmse`, `r2`, `nse`, and at leads of 7,
    30, 60 and 90 days `rmse_30d`, `r2_30d`, `rel_mass_rmse_90d`, …), global carbon mass
    (`mass_rmse`, `rel_mass_rmse`), days until the mean r² falls below 0.9 (`days_r2_90`), and that
    of each start's worst layer (`days_min_r2_90`). Beside them, weighted with air mass: `rmse_mw`,
    `r2_mw`; the size of the bias, which r² does not see: `abs_bias_30d`; and `spectrum_error`, the
    mean |ln P − ln P_true| of zonal spectra over the last third. `diverged` is the share of starts
    that left the finite range; the other scores are of the starts that did not.

    Parameters
    ----------
    predicted : 1e-6 kg/kg, steps 1, 2, … after the start.
    window : truth and air mass.
    lat : degrees.
    step_hours : between steps.
    """
    starts, steps = predicted.shape[:2]
    lived = torch.isfinite(predicted).flatten(1).all(1)
    share = 1 - float(lived.float().mean())
    metrics = {
        "diverged": Metric(share, (share * (1 - share) / starts) ** 0.5, starts, "1", "lowest")
    }
    if not lived.any():
        return CarbonScores(metrics)
    mine = predicted[lived]
    truth = window.concentration[lived, 1 : steps + 1]
    air = window.airmass[lived, 1 : steps + 1]
    plain = field_scores(mine, truth, air, lat)
    weighed = field_scores(mine, truth, air, lat, mass_weighted=True)
    n = len(mine)
    days = step_hours / 24
    metrics |= _overall(plain, "", n) | _overall(weighed, "_mw", n)
    relative = plain.mass / plain.true_mass - 1
    metrics["mass_rmse"] = _root((plain.mass - plain.true_mass) ** 2, n, "PgC")
    metrics["rel_mass_rmse"] = _root(relative**2, n, "1")
    for lead in LEADS:
        at = round(lead / days) - 1
        if at >= steps:
            continue
        metrics[f"r2_{lead}d"] = _mean(plain.correlation[:, at], n, "1", "highest")
        metrics[f"r2_mw_{lead}d"] = _mean(weighed.correlation[:, at], n, "1", "highest")
        metrics[f"rmse_{lead}d"] = _root(plain.square[:, at], n, "ppm")
        metrics[f"rmse_mw_{lead}d"] = _root(weighed.square[:, at], n, "ppm")
        metrics[f"abs_bias_{lead}d"] = _mean(np.abs(plain.bias[:, at]), n, "ppm", "lowest")
        metrics[f"rel_mass_rmse_{lead}d"] = _root(relative[:, at] ** 2, n, "1")
    for name, values in (("r2", plain.correlation), ("min_r2", plain.lowest)):
        for threshold in (0.9, 0.8):
            metrics[f"days_{name}_{round(100 * threshold)}"] = _days(values, threshold, days, n)
    late = slice(2 * steps // 3, None)
    weights = cosine_weights(lat)
    spectra = [zonal_spectrum(to_ppm(x[:, late]), weights).mean((0, 1)) for x in (mine, truth)]
    logs = [s.clamp_min(torch.finfo(torch.float64).tiny).log() for s in spectra]
    error = float((logs[0] - logs[1]).abs().mean())
    metrics["spectrum_error"] = Metric(error, 0.0, n, "1", "lowest")
    curves = {
        "r2": plain.correlation.mean(0),
        "rmse": np.sqrt(plain.square.mean(0)),
        "bias": plain.bias.mean(0),
        "mass": np.sqrt((relative**2).mean(0)),
    }
    return CarbonScores(
        metrics,
        {k: significant(v) for k, v in curves.items()},
        *(significant(s.tolist()) for s in spectra),
    )


def _overall(scores: FieldScores, tail: str, n: int) -> dict[str, Metric]:
    efficiency = Metric(scores.nse, 0.0, n, "1", "highest")
    return {
        f"rmse{tail}": _root(scores.square, n, "ppm"),
        f"r2{tail}": _mean(scores.correlation.mean(1), n, "1", "highest"),
        f"nse{tail}": efficiency,
        f"rel_rmse{tail}": Metric(scores.relative_rmse, 0.0, n, "1", "lowest"),
    }


def _mean(values: np.ndarray, n: int, unit: str, best: str) -> Metric:
    """Mean over starts with its standard error."""
    error = float(values.std(ddof=1) / n**0.5) if n > 1 else 0.0
    return Metric(float(values.mean()), error, n, unit, best)


def _root(squares: np.ndarray, n: int, unit: str) -> Metric:
    """Root of the mean square over all values; its error over starts, to first order."""
    per_start = squares.reshape(n, -1).mean(1)
    root = float(np.sqrt(per_start.mean()))
    spread = float(per_start.std(ddof=1) / n**0.5) if n > 1 else 0.0
    return Metric(root, spread / (2 * root) if root > 0 else 0.0, n, unit, "lowest")


def _days(curves: np.ndarray, threshold: float, days: float, n: int) -> Metric:
    """Of the mean curve; its error by leaving out one start at a time."""

    def measure(chosen: np.ndarray) -> float:
        return decorrelation_days(chosen.mean(0), threshold=threshold, days_per_step=days)

    left = np.array([measure(np.delete(curves, i, 0)) for i in range(n)]) if n > 1 else np.zeros(1)
    error = float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())) if n > 1 else 0.0
    return Metric(measure(curves), error, n, "days", "highest")
