"""`strips.spread` and `strips.gather` on the CPU: one pass over the amounts each.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from numba import prange

from pushforward.simulators.compiled import serial_and_parallel

__all__ = ["gather", "spread"]


@no_type_check
def _spread(names, parts, amounts, held):
    """Fill the strips' amounts from the cells'."""
    batch, tracers, known, layers, rows, columns = amounts.shape
    strips = held.shape[5]
    s, ss, t, tt, st, z, zz, sz, tz = names
    for task in prange(batch * tracers * layers):
        b, n, k = task // (tracers * layers), task // layers % tracers, task % layers
        for j in range(rows):
            for strip in range(strips):
                for i in range(columns):
                    one, y = parts[0, b, k, j, strip, i], parts[1, b, k, j, strip, i]
                    held[b, n, 0, k, j, strip, i] = (
                        one * amounts[b, n, 0, k, j, i]
                        + y * amounts[b, n, t, k, j, i]
                        + parts[2, b, k, j, strip, i] * amounts[b, n, tt, k, j, i]
                    )
                    held[b, n, 1, k, j, strip, i] = (
                        one * amounts[b, n, s, k, j, i] + y * amounts[b, n, st, k, j, i]
                    )
                    held[b, n, 2, k, j, strip, i] = one * amounts[b, n, ss, k, j, i]
                    if known > 6:
                        held[b, n, 3, k, j, strip, i] = (
                            one * amounts[b, n, z, k, j, i] + y * amounts[b, n, tz, k, j, i]
                        )
                        held[b, n, 4, k, j, strip, i] = one * amounts[b, n, sz, k, j, i]
                        held[b, n, 5, k, j, strip, i] = one * amounts[b, n, zz, k, j, i]


@no_type_check
def _gather(names, fit, moved, amounts):
    """Fill the cells' amounts from the strips'."""
    batch, tracers, known, layers, rows, columns = amounts.shape
    strips = moved.shape[5]
    s, ss, t, tt, st, z, zz, sz, tz = names
    for task in prange(batch * tracers * layers):
        b, n, k = task // (tracers * layers), task // layers % tracers, task % layers
        for m in range(known):
            for j in range(rows):
                for i in range(columns):
                    amounts[b, n, m, k, j, i] = 0.0
        for j in range(rows):
            for strip in range(strips):
                for i in range(columns):
                    line = fit[0, b, k, j, strip, i]
                    own, slope = moved[b, n, 0, k, j, strip, i], moved[b, n, 1, k, j, strip, i]
                    amounts[b, n, 0, k, j, i] += own
                    amounts[b, n, s, k, j, i] += slope
                    amounts[b, n, ss, k, j, i] += moved[b, n, 2, k, j, strip, i]
                    amounts[b, n, t, k, j, i] += fit[1, b, k, j, strip, i] * own
                    amounts[b, n, tt, k, j, i] += fit[2, b, k, j, strip, i] * own
                    amounts[b, n, st, k, j, i] += line * slope
                    if known > 6:
                        high = moved[b, n, 3, k, j, strip, i]
                        amounts[b, n, z, k, j, i] += high
                        amounts[b, n, tz, k, j, i] += line * high
                        amounts[b, n, sz, k, j, i] += moved[b, n, 4, k, j, strip, i]
                        amounts[b, n, zz, k, j, i] += moved[b, n, 5, k, j, strip, i]


spread = serial_and_parallel(_spread)
gather = serial_and_parallel(_gather)
