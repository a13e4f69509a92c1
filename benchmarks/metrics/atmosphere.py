"""How well CO2 fields are forecast: the published scores, and their mass-weighted counterparts."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.datasets.atmosphere import CO2_PER_AIR
from pushforward.simulators.errors import DataError

__all__ = [
    "CO2_PER_CARBON",
    "FieldScores",
    "carbon_mass",
    "cosine_weights",
    "decorrelation_days",
    "field_scores",
    "squared_correlation",
    "to_ppm",
    "weighted_mean",
    "zonal_spectrum",
]

CO2_PER_CARBON = 3.664  # kg CO2 per kg C, the published round number

Field = Float[Tensor, "*batch level lat lon"]
SPACE = (-3, -2, -1)


def to_ppm(massmix: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Mixing ratio from 1e-6 kg/kg to ppm (1e-6 mol/mol), in float64."""
    return massmix.double() / CO2_PER_AIR


def carbon_mass(massmix: Field, airmass: Field) -> Float[Tensor, "*batch"]:
    """Σ c A of the globe in PgC, c in 1e-6 kg/kg and A in Pg; in float64."""
    return (massmix.double() * airmass.double()).sum(SPACE) / 1e6 / CO2_PER_CARBON


def cosine_weights(lat: Float[Tensor, " lat"]) -> Float[Tensor, "1 lat 1"]:
    """cos(latitude), as published: every layer counts alike however little air it holds."""
    return torch.deg2rad(lat.double()).cos()[None, :, None]


def weighted_mean(
    field: Field, weights: Float[Tensor, "..."], axes: tuple[int, ...] = SPACE
) -> Float[Tensor, "..."]:
    """Σ w f / Σ w over some axes.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0, 3.0])[None, :, None]
    >>> weighted_mean(torch.tensor([0.0, 4.0])[None, :, None], w).item()
    3.0
    """
    whole = weights.double().expand(torch.broadcast_shapes(weights.shape, field.shape))
    return (whole * field.double()).sum(axes) / whole.sum(axes)


def squared_correlation(
    predicted: Field,
    truth: Field,
    weights: Float[Tensor, "..."],
    axes: tuple[int, ...] = SPACE,
) -> Float[Tensor, "..."]:
    r"""Square of the weighted Pearson correlation over (level, lat, lon): blind to bias and scale.

        r² = cov_w(p, t)² / (var_w(p) var_w(t))

    0 where either field is constant or not finite.

    Examples
    --------
    >>> import torch
    >>> t = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    >>> round(squared_correlation(7 - 2 * t, t, torch.ones(1, 3, 1)).item(), 9)
    1.0
    """

    def mean(x: Tensor) -> Tensor:
        found = weighted_mean(x, weights, axes)
        for axis in sorted(a % x.ndim for a in axes):
            found = found.unsqueeze(axis)
        return found

    p, t = predicted.double(), truth.double()
    p, t = p - mean(p), t - mean(t)
    both, own, true = (weighted_mean(x, weights, axes) for x in (p * t, p * p, t * t))
    value = both.square() / torch.where(own * true > 0, own * true, torch.nan)
    return torch.nan_to_num(value, nan=0.0)


def decorrelation_days(
    curve: Float[np.ndarray, " time"], *, threshold: float, days_per_step: float | int
) -> float:
    """First lead time, in days, at which a curve of r² is below a threshold; the last if none is.

    Parameters
    ----------
    curve : mean r² over starts, one value a step after the start.
    threshold : 0.9 or 0.8 in the paper.
    days_per_step : 0.25 for 6 hours.

    Examples
    --------
    >>> decorrelation_days(np.array([0.99, 0.95, 0.85, 0.7]), threshold=0.9, days_per_step=0.25)
    0.75
    """
    below = ~(curve >= threshold)
    first = int(np.argmax(below)) if below.any() else len(curve) - 1
    return (first + 1) * days_per_step


def zonal_spectrum(field: Field, weights: Float[Tensor, "1 lat 1"]) -> Float[Tensor, "*b waves"]:
    r"""Variance along circles of latitude by zonal wave number m ≥ 1, weighted mean over latitudes
    and plain mean over layers.

        P_m = 2 |f̂_m|²  (once for the Nyquist wave),  f̂ the Fourier series' coefficients

    so that the sum over m is the mean variance along circles.

    Examples
    --------
    >>> import math, torch
    >>> wave = torch.cos(3 * 2 * math.pi * torch.arange(16) / 16).expand(1, 2, 16)
    >>> [round(v, 6) for v in zonal_spectrum(wave, torch.ones(1, 2, 1)).tolist()[:4]]
    [0.0, 0.0, 0.5, 0.0]
    """
    n = field.shape[-1]
    power = 2 * (torch.fft.rfft(field.double(), dim=-1).abs() / n).square()[..., 1:]
    if n % 2 == 0:
        power[..., -1] /= 2
    return weighted_mean(power, weights, axes=(-3, -2))


