"""What the transport knows at one time, and how it is set up from functions or cell means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.atmosphere.reconstruction import GHOST, padded, reconstruct
from pushforward.simulators.atmosphere.schemes import SCHEMES, Scheme

__all__ = ["Function", "TracerState", "estimated_moments", "projected_moments"]

Function = Callable[..., Tensor]

# Degrees in x, y, z of the moments, in the order of `schemes.chains`.
_DEGREES = {
    0: ((0, 0, 0),),
    1: ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    2: (
        (0, 0, 0),
        (1, 0, 0),
        (0, 1, 0),
        (2, 0, 0),
        (0, 2, 0),
        (1, 1, 0),
        (0, 0, 1),
        (0, 0, 2),
        (1, 0, 1),
        (0, 1, 1),
    ),
}


@dataclass(frozen=True)
class TracerState:
    """Air and tracers at one time.

    Parameters
    ----------
    air_mass : kg of air in each cell, (*batch, layer, lat, lon); layer 0 at the surface.
    tracer_mass : kg of each tracer, (*batch, tracer, layer, lat, lon).
    moments : air mass times the coefficients of the polynomial inside each cell, kg,
        (*batch, tracer, moment, layer, lat, lon); none for schemes that carry none.
    time : seconds.
    """

    air_mass: Float[Tensor, "*batch layer lat lon"]
    tracer_mass: Float[Tensor, "*batch tracer layer lat lon"]
    moments: Float[Tensor, "*batch tracer moment layer lat lon"]
    time: float = 0.0

    @property
    def mixing_ratio(self) -> Float[Tensor, "*batch tracer layer lat lon"]:
        """Tracer mass over air mass, kg/kg."""
        return self.tracer_mass / self.air_mass.unsqueeze(-4)


def projected_moments(
    scheme: Scheme,
    grid: LatLonGrid,
    functions: Sequence[Function],
    pressure: Tensor | None,
    *,
    points: int = 4,
) -> Tensor:
    """Mean and moments of functions over the cells by Gauss-Legendre quadrature.

    Parameters
    ----------
    functions : q(λ, φ) or, if `pressure` is given, q(λ, φ, p): radians and Pa, broadcasting.
    pressure : edges of the layers from the surface up, Pa, (edge,) or (edge, lat, lon).
    points : quadrature points a direction.

    Returns
    -------
    (tracer, moment, layer, lat, lon), coefficients per unit of air.
    """
    nodes, weights = np.polynomial.legendre.leggauss(points)
    layers = 1 if pressure is None else len(pressure) - 1
    degrees = _DEGREES[scheme.degree if scheme.carried else 0][: scheme.n_amounts(layers)]
    sine = torch.deg2rad(grid.lat_edges).sin()
    shape = (len(functions), len(degrees), layers, grid.n_lat, grid.n_lon)
    total = torch.zeros(shape, dtype=torch.float64)
    vertical = range(points) if pressure is not None else range(1)
    for a, b, c in product(range(points), range(points), vertical):
        lon = torch.deg2rad(grid.lon + nodes[a] * grid.spacing[1] / 2)
        lat = ((sine[1:] + sine[:-1] + nodes[b] * sine.diff()) / 2).asin()[:, None]
        at, weight = [lon, lat], weights[a] * weights[b] / 4
        if pressure is not None:
            middle, half = (pressure[1:] + pressure[:-1]) / 2, pressure.diff(dim=0) / 2
            level = middle + nodes[c] * half
            at.append(level[:, None, None] if level.dim() == 1 else level)
            weight = weight * weights[c] / 2
        where = (nodes[a], nodes[b], nodes[c] if pressure is not None else 0.0)
        values = torch.stack([f(*at).expand(shape[2:]) for f in functions])
        for m, degree in enumerate(degrees):
            factor = weight
            for d, x in zip(degree, where, strict=True):
                factor = factor * (1.0, 3 * x, 2.5 * (3 * x * x - 1))[d]
            total[:, m] += factor * values
    return total


def estimated_moments(scheme: Scheme, means: Tensor) -> Tensor:
    """Moments that a scheme starts with if only cell means are known, by differences.

    Parameters
    ----------
    means : mixing ratios (..., layer, lat, lon).

    Returns
    -------
    (..., moment, layer, lat, lon), the means first.
    """
    if not scheme.carried:
        return means.unsqueeze(-4)
    layers = means.shape[-3]
    inside = slice(1, -1)
    along = {}
    for axis, dim in (("x", -1), ("y", -2), ("z", -3)):
        parabola = reconstruct(SCHEMES["ppm"], padded(means, axis))
        along[axis] = [c[..., inside].movedim(-1, dim) for c in parabola]
    columns = []
    for degree in _DEGREES[scheme.degree][: scheme.n_amounts(layers)]:
        axes = [axis for axis, d in zip("xyz", degree, strict=True) if d]
        if len(axes) == 2:  # central difference of the slope along the first axis
            second = axes[1]
            slope = padded(along[axes[0]][1], second)
            cross = (
                slope[..., GHOST + 1 : slope.shape[-1] - GHOST + 1]
                - slope[..., GHOST - 1 : -GHOST - 1]
            ) / 4
            cross[..., [0, -1]] = 0.0  # the ghosts across a pole or a wall have another sense
            columns.append(cross.movedim(-1, {"y": -2, "z": -3}[second]))
        elif axes:
            columns.append(along[axes[0]][max(degree)])
        else:
            columns.append(means)
    return torch.stack(columns, -4)
