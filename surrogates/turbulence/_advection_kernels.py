"""Learned advection on the CPU in one sweep, and its gradient: kernels behind `advection`.

Everything is laid out so that the innermost loop runs along y without a branch on the index: the
velocity carries GHOST cells on either side, weights are channel by channel. Per row, the learned
values at the faces are formed, limited and multiplied into fluxes; nothing of the size of the
patches (16 numbers for each of 8 interpolations of a cell) is ever stored.
"""

from typing import no_type_check

import numpy as np
from numba import prange

from pushforward.simulators.compiled import kernel, serial_and_parallel

__all__ = ["GHOST", "backward", "forward"]

GHOST = 2  # cells that a face's limiter and patch reach beyond the row
TAPS = 4  # a patch is TAPS x TAPS cells, from one before the face's own cell on


@kernel
@no_type_check
def _values(weights, padded, i, out):
    """out[c, s, d] = Σ_taps weights · patch, for one row of faces; means without weights."""
    ny = out.shape[-1]
    out[:] = 0
    if weights is None:
        half = out.dtype.type(0.5)
        for c in range(2):
            here, ahead = padded[c, i + GHOST], padded[c, i + GHOST + 1]
            for j in range(ny):
                along_x = half * (here[j + GHOST] + ahead[j + GHOST])
                along_y = half * (here[j + GHOST] + here[j + GHOST + 1])
                out[c, 0, j] = out[c, 2, j] = along_x
                out[c, 1, j] = out[c, 3, j] = along_y
        return
    for c in range(2):
        for use in range(4):  # (use, axis) flattened
            total = out[c, use]
            channel = (c * 4 + use) * TAPS * TAPS
            for p in range(TAPS):
                row = padded[c, i + GHOST - 1 + p]
                for q in range(TAPS):
                    w = weights[channel + p * TAPS + q, i]
                    patch = row[GHOST - 1 + q : GHOST - 1 + q + ny]
                    for j in range(ny):
                        total[j] += w[j] * patch[j]


@kernel
@no_type_check
def _neighbours(padded, c, d, i, ny):
    """Rows of the cells before, left, right and after the faces of row i along axis d."""
    at = i + GHOST
    if d == 0:
        inner = slice(GHOST, GHOST + ny)
        rows = padded[c, at - 1], padded[c, at], padded[c, at + 1], padded[c, at + 2]
        return rows[0][inner], rows[1][inner], rows[2][inner], rows[3][inner]
    row = padded[c, at]
    return (
        row[GHOST - 1 : GHOST - 1 + ny], row[GHOST : GHOST + ny],
        row[GHOST + 1 : GHOST + 1 + ny], row[GHOST + 2 : GHOST + 2 + ny],
    )  # fmt: skip


@kernel
@no_type_check
def _limited(before, left, right, after, carrier, carried, out):
    """Fluxes: van Leer's limit of the carried values, times the carrier; see `van_leer_limited`."""
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for j in range(len(out)):
        rightwards = carrier[j] > zero
        upwind = left[j] if rightwards else right[j]
        a = right[j] - left[j]
        b = left[j] - before[j] if rightwards else after[j] - right[j]
        smooth = a * b > zero
        total = a + b if smooth else one
        phi = (b + b) / total if smooth else zero
        out[j] = (upwind + phi * (carried[j] - upwind)) * carrier[j]


@kernel
@no_type_check
def _forward_one(weights, padded, inv_h, out):
    nx, ny = out.shape[1], out.shape[2]
    values = np.empty((2, 4, ny), out.dtype)
    flux = np.empty((2, ny), out.dtype)
    out[:] = 0
    for i in range(nx):
        _values(weights, padded, i, values)
        for c in range(2):
            for d in range(2):
                before, left, right, after = _neighbours(padded, c, d, i, ny)
                # The carrier is component d, interpolated along the axis of component c.
                _limited(before, left, right, after, values[d, c], values[c, 2 + d], flux[d])
            here, ahead = out[c, i], out[c, (i + 1) % nx]
            along_x, along_y = flux[0], flux[1]
            for j in range(ny):
                here[j] -= along_x[j] * inv_h
                ahead[j] += along_x[j] * inv_h
            here[0] -= (along_y[0] - along_y[ny - 1]) * inv_h
            for j in range(1, ny):
                here[j] -= (along_y[j] - along_y[j - 1]) * inv_h


@serial_and_parallel
@no_type_check
def forward(weights, padded, inv_h, out):
    """out = −div of the learned, limited fluxes.

    Parameters
    ----------
    weights : (flow, 128, nx, ny), ordered as in `interpolate`; None: the plain scheme.
    padded : (flow, 2, nx + 2 GHOST, ny + 2 GHOST), the velocity with its periodic images.
    inv_h : 1/h.
    out : (flow, 2, nx, ny).
    """
    for n in prange(len(out)):
        if weights is None:
            _forward_one(None, padded[n], inv_h, out[n])
        else:
            _forward_one(weights[n], padded[n], inv_h, out[n])


