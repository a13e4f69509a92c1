"""Regridding between global latitude-longitude grids: conservative and bilinear."""

import numpy as np
from jaxtyping import Float

from pushforward.simulators.errors import DataError

__all__ = ["bilinear", "cell_edges", "conservative", "overlap_fractions"]


def cell_edges(centres: Float[np.ndarray, " n"], kind: str) -> Float[np.ndarray, " n+1"]:
    """Edges halfway between equally spaced centres; latitudes end at the poles.

    Parameters
    ----------
    centres : degrees, rising.
    kind : `lat` or `lon`.
    """
    middle = (centres[1:] + centres[:-1]) / 2
    half = (centres[1] - centres[0]) / 2
    edges = np.concatenate([[centres[0] - half], middle, [centres[-1] + half]])
    if kind == "lat":
        edges[0], edges[-1] = -90.0, 90.0
    elif abs(edges[-1] - edges[0] - 360) > 1e-6 * 360:
        raise DataError(
            f"longitudes from {centres[0]} to {centres[-1]} in steps of {2 * half:.6g} do not go "
            "once around the globe."
        )
    return edges


def overlap_fractions(
    source: Float[np.ndarray, " n"], target: Float[np.ndarray, " m"], kind: str
) -> Float[np.ndarray, "m n"]:
    """Share of each source cell (by length on the sphere: sin of latitude) in each target cell.

    The columns add up to 1: nothing is lost.

    Examples
    --------
    >>> overlap_fractions(np.array([-45.0, 45.0]), np.array([-60.0, 0.0, 60.0]), "lat")
    array([[0.5, 0. ],
           [0.5, 0.5],
           [0. , 0.5]])
    """
    a, b = cell_edges(source, kind), cell_edges(target, kind)
    if kind == "lat":
        a, b = np.sin(np.radians(a)), np.sin(np.radians(b))
        shifts = [0.0]
    else:
        turns = np.floor((a.min() - b.max()) / 360), np.ceil((a.max() - b.min()) / 360)
        shifts = [360 * k for k in np.arange(turns[0], turns[1] + 1)]
    shared = np.zeros((len(target), len(source)))
    for shift in shifts:
        low = np.maximum(b[:-1, None] + shift, a[None, :-1])
        high = np.minimum(b[1:, None] + shift, a[None, 1:])
        shared += np.clip(high - low, 0, None)
    return shared / shared.sum(0)


def conservative(
    field: Float[np.ndarray, "*batch lat lon"],
    source: tuple[np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray],
) -> Float[np.ndarray, "*batch lat2 lon2"]:
    """Regrid amounts per cell (kg, mol, ...): every source cell's amount goes where it lies.

    First-order conservative: the sum over the globe is kept to rounding. Divide by areas before
    and after for intensities.

    Parameters
    ----------
    field : amounts on rising latitudes and longitudes.
    source, target : (latitudes, longitudes) of the cell centres, degrees.

    Examples
    --------
    >>> lat, lon = np.arange(-85.0, 90, 10), np.arange(0.0, 360, 10)
    >>> coarse = conservative(np.ones((18, 36)), (lat, lon), (lat[::2] + 5, lon[::2] + 5))
    >>> coarse.shape, float(coarse.sum())
    ((9, 18), 648.0)
    """
    rows = overlap_fractions(source[0], target[0], "lat")
    columns = overlap_fractions(source[1], target[1], "lon")
    return rows @ np.asarray(field, dtype=np.float64) @ columns.T


def bilinear(
    field: Float[np.ndarray, "*batch lat lon"],
    source: tuple[np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray],
) -> Float[np.ndarray, "*batch lat2 lon2"]:
    """Regrid intensities (temperature, wind, pressure): linear, periodic in longitude.

    Beyond the last row towards a pole the row itself is taken.
    """
    field = np.asarray(field, dtype=np.float64)
    lat, lon = source
    at = np.clip(target[0], lat[0], lat[-1])
    row = np.clip(np.searchsorted(lat, at, side="right") - 1, 0, len(lat) - 2)
    up = (at - lat[row]) / (lat[row + 1] - lat[row])
    field = field[..., row, :] * (1 - up)[:, None] + field[..., row + 1, :] * up[:, None]
    step = 360 / len(lon)
    place = np.mod(target[1] - lon[0], 360.0) / step
    west = np.floor(place).astype(int) % len(lon)
    share = place - np.floor(place)
    return field[..., west] * (1 - share) + field[..., (west + 1) % len(lon)] * share