@dataclass(frozen=True)
class FieldScores:
    """Scores of every start and lead time, ppm and PgC; reduce them with the methods.

    Parameters
    ----------
    square : mean squared error.
    correlation : r² over (level, lat, lon) jointly.
    lowest : least r² of any single layer.
    efficiency : 1 − squared error / variance of the truth (Nash and Sutcliffe).
    bias : mean of predicted minus true.
    level : mean of the truth.
    mass, true_mass : of carbon.
    """

    square: Float[np.ndarray, "starts time"]
    correlation: Float[np.ndarray, "starts time"]
    lowest: Float[np.ndarray, "starts time"]
    efficiency: Float[np.ndarray, "starts time"]
    bias: Float[np.ndarray, "starts time"]
    level: Float[np.ndarray, "starts time"]
    mass: Float[np.ndarray, "starts time"]
    true_mass: Float[np.ndarray, "starts time"]

    @property
    def rmse(self) -> float:
        """Root of the mean squared error over all starts and times: RMSE_4D."""
        return float(np.sqrt(self.square.mean()))

    @property
    def relative_rmse(self) -> float:
        """RMSE_4D over the mean of the truth."""
        return self.rmse / float(self.level.mean())

    @property
    def r2(self) -> float:
        """Mean of r² over all starts and times: R2_3D."""
        return float(self.correlation.mean())

    @property
    def nse(self) -> float:
        """Median over all starts and times of the efficiency: NSE_3D."""
        return float(np.median(self.efficiency))

    @property
    def mass_rmse(self) -> float:
        """Root mean squared error of the global mass, PgC."""
        return float(np.sqrt(((self.mass - self.true_mass) ** 2).mean()))

    @property
    def relative_mass_rmse(self) -> float:
        """Root mean square of the relative error of the global mass."""
        return float(np.sqrt(((self.mass / self.true_mass - 1) ** 2).mean()))


def field_scores(
    predicted: Float[Tensor, "starts time level lat lon"],
    truth: Float[Tensor, "starts time level lat lon"],
    airmass: Float[Tensor, "starts time level lat lon"],
    lat: Float[Tensor, " lat"],
    *,
    mass_weighted: bool = False,
) -> FieldScores:
    """Scores of forecasts, start by start and lead by lead.

    Parameters
    ----------
    predicted, truth : mixing ratio, 1e-6 kg/kg, of the same starts and lead times.
    airmass : Pg.
    lat : degrees.
    mass_weighted : weigh cells with their air mass instead of cos(latitude) alike on all layers.

    Raises
    ------
    DataError : shapes that differ.
    """
    if predicted.shape != truth.shape or airmass.shape != truth.shape:
        raise DataError(
            f"predicted {tuple(predicted.shape)}, truth {tuple(truth.shape)} and airmass "
            f"{tuple(airmass.shape)} must have the same shape."
        )
    columns: dict[str, list[np.ndarray]] = {name: [] for name in FieldScores.__annotations__}
    for p_raw, t_raw, air in zip(predicted, truth, airmass, strict=True):
        p, t = to_ppm(p_raw), to_ppm(t_raw)
        weights = air.double() if mass_weighted else cosine_weights(lat)
        square = weighted_mean((p - t).square(), weights)
        level = weighted_mean(t, weights)
        variance = weighted_mean((t - level[:, None, None, None]).square(), weights)
        by_layer = squared_correlation(p, t, weights, axes=(-2, -1))
        found = {
            "square": square,
            "correlation": squared_correlation(p, t, weights),
            "lowest": by_layer.amin(-1),
            "efficiency": 1 - square / variance,
            "bias": weighted_mean(p - t, weights),
            "level": level,
            "mass": carbon_mass(p_raw, air),
            "true_mass": carbon_mass(t_raw, air),
        }
        for name, values in found.items():
            columns[name].append(values.numpy())
    return FieldScores(**{name: np.stack(values) for name, values in columns.items()})
