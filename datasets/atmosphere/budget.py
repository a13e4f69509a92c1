"""Closing the CO2 budget of a data set: what appears in the air must have come through a flux."""

import numpy as np
from jaxtyping import Float

from pushforward.simulators.errors import DataError

__all__ = ["budget_residual", "close_budget"]


def budget_residual(
    co2massmix: Float[np.ndarray, "times level lat lon"],
    airmass: Float[np.ndarray, "times level lat lon"],
    flux: Float[np.ndarray, "times lat lon"],
    area: Float[np.ndarray, "lat lon"],
    *,
    seconds: float,
) -> Float[np.ndarray, " steps"]:
    r"""CO2 that appears in a step without a flux, Pg.

        r_t = M_{t+1} − M_t − Σ F_t a Δt / 10¹²,   M = Σ c A / 10⁶

    Parameters
    ----------
    co2massmix, airmass : 1e-6 kg/kg and Pg.
    flux : sum of all fluxes from each time to the next, kg m-2 s-1.
    area : m2.
    seconds : of a step.
    """
    mass = (co2massmix.astype(np.float64) * airmass).sum((1, 2, 3)) / 1e6
    brought = (flux.astype(np.float64) * area).sum((1, 2)) * seconds / 1e12
    return np.diff(mass) - brought[:-1]


def close_budget(
    anthropogenic: Float[np.ndarray, "times lat lon"],
    residual: Float[np.ndarray, " steps"],
    area: Float[np.ndarray, "lat lon"],
    *,
    seconds: float,
) -> Float[np.ndarray, "times lat lon"]:
    """Add each step's residual to a flux, in proportion to its own pattern.

    As published for CarbonBench. The last time, which has no step, stays as it is.

    Raises
    ------
    DataError : a time at which that flux is zero in total, so that it has no pattern to follow.
    """
    carried = (anthropogenic[:-1].astype(np.float64) * area).sum((1, 2))
    if not (np.abs(carried) > 0).all():
        step = int(np.argmin(np.abs(carried)))
        raise DataError(
            f"the anthropogenic flux adds up to zero in step {step}; its residual of "
            f"{residual[step]:.3g} Pg cannot be spread after its pattern."
        )
    factor = 1 + residual * 1e12 / seconds / carried
    closed = anthropogenic.astype(np.float64).copy()
    closed[:-1] *= factor[:, None, None]
    return closed
