"""How well a scheme transports: norms, filaments and mixing, as the test suites define them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixing", "TransportErrors", "filament_preservation", "mixing", "transport_errors"]

Field = NDArray[np.float64]


class TransportErrors(NamedTuple):
    """Normalised errors of a tracer; 0 is perfect."""

    l1: float
    l2: float
    linf: float
    phi_min: float
    phi_max: float


def transport_errors(q: Field, exact: Field, weight: Field, initial: Field) -> TransportErrors:
    """l₁ = Σw|q − q_T|/Σw|q_T|, l₂ likewise with squares and a root, l_∞ of the largest values.

    φ_min and φ_max are the errors of the least and greatest value over the initial range:
    negative φ_min is an undershoot, positive φ_max an overshoot.

    Parameters
    ----------
    q, exact : mixing ratios.
    weight : area or air mass of the cells.
    initial : what Δ = max − min is taken from.

    Source: Williamson et al., J. Comput. Phys. 102, 1992.

    Examples
    --------
    >>> truth = np.array([1.0, 2.0])
    >>> transport_errors(truth + 0.1, truth, np.ones(2), truth).linf
    0.05...
    """
    error, span = np.abs(q - exact), initial.max() - initial.min()
    return TransportErrors(
        float((weight * error).sum() / (weight * np.abs(exact)).sum()),
        float(np.sqrt((weight * error**2).sum() / (weight * exact**2).sum())),
        float(error.max() / np.abs(exact).max()),
        float((q.min() - exact.min()) / span),
        float((q.max() - exact.max()) / span),
    )


def filament_preservation(
    q: Field, initial: Field, weight: Field, thresholds: Field
) -> NDArray[np.float64]:
    """ℓ_f(τ) = 100 A(τ, t)/A(τ, 0), A the area where q ≥ τ; 100 is perfect, 0 where A(τ, 0) = 0.

    Source: Lauritzen et al., Geosci. Model Dev. 5, 2012, section 3.3.
    """

    def area(field: Field, threshold: float) -> float:
        return float(weight[field >= threshold - 1e-12].sum())

    before = [area(initial, t) for t in thresholds]
    after = [area(q, t) for t in thresholds]
    return np.array([100 * a / b if b else 0.0 for a, b in zip(after, before, strict=True)])


class Mixing(NamedTuple):
    """Mean distances of (x, y) from the curve they started on, by kind."""

    real: float
    unmixing: float
    overshooting: float


def mixing(x: Field, y: Field, weight: Field) -> Mixing:
    """Real mixing, unmixing within range, and overshooting of two correlated tracers.

    They start on y = ψ(x) = 0.9 − 0.8x², x in [0.1, 1]. Mixing moves pairs into the convex hull
    of the curve; what leaves it within the initial ranges is unmixing, the rest overshooting. Each
    is the area mean of the distance to the curve, x and y divided by their ranges.

    Source: Lauritzen and Thuburn, Q. J. R. Meteorol. Soc. 138, 2012.
    """
    low, high, eps = 0.1, 1.0, 1e-7
    top, bottom = 0.9 - 0.8 * low**2, 0.9 - 0.8 * high**2
    x, y, weight = (np.ravel(a) for a in (x, y, weight))
    distance = _distance_to_curve(x, y, low, high, top - bottom)
    chord = top + (bottom - top) / (high - low) * (x - low)
    hull = (y < 0.9 - 0.8 * x**2 + eps) & (y > chord - eps)
    within = (x > low - eps) & (x < high + eps) & (y > bottom - eps) & (y < top + eps)
    total = weight.sum()
    return Mixing(
        *(
            float((weight * distance)[kind].sum() / total)
            for kind in (hull, ~hull & within, ~hull & ~within)
        )
    )


def _distance_to_curve(x: Field, y: Field, low: float, high: float, span: float) -> Field:
    """Distance by Newton's method from the nearest of 200 points of the curve."""
    across = high - low

    def squared(s: Field, x: Field, y: Field) -> Field:
        return ((x - s) / across) ** 2 + ((y - 0.9 + 0.8 * s * s) / span) ** 2

    points = np.linspace(low, high, 200)
    start = np.concatenate(
        [
            points[squared(points, a[:, None], b[:, None]).argmin(1)]
            for a, b in zip(np.array_split(x, 16), np.array_split(y, 16), strict=True)
        ]
    )
    s = start
    for _ in range(6):
        gap = y - 0.9 + 0.8 * s * s
        slope = -2 * (x - s) / across**2 + 3.2 * s * gap / span**2
        curve = 2 / across**2 + (3.2 * gap + 5.12 * s * s) / span**2
        s = np.clip(np.where(curve > 0, s - slope / curve, s), low, high)
    return np.sqrt(np.minimum(squared(s, x, y), squared(start, x, y)))
