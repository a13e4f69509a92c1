"""Fused sweep of the transport on the CPU: a bundle of lines at a time, all tracers and moments.

A sweep moves air along lines of cells (circles of latitude, meridians, columns). A bundle of lines
is copied into buffers (place along the line, lane), ghost cells at both ends included; there the
new cells are put together from pieces of the old ones, and the result is copied out.
Lanes lie side by side in memory, so the inner loops run on vector registers whatever the axis.
`remap.py` has the same arithmetic for tensors, with gradients, and says what a piece contributes.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

import numpy as np
from numba import prange

from pushforward.simulators.compiled import kernel, serial_and_parallel

__all__ = ["LANES", "LIMITERS", "sweep"]

GHOST = 3
LANES = 16
X, Y, Z = range(3)
NONE, MONOTONE, POSITIVE = range(3)
LIMITERS = {"none": NONE, "monotone": MONOTONE, "positive": POSITIVE}


@kernel
@no_type_check
def _load(axis, field, first, lanes, buffer):
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
def _store(axis, buffer, first, lanes, offset, n, field):
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
def _load_flux(axis, east, north, up, first, lanes, rows, columns, n, flux):
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


@kernel
@no_type_check
def _geometry(n, lanes, share, mass, flux, inverse, forth, back, new_mass, inverse_new):
    """Air that leaves through each face, forth and back, and the new masses.

    Returns (greatest Courant number, place and lane of a cell that would be emptied or -1).
    """
    for i in range(GHOST - 1, n + GHOST + 1):
        for a in range(lanes):
            inverse[i, a] = 1 / mass[i, a]
    for i in range(n + 1):
        for a in range(lanes):
            f = share * flux[i, a]
            forth[i, a] = 0.5 * (abs(f) + f)
            back[i, a] = 0.5 * (abs(f) - f)
    greatest = 0.0
    bad_place, bad_lane = -1, -1
    for i in range(n):
        for a in range(lanes):
            m = mass[i + GHOST, a]
            new = m + (forth[i, a] - back[i, a]) - (forth[i + 1, a] - back[i + 1, a])
            new_mass[i, a] = new
            inverse_new[i, a] = 1 / new
            outflow = (back[i, a] + forth[i + 1, a]) * inverse[i + GHOST, a]
            if not outflow <= greatest:
                greatest = outflow
            if not (new > 0 and m > 0):
                bad_place, bad_lane = i, a
    return greatest, bad_place, bad_lane


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
def _limit(n, lanes, limiter, c0, c1, c2, low, high):
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
def _reconstruct(n, lanes, degree, limiter, c0, c1, c2, slope, edge):
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


@kernel
@no_type_check
def _fluxes(n, lanes, degree, forth, back, inverse, c0, c1, c2, flux):
    """Tracer carried through each face: the mean over the swept air times that air."""
    for i in range(n + 1):
        for a in range(lanes):
            out, into = forth[i, a], back[i, a]
            h, g = out * inverse[i + GHOST - 1, a], into * inverse[i + GHOST, a]
            left, right = c0[i + GHOST - 1, a], c0[i + GHOST, a]
            if degree > 0:
                left += (1 - h) * c1[i + GHOST - 1, a]
                right += (g - 1) * c1[i + GHOST, a]
            if degree > 1:
                left += (1 - h) * (1 - 2 * h) * c2[i + GHOST - 1, a]
                right += (1 - g) * (1 - 2 * g) * c2[i + GHOST, a]
            flux[i, a] = out * left - into * right


@kernel
@no_type_check
def _remap_mean(n, lanes, flux, total):
    for i in range(n):
        for a in range(lanes):
            total[i + GHOST, a] += flux[i, a] - flux[i + 1, a]


@kernel
@no_type_check
def _remap_slope(n, lanes, mass, forth, back, inverse, inverse_new, c0, c1, new):
    """First moments of the new cells from linear polynomials in the old ones."""
    for i in range(n):
        for a in range(lanes):
            p = i + GHOST
            into, out = forth[i, a], back[i + 1, a]
            w, v = into * inverse_new[i, a], out * inverse_new[i, a]
            h, g = into * inverse[p - 1, a], out * inverse[p + 1, a]
            new[p, a] = into * (
                3 * (w - 1) * (c0[p - 1, a] + (1 - h) * c1[p - 1, a]) + w * h * c1[p - 1, a]
            ) + out * (3 * (1 - v) * (c0[p + 1, a] + (g - 1) * c1[p + 1, a]) + v * g * c1[p + 1, a])
            left, right = back[i, a] * inverse[p, a], forth[i + 1, a] * inverse[p, a]
            kept = mass[p, a] - back[i, a] - forth[i + 1, a]
            u = kept * inverse_new[i, a]
            new[p, a] += kept * (
                3 * (w - v) * (c0[p, a] + (left - right) * c1[p, a])
                + u * (1 - left - right) * c1[p, a]
            )


@kernel
@no_type_check
def _piece(middle, half, place, width, c0, c1, c2):
    """What a piece adds to the first and second moment, per unit of its air mass."""
    p0 = c0 + middle * c1 + 0.5 * c2 * (3 * middle * middle - 1 + half * half)
    p1 = half * (c1 + 3 * c2 * middle)
    p2 = half * half * c2
    first = 3 * place * p0 + width * p1
    second = (
        2.5 * (3 * place * place - 1 + width * width) * p0
        + 5 * place * width * p1
        + width * width * p2
    )
    return first, second


@kernel
@no_type_check
def _remap_curve(n, lanes, mass, forth, back, inverse, inverse_new, c0, c1, c2, new1, new2):
    """First and second moments of the new cells from parabolas in the old ones."""
    for i in range(n):
        for a in range(lanes):
            p = i + GHOST
            into, out = forth[i, a], back[i + 1, a]
            w, v = into * inverse_new[i, a], out * inverse_new[i, a]
            h, g = into * inverse[p - 1, a], out * inverse[p + 1, a]
            first, second = _piece(1 - h, h, w - 1, w, c0[p - 1, a], c1[p - 1, a], c2[p - 1, a])
            third, fourth = _piece(g - 1, g, 1 - v, v, c0[p + 1, a], c1[p + 1, a], c2[p + 1, a])
            left, right = back[i, a] * inverse[p, a], forth[i + 1, a] * inverse[p, a]
            kept = mass[p, a] - back[i, a] - forth[i + 1, a]
            fifth, sixth = _piece(
                left - right,
                1 - left - right,
                w - v,
                kept * inverse_new[i, a],
                c0[p, a],
                c1[p, a],
                c2[p, a],
            )
            new1[p, a] = into * first + out * third + kept * fifth
            new2[p, a] = into * second + out * fourth + kept * sixth


@kernel
@no_type_check
def _departures(n, a, share, mass, flux, cell, place):
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
def _remap_far(n, a, cell, place, mass, new_mass, inputs, c, outputs, work):
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
                first, second = _piece(middle, share, where, width, c0, c1, c2)
                work[1, i] += air * first
                work[2, i] += air * second


@no_type_check
def _sweep(
    axis,
    share,
    degree,
    carried,
    limiter,
    chain_table,
    mass,
    amounts,
    east,
    north,
    up,
    mass_out,
    amounts_out,
    trouble,
):
    """One sweep: mass (B, K, J, I), amounts (B, T, M, K, J, I), fluxes (1 or B, …).

    The result goes elsewhere, for lines read cells of other bundles across the poles.

    `chain_table` (chains, 3) lists moments that are remapped together, -1 where there is none.
    `trouble` (tasks, 3) receives the first cell of a bundle that would be emptied: batch entry,
    flat cell index, and the Courant number; the batch entry is -1 if there is none.
    """
    batch, layers, rows, columns = mass.shape
    tracers = amounts.shape[1]
    if axis == X:
        n, across, planes = columns, rows, layers
    elif axis == Y:
        n, across, planes = rows, columns, layers
    else:
        n, across, planes = layers, columns, rows
    bundles = (across + LANES - 1) // LANES
    size = n + 2 * GHOST
    for task in prange(batch * planes * bundles):
        b, plane, bundle = task // (planes * bundles), task // bundles % planes, task % bundles
        start = plane * across + bundle * LANES
        lanes = min(LANES, across - bundle * LANES)
        air, inverse = np.empty((size, LANES)), np.empty((size, LANES))
        flux, forth, back = (
            np.empty((n + 1, LANES)),
            np.empty((n + 1, LANES)),
            np.empty((n + 1, LANES)),
        )
        new_mass, inverse_new = np.empty((n, LANES)), np.empty((n, LANES))
        c = np.zeros((3, size, LANES))
        slope, edge = np.empty((size, LANES)), np.empty((size, LANES))
        moved = np.empty((n + 1, LANES))
        totals = np.empty((3, size, LANES))
        _load(axis, mass[b], start, lanes, air)
        f = 0 if len(east) == 1 else b
        _load_flux(axis, east[f], north[f], up[f], start, lanes, rows, columns, n, flux)
        greatest, bad, lane = _geometry(
            n, lanes, share, air, flux, inverse, forth, back, new_mass, inverse_new
        )
        far = not greatest <= 1
        trouble[task, 0] = -1.0
        cell = np.empty((lanes, n + 1), np.int64)
        place = np.empty((lanes, n + 1))
        work = np.empty((3, n))
        if bad < 0 and far and axis == X:
            for a in range(lanes):
                if not _departures(n, a, share, air, flux, cell[a], place[a]):
                    bad, lane = 0, a
        if bad >= 0 or (far and axis != X):
            worst = -1.0
            for i in range(n):
                for a in range(lanes):
                    outflow = (back[i, a] + forth[i + 1, a]) * inverse[i + GHOST, a]
                    if worst == worst and not outflow <= worst:  # NaN stays
                        worst, bad, lane = outflow, i, a
            if axis == X:
                where = (start + lane) * columns + bad
            elif axis == Y:
                where = (plane * rows + bad) * columns + bundle * LANES + lane
            else:
                where = bad * rows * columns + start + lane
            trouble[task, 0], trouble[task, 1], trouble[task, 2] = b, where, worst
            continue
        if far:
            for a in range(lanes):
                for i in range(n):
                    total = 0.0
                    for j in range(cell[a, i], cell[a, i + 1] + 1):
                        low = place[a, i] if j == cell[a, i] else 0.0
                        high = place[a, i + 1] if j == cell[a, i + 1] else 1.0
                        total += (high - low) * air[j % n + GHOST, a]
                    new_mass[i, a] = total
        _store(axis, new_mass, start, lanes, 0, n, mass_out[b])
        for t in range(tracers):
            for row in range(len(chain_table)):
                known = 0
                while known < 3 and chain_table[row, known] >= 0:
                    field = amounts[b, t, chain_table[row, known]]
                    _load(axis, field, start, lanes, totals[known])
                    for i in range(size):
                        for a in range(lanes):
                            c[known, i, a] = totals[known, i, a] / air[i, a]
                    known += 1
                inputs = known
                if row == 0 and not carried:
                    _reconstruct(n, lanes, degree, limiter, c[0], c[1], c[2], slope, edge)
                    inputs = degree + 1
                if row == 0 and limiter != NONE and (carried or limiter == POSITIVE):
                    if inputs == 2:
                        c[2] = 0.0
                    _limit(n, lanes, limiter, c[0], c[1], c[2], slope[0], edge[0])
                if far:
                    for a in range(lanes):
                        _remap_far(
                            n,
                            a,
                            cell[a],
                            place[a],
                            air,
                            new_mass[:, a],
                            inputs,
                            c,
                            known,
                            work,
                        )
                        for q in range(known):
                            for i in range(n):
                                totals[q, i + GHOST, a] = work[q, i]
                else:
                    _fluxes(n, lanes, inputs - 1, forth, back, inverse, c[0], c[1], c[2], moved)
                    _remap_mean(n, lanes, moved, totals[0])
                    if known == 2:
                        _remap_slope(
                            n,
                            lanes,
                            air,
                            forth,
                            back,
                            inverse,
                            inverse_new,
                            c[0],
                            c[1],
                            totals[1],
                        )
                    elif known == 3:
                        _remap_curve(
                            n,
                            lanes,
                            air,
                            forth,
                            back,
                            inverse,
                            inverse_new,
                            c[0],
                            c[1],
                            c[2],
                            totals[1],
                            totals[2],
                        )
                for q in range(known):
                    field = amounts_out[b, t, chain_table[row, q]]
                    _store(axis, totals[q], start, lanes, GHOST, n, field)


sweep = serial_and_parallel(_sweep)
