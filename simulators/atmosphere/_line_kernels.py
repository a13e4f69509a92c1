"""Bundles of lines of cells: copied from the fields into buffers, ghost cells added, and back.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from pushforward.simulators.compiled import kernel

__all__ = ["GHOST", "LANES", "X", "Y", "Z", "load", "load_flux", "store"]

GHOST = 3
LANES = 16
X, Y, Z = range(3)


@kernel
@no_type_check
def load(axis, field, first, lanes, buffer):
    """Lines `first`…`first + lanes` of (K, J, I) into (n + 2 ghosts, lane), ghost cells filled.

    Beyond the pole lies the opposite meridian; beyond the top and the surface the mirror image.
    """
    layers, rows, columns = field.shape
    if axis == X:
        n = columns
        k, j = first // rows, first % rows
        for a in range(lanes):
            line = field[k, j + a]
            for i in range(n):
                buffer[i + GHOST, a] = line[i]
            for g in range(GHOST):
                buffer[g, a] = line[(g - GHOST) % n]
                buffer[n + GHOST + g, a] = line[g % n]
    elif axis == Y:
        n = rows
        k, i = first // columns, first % columns
        for j in range(n):
            for a in range(lanes):
                buffer[j + GHOST, a] = field[k, j, i + a]
        for g in range(GHOST):
            south, north = min(GHOST - 1 - g, n - 1), max(n - 1 - g, 0)
            for a in range(lanes):
                opposite = (i + a + columns // 2) % columns
                buffer[g, a] = field[k, south, opposite]
                buffer[n + GHOST + g, a] = field[k, north, opposite]
    else:
        n = layers
        j, i = first // columns, first % columns
        for k in range(n):
            for a in range(lanes):
                buffer[k + GHOST, a] = field[k, j, i + a]
        for g in range(GHOST):
            low, high = min(GHOST - 1 - g, n - 1), max(n - 1 - g, 0)
            for a in range(lanes):
                buffer[g, a] = field[low, j, i + a]
                buffer[n + GHOST + g, a] = field[high, j, i + a]


@kernel
@no_type_check
def store(axis, buffer, first, lanes, offset, n, field):
    """The inverse of `_load` for `n` places, the first in row `offset` of the buffer."""
    _, rows, columns = field.shape
    if axis == X:
        k, j = first // rows, first % rows
        for a in range(lanes):
            for i in range(n):
                field[k, j + a, i] = buffer[i + offset, a]
    elif axis == Y:
        k, i = first // columns, first % columns
        for j in range(n):
            for a in range(lanes):
                field[k, j, i + a] = buffer[j + offset, a]
    else:
        j, i = first // columns, first % columns
        for k in range(n):
            for a in range(lanes):
                field[k, j, i + a] = buffer[k + offset, a]


@kernel
@no_type_check
def load_flux(axis, east, north, up, first, lanes, rows, columns, n, flux):
    """Fluxes through face i, between places i - 1 and i; east[i] is the east face of cell i."""
    if axis == X:
        k, j = first // rows, first % rows
        for a in range(lanes):
            flux[0, a] = east[k, j + a, n - 1]
            for i in range(n):
                flux[i + 1, a] = east[k, j + a, i]
    elif axis == Y:
        k, i = first // columns, first % columns
        for j in range(n + 1):
            for a in range(lanes):
                flux[j, a] = north[k, j, i + a]
    else:
        j, i = first // columns, first % columns
        for k in range(n + 1):
            for a in range(lanes):
                flux[k, a] = up[k, j, i + a]
