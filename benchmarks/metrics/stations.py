"""Scores of time series at stations, as published."""

import numpy as np
from jaxtyping import Float

from pushforward.simulators.errors import DataError

__all__ = ["station_scores"]


def station_scores(
    model: Float[np.ndarray, " times"], observed: Float[np.ndarray, " times"]
) -> dict[str, float]:
    """rmse, r2 (squared correlation), nse, bias (observed minus model mean) and relbias.

    Times at which either is missing (NaN) are skipped.

    Parameters
    ----------
    model, observed : ppm.

    Raises
    ------
    DataError : fewer than 3 common times.

    Examples
    --------
    >>> found = station_scores(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    >>> found["rmse"], found["bias"], round(found["r2"], 9)
    (1.0, 1.0, 1.0)
    """
    both = np.isfinite(model) & np.isfinite(observed)
    if both.sum() < 3:
        raise DataError(f"{int(both.sum())} common times; a score needs at least 3.")
    m, o = model[both].astype(float), observed[both].astype(float)
    spread = o.var()
    own = m.var()
    covariance = ((m - m.mean()) * (o - o.mean())).mean()
    return {
        "rmse": float(np.sqrt(((m - o) ** 2).mean())),
        "r2": float(covariance**2 / (own * spread)) if own * spread > 0 else 0.0,
        "nse": float(1 - ((m - o) ** 2).mean() / spread) if spread > 0 else 0.0,
        "bias": float(o.mean() - m.mean()),
        "relbias": float((o.mean() - m.mean()) / o.mean()),
    }
