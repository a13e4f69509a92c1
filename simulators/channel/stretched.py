"""The stretched wall-normal grid on which filtered channel data were published."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["PUBLISHED_STRETCHING", "stretched_points"]

# Recovered from the published profiles: it reproduces their y+ to 5e-10 at all three Re_τ.
PUBLISHED_STRETCHING = 0.259065151


def stretched_points(n: int, stretching: float | int = PUBLISHED_STRETCHING) -> Float[Tensor, " n"]:
    """Points from 0 to 2 that crowd at both walls, after Laizet and Lamballais.

    y = 1 + (2/π) arctan( √(1 + 1/aβ) tan(πs) ),  s = j/(n-1) - 1/2,  aβ = (√(π²β² + 1) - 1)/2.

    The smaller β, the denser the walls. The grids nest: every fourth point of n = 129 is one of
    n = 33.

    Parameters
    ----------
    n : number of points, walls included; odd, so that one lies on the centre plane.
    stretching : β; the default is that of the published data.

    Raises
    ------
    DataError : an even or too small n, or a stretching that is not positive.

    Source: Laizet, Lamballais, J. Comput. Phys. 228, 2009, both-sided refinement.

    Examples
    --------
    >>> [round(v, 5) for v in stretched_points(33)[1:4].tolist()]
    [0.02228, 0.04494, 0.06839]
    """
    if n < 5 or n % 2 == 0:
        raise DataError(f"n = {n} points between the walls; expected an odd number from 5 on.")
    if not (stretching > 0 and math.isfinite(stretching)):
        raise DataError(f"stretching = {stretching}; expected a positive number, 0.259 as a rule.")
    ab = (math.sqrt(math.pi**2 * stretching**2 + 1) - 1) / 2
    s = torch.arange(n // 2, dtype=torch.float64) / (n - 1) - 0.5
    half = 1 + 2 / math.pi * torch.atan(math.sqrt(1 + 1 / ab) * torch.tan(math.pi * s))
    half[0] = 0.0  # the tangent is infinite there
    return torch.cat((half, half.new_ones(1), (2 - half).flip(0)))
