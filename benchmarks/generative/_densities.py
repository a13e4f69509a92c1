"""The plane densities that users of flow matching know, drawn from a NumPy generator."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAIRS", "draw"]

#: (source, target) of the four rows of the 2-D table.
PAIRS = (
    ("normal", "8gaussians"),
    ("moons", "8gaussians"),
    ("normal", "moons"),
    ("normal", "scurve"),
)


def draw(name: str, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """n points (n, 2) of a density.

    "normal": N(0, I). "8gaussians": centres at radius 5, standard deviation 0.1^(1/4) = 0.5623 (the
    peers' argument 0.1 is the *square* of the variance). "moons": half circles at evenly spaced
    angles, each point moved by one U(0, 0.2) along both axes, then 3x - 1, as the peers' generator
    has it; rows in random order. "scurve": 1.5 (sin t, sign(t)(cos t - 1)) with t uniform on ±3π/2
    and noise 0.05 before the factor.

    >>> draw("moons", 4, np.random.default_rng(0)).shape
    (4, 2)
    """
    if name == "normal":
        points = rng.standard_normal((n, 2))
    elif name == "8gaussians":
        angle = rng.integers(0, 8, n) * (math.pi / 4)
        centre = 5 * np.stack((np.cos(angle), np.sin(angle)), 1)
        points = centre + 0.1**0.25 * rng.standard_normal((n, 2))
    elif name == "moons":
        upper, lower = np.linspace(0, math.pi, n // 2), np.linspace(0, math.pi, n - n // 2)
        points = np.concatenate(
            (
                np.stack((np.cos(upper), np.sin(upper)), 1),
                np.stack((1 - np.cos(lower), 0.5 - np.sin(lower)), 1),
            )
        )
        points = rng.permutation(3 * (points + 0.2 * rng.random((n, 1))) - 1)
    elif name == "scurve":
        t = 3 * math.pi * (rng.random(n) - 0.5)
        curve = np.stack((np.sin(t), np.sign(t) * (np.cos(t) - 1)), 1)
        points = 1.5 * (curve + 0.05 * rng.standard_normal((n, 2)))
    else:
        raise ValueError(f"unknown density {name!r}; one of normal, 8gaussians, moons, scurve.")
    return points.astype(np.float32)
