"""Fused sweep of the transport on the CPU: a bundle of lines at a time, all tracers and moments.

A sweep moves air along lines of cells (circles of latitude, meridians, columns). A bundle of lines
is copied into buffers (place along the line, lane), ghost cells at both ends included; there the
new cells are put together from pieces of the old ones, and the result is copied out.
Lanes lie side by side in memory, so the inner loops run on vector registers whatever the axis.
`remap.py` has the same arithmetic for tensors, with gradients, and says what a piece contributes.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
It keeps the machine code of `sweep` until *this* file changes: touch it after a change of the
functions that it calls (`_line_kernels`, `_polynomial_kernels`, `_remap_kernels`, `_far_kernels`).
"""

from typing import no_type_check

import numpy as np
from numba import prange

from pushforward.simulators.atmosphere._far_kernels import departures, remap_far
from pushforward.simulators.atmosphere._line_kernels import (
    GHOST,
    LANES,
    X,
    Y,
    load,
    load_flux,
    store,
)
from pushforward.simulators.atmosphere._polynomial_kernels import (
    LIMITERS,
    NONE,
    POSITIVE,
    limit,
    reconstruct,
)
from pushforward.simulators.atmosphere._remap_kernels import (
    fluxes,
    geometry,
    remap_curve,
    remap_mean,
    remap_slope,
)
from pushforward.simulators.compiled import serial_and_parallel

__all__ = ["LANES", "LIMITERS", "sweep"]


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
        load(axis, mass[b], start, lanes, air)
        f = 0 if len(east) == 1 else b
        load_flux(axis, east[f], north[f], up[f], start, lanes, rows, columns, n, flux)
        greatest, bad, lane = geometry(
            n, lanes, share, air, flux, inverse, forth, back, new_mass, inverse_new
        )
        far = not greatest <= 1
        trouble[task, 0] = -1.0
        cell = np.empty((lanes, n + 1), np.int64)
        place = np.empty((lanes, n + 1))
        work = np.empty((3, n))
        if bad < 0 and far and axis == X:
            for a in range(lanes):
                if not departures(n, a, share, air, flux, cell[a], place[a]):
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
        store(axis, new_mass, start, lanes, 0, n, mass_out[b])
        for t in range(tracers):
            for row in range(len(chain_table)):
                known = 0
                while known < 3 and chain_table[row, known] >= 0:
                    field = amounts[b, t, chain_table[row, known]]
                    load(axis, field, start, lanes, totals[known])
                    for i in range(size):
                        for a in range(lanes):
                            c[known, i, a] = totals[known, i, a] / air[i, a]
                    known += 1
                inputs = known
                if row == 0 and not carried:
                    reconstruct(n, lanes, degree, limiter, c[0], c[1], c[2], slope, edge)
                    inputs = degree + 1
                if row == 0 and limiter != NONE and (carried or limiter == POSITIVE):
                    if inputs == 2:
                        c[2] = 0.0
                    limit(n, lanes, limiter, c[0], c[1], c[2], slope[0], edge[0])
                if far:
                    for a in range(lanes):
                        remap_far(
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
                    fluxes(n, lanes, inputs - 1, forth, back, inverse, c[0], c[1], c[2], moved)
                    remap_mean(n, lanes, moved, totals[0])
                    if known == 2:
                        remap_slope(
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
                        remap_curve(
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
                    store(axis, totals[q], start, lanes, GHOST, n, field)


sweep = serial_and_parallel(_sweep)
