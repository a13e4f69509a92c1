"""Polynomials inside the cells of a bundle of lines, and their limiters; see `reconstruction.py`.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

import numpy as np

from pushforward.simulators.atmosphere._line_kernels import GHOST
from pushforward.simulators.compiled import kernel

__all__ = ["LIMITERS", "MONOTONE", "NONE", "POSITIVE", "limit", "reconstruct"]

NONE, MONOTONE, POSITIVE = range(3)
LIMITERS = {"none": NONE, "monotone": MONOTONE, "positive": POSITIVE}


@kernel
@no_type_check
def _shrink(lanes, low, high, c0, c1, c2):
    """Scale c1, c2 so that the parabola stays within [low, high] (Zhang and Shu)."""
    for a in range(lanes):
        mean, slope, curve = c0[a], c1[a], c2[a]
        rise = max(curve + slope, curve - slope)
        fall = min(curve + slope, curve - slope)
        if abs(slope) < 3 * abs(curve):
            inner = -0.5 * curve - slope * slope / (6 * curve)
            rise, fall = max(rise, inner), min(fall, inner)
        factor = 1.0
        if rise > high[a] - mean:
            factor = max(high[a] - mean, 0.0) / rise
        if -fall > mean - low[a]:
            factor = min(factor, max(mean - low[a], 0.0) / -fall)
        c1[a] = factor * slope
        c2[a] = factor * curve


@kernel
@no_type_check
def limit(n, lanes, limiter, c0, c1, c2, low, high):
    """Limit the polynomials of cells -1 … n to their neighbours' means, or to be positive."""
    for i in range(GHOST - 1, n + GHOST + 1):
        if limiter == MONOTONE:
            for a in range(lanes):
                low[a] = min(c0[i - 1, a], c0[i, a], c0[i + 1, a])
                high[a] = max(c0[i - 1, a], c0[i, a], c0[i + 1, a])
        else:
            for a in range(lanes):
                low[a] = 0.0
                high[a] = np.inf
        _shrink(lanes, low, high, c0[i], c1[i], c2[i])


@kernel
@no_type_check
def reconstruct(n, lanes, degree, limiter, c0, c1, c2, slope, edge):
    """Coefficients c1, c2 of the polynomials in cells -1 … n from the means c0."""
    if degree == 0:
        return
    if degree == 1 or limiter == MONOTONE:  # van Leer's monotonised central slopes
        for i in range(1, n + 2 * GHOST - 1):
            for a in range(lanes):
                left, right = c0[i, a] - c0[i - 1, a], c0[i + 1, a] - c0[i, a]
                size = min(abs(left + right) * 0.25, abs(left), abs(right))
                slope[i, a] = 2 * np.copysign(size, left + right) if left * right > 0 else 0.0
    if degree == 1:
        for i in range(GHOST - 1, n + GHOST + 1):
            for a in range(lanes):
                c1[i, a] = 0.5 * slope[i, a]
        return
    for i in range(GHOST - 1, n + GHOST + 2):  # edge i lies between places i - 1 and i
        if limiter == MONOTONE:
            for a in range(lanes):
                step = (slope[i, a] - slope[i - 1, a]) / 6
                edge[i, a] = 0.5 * (c0[i - 1, a] + c0[i, a]) - step
        else:
            for a in range(lanes):
                near, far = c0[i - 1, a] + c0[i, a], c0[i - 2, a] + c0[i + 1, a]
                edge[i, a] = (7 * near - far) / 12
    for i in range(GHOST - 1, n + GHOST + 1):
        for a in range(lanes):
            left, right, mean = edge[i, a], edge[i + 1, a], c0[i, a]
            if limiter == MONOTONE:  # Colella and Woodward
                jump = right - left
                curve = 6 * mean - 3 * (left + right)
                if (right - mean) * (mean - left) <= 0:
                    left, right = mean, mean
                elif jump * curve > jump * jump:
                    left = 3 * mean - 2 * right
                elif jump * curve < -jump * jump:
                    right = 3 * mean - 2 * left
            c1[i, a] = 0.5 * (right - left)
            c2[i, a] = 0.5 * (left + right) - mean