@kernel
@no_type_check
def _limited_gradient(before, left, right, after, carrier, carried, g, grads, g_carrier, g_carried):
    """Adjoint of `_limited`; `grads` are the rows (before, left, right, after) of the gradient."""
    one, zero = g.dtype.type(1), g.dtype.type(0)
    g_before, g_left, g_right, g_after = grads
    for j in range(len(g)):
        rightwards = carrier[j] > zero
        upwind = left[j] if rightwards else right[j]
        a = right[j] - left[j]
        b = left[j] - before[j] if rightwards else after[j] - right[j]
        smooth = a * b > zero
        inverse = one / (a + b if smooth else one)
        phi = (b + b) * inverse if smooth else zero
        excess = carried[j] - upwind
        g_face = g[j] * carrier[j]
        g_carrier[j] += g[j] * (upwind + phi * excess)
        g_carried[j] += g_face * phi
        g_upwind = g_face * (one - phi)
        slope = (g_face + g_face) * excess * inverse * inverse if smooth else zero
        g_a, g_b = -slope * b, slope * a
        g_before[j] -= g_b if rightwards else zero
        g_left[j] += (g_upwind + g_b if rightwards else zero) - g_a
        g_right[j] += g_a + (zero if rightwards else g_upwind - g_b)
        g_after[j] += zero if rightwards else g_b


@kernel
@no_type_check
def _backward_one(weights, padded, inv_h, g_out, g_weights, g_padded):
    nx, ny = g_out.shape[1], g_out.shape[2]
    values = np.empty((2, 4, ny), g_out.dtype)
    g_values = np.empty((2, 4, ny), g_out.dtype)
    g_flux = np.empty((2, ny), g_out.dtype)
    g_padded[:] = 0
    for i in range(nx):
        _values(weights, padded, i, values)
        g_values[:] = 0
        for c in range(2):
            here, ahead = g_out[c, i], g_out[c, (i + 1) % nx]
            along_x, along_y = g_flux[0], g_flux[1]
            for j in range(ny):
                along_x[j] = (ahead[j] - here[j]) * inv_h
            for j in range(ny - 1):
                along_y[j] = (here[j + 1] - here[j]) * inv_h
            along_y[ny - 1] = (here[0] - here[ny - 1]) * inv_h
            for d in range(2):
                before, left, right, after = _neighbours(padded, c, d, i, ny)
                _limited_gradient(
                    before, left, right, after, values[d, c], values[c, 2 + d], g_flux[d],
                    _neighbours(g_padded, c, d, i, ny), g_values[d, c], g_values[c, 2 + d],
                )  # fmt: skip
        _values_gradient(weights, padded, i, g_values, g_weights, g_padded)


@kernel
@no_type_check
def _values_gradient(weights, padded, i, g_values, g_weights, g_padded):
    """Adjoint of `_values`."""
    ny = g_values.shape[-1]
    if weights is None:
        half = g_values.dtype.type(0.5)
        for c in range(2):
            here, ahead = g_padded[c, i + GHOST], g_padded[c, i + GHOST + 1]
            for j in range(ny):
                along_x = half * (g_values[c, 0, j] + g_values[c, 2, j])
                along_y = half * (g_values[c, 1, j] + g_values[c, 3, j])
                here[j + GHOST] += along_x + along_y
                ahead[j + GHOST] += along_x
                here[j + GHOST + 1] += along_y
        return
    for c in range(2):
        for use in range(4):
            g = g_values[c, use]
            channel = (c * 4 + use) * TAPS * TAPS
            for p in range(TAPS):
                row = padded[c, i + GHOST - 1 + p]
                g_row = g_padded[c, i + GHOST - 1 + p]
                for q in range(TAPS):
                    w = weights[channel + p * TAPS + q, i]
                    g_w = g_weights[channel + p * TAPS + q, i]
                    patch = row[GHOST - 1 + q : GHOST - 1 + q + ny]
                    g_patch = g_row[GHOST - 1 + q : GHOST - 1 + q + ny]
                    for j in range(ny):
                        g_w[j] = g[j] * patch[j]
                        g_patch[j] += g[j] * w[j]


@serial_and_parallel
@no_type_check
def backward(weights, padded, inv_h, g_out, g_weights, g_padded):
    """Adjoint of `forward`: overwrites `g_weights` and `g_padded`, the latter with its ghosts.

    Parameters
    ----------
    weights, padded, inv_h : see `forward`.
    g_out : gradient with respect to `out`.
    g_weights, g_padded : gradients with respect to `weights` and `padded`, of their shapes.
    """
    for n in prange(len(g_out)):
        if weights is None:
            _backward_one(None, padded[n], inv_h, g_out[n], None, g_padded[n])
        else:
            _backward_one(weights[n], padded[n], inv_h, g_out[n], g_weights[n], g_padded[n])
