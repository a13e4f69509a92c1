"""Remapping of a circle of latitude whose air moves by more than a cell, a line at a time.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from pushforward.simulators.atmosphere._line_kernels import GHOST
from pushforward.simulators.atmosphere._remap_kernels import piece
from pushforward.simulators.compiled import kernel

__all__ = ["departures", "remap_far"]


@kernel
@no_type_check
def departures(n, a, share, mass, flux, cell, place):
    """Cell and place in it, 0 to 1, from where the air at each face comes; False if too far."""
    for i in range(n):
        left = share * flux[i, a]
        steps = 0
        if left > 0:
            j = i - 1
            while left > mass[j % n + GHOST, a] and steps < n:
                left -= mass[j % n + GHOST, a]
                j -= 1
                steps += 1
            place[i] = 1 - left / mass[j % n + GHOST, a]
        else:
            left = -left
            j = i
            while left > mass[j % n + GHOST, a] and steps < n:
                left -= mass[j % n + GHOST, a]
                j += 1
                steps += 1
            place[i] = left / mass[j % n + GHOST, a]
        if steps == n:
            return False
        cell[i] = j
    cell[n], place[n] = cell[0] + n, place[0]
    for i in range(n):
        if not (cell[i + 1] > cell[i] or (cell[i + 1] == cell[i] and place[i + 1] > place[i])):
            return False
    return True


@kernel
@no_type_check
def remap_far(n, a, cell, place, mass, new_mass, inputs, c, outputs, work):
    """Remap one periodic line whose air moves by more than a cell.

    `inputs` is the number of coefficients of the old polynomials c[0], c[1], c[2]; `outputs` that
    of the moments wanted, into work.
    """
    for i in range(n):
        start, position = cell[i], 0.0
        work[0, i] = work[1, i] = work[2, i] = 0.0
        for j in range(start, cell[i + 1] + 1):
            p = j % n + GHOST
            low = place[i] if j == start else 0.0
            high = place[i + 1] if j == cell[i + 1] else 1.0
            share = high - low
            air = share * mass[p, a]
            width = air / new_mass[i]
            where = 2 * position + width - 1
            position += width
            c0 = c[0, p, a]
            c1 = c[1, p, a] if inputs > 1 else 0.0
            c2 = c[2, p, a] if inputs > 2 else 0.0
            middle = low + high - 1
            mean = c0 + middle * c1 + 0.5 * c2 * (3 * middle * middle - 1 + share * share)
            work[0, i] += air * mean
            if outputs > 1:
                first, second = piece(middle, share, where, width, c0, c1, c2)
                work[1, i] += air * first
                work[2, i] += air * second
