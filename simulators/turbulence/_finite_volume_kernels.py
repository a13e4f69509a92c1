"""Fused kernels of the finite-volume solver: one sweep over blocks of rows for all fluxes.

Velocities are stored with two ghost rows and columns on every side, (flow, component, nx + 4,
ny + 4), and addressed as flat arrays: a neighbour along y is one place away, a neighbour along x
one row's width. A sweep takes a block of rows at a time, so that its fluxes stay in the nearest
cache and the inner loops are long whatever the grid. Each flux is computed once and used by the
two cells that share the face (what is computed in ghost columns is never used). A sweep is cut
into (flow, chunk of rows) tasks, one thread each.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

import numpy as np
from numba import prange

from pushforward.simulators.compiled import borrowed, kernel, serial_and_parallel
from pushforward.simulators.turbulence._rates import greatest_rate, larger

__all__ = [
    "BLOCK",
    "GHOST",
    "SCHEMES",
    "add",
    "correct",
    "fill_ghosts",
    "implicit_increment",
    "scale",
    "stage",
]

GHOST = 2
VAN_LEER, CENTRAL, UPWIND, LAX_WENDROFF = range(4)
SCHEMES = {
    "van_leer": VAN_LEER,
    "central": CENTRAL,
    "upwind": UPWIND,
    "lax_wendroff": LAX_WENDROFF,
}
BLOCK = 1024  # numbers in a block; its four buffers then fit into a 32 KiB cache


@kernel
@no_type_check
def _fluxes(scheme, carrier_a, carrier_b, before, left, right, after, ratio, flux):
    """Fluxes of c through the faces between `left` and `right`.

    The advecting velocity is the mean of the two carriers. With v that velocity, a the slope
    across the face and b the one behind: v (c_L + c_R)/2 − |v|/2 a is upwind; (|v|/2)(1 − |C|) a
    more is Lax-Wendroff; its limited form replaces a by 2ab/(a + b), or 0 at an extremum.
    """
    half = flux.dtype.type(0.5)
    zero = flux.dtype.type(0)
    one = flux.dtype.type(1)
    for j in range(len(flux)):
        velocity = half * (carrier_a[j] + carrier_b[j])
        centred = velocity * half * (left[j] + right[j])
        if scheme == CENTRAL:
            flux[j] = centred
        else:
            slope = right[j] - left[j]
            swing = half * abs(velocity)
            upwind = centred - swing * slope
            if scheme == UPWIND:
                flux[j] = upwind
            else:
                gain = swing * (one - ratio * abs(velocity))
                if scheme == LAX_WENDROFF:
                    flux[j] = upwind + gain * slope
                else:
                    behind = left[j] - before[j] if velocity > zero else after[j] - right[j]
                    product = slope * behind
                    total = slope + behind if product > zero else one
                    limited = (product + product) / total if product > zero else zero
                    flux[j] = upwind + gain * limited


@kernel
@no_type_check
def _tendency(x_behind, x_ahead, y_faces, below, here, above, force, numbers, inv_h, out):
    """−div(flux) + f − μ c + ν Δ_h c; `y_faces` and `here` start one place earlier."""
    nu, drag = numbers
    inv_x, inv_y = inv_h
    diffuse_x = nu * inv_x * inv_x
    diffuse_y = nu * inv_y * inv_y
    for j in range(len(out)):
        value = here[j + 1]
        double = value + value
        out[j] = (
            (x_behind[j] - x_ahead[j]) * inv_x
            + (y_faces[j] - y_faces[j + 1]) * inv_y
            + force[j]
            - drag * value
            + diffuse_x * (above[j] + below[j] - double)
            + diffuse_y * (here[j + 2] + here[j] - double)
        )


@kernel
@no_type_check
def _combine(base, weight, tendency, out):
    for j in range(len(out)):
        out[j] = base[j] + weight * tendency[j]


@kernel
@no_type_check
def _divergence_row(u_before, u_here, v_here, inv_h, out):
    """Backward differences along one row, around the seam at its start."""
    inv_x, inv_y = inv_h
    n = len(out)
    out[0] = (u_here[0] - u_before[0]) * inv_x + (v_here[0] - v_here[n - 1]) * inv_y
    for j in range(1, n):
        out[j] = (u_here[j] - u_before[j]) * inv_x + (v_here[j] - v_here[j - 1]) * inv_y


@kernel
@no_type_check
def _sweep_rows(
    flow, start, stop, rows, scheme, numbers, inv_h, ratio, force, now, base, tendencies, keep,
    weights, out, rhs, flux_x, flux_y, tendency,
):  # fmt: skip
    flux_x, flux_y, tendency = borrowed(flux_x), borrowed(flux_y), borrowed(tendency)
    ny = rhs.shape[2]
    width = ny + 2 * GHOST
    u = now[flow, 0].reshape(-1)
    v = now[flow, 1].reshape(-1)
    last = len(weights) - 1
    first = start - 1  # the fluxes into the first row
    while first < stop:
        count = 1 if first < start else min(rows, stop - first)
        n = count * width
        at = (first + GHOST) * width
        for component in range(2):
            c = u if component == 0 else v
            faces = flux_x[component]
            carrier_b = at + width if component == 0 else at + 1
            _fluxes(
                scheme, u[at : at + n], u[carrier_b : carrier_b + n],
                c[at - width : at - width + n], c[at : at + n], c[at + width : at + width + n],
                c[at + 2 * width : at + 2 * width + n], ratio[0], faces[width : width + n],
            )  # fmt: skip
            if first >= start:
                y = at - 1
                _fluxes(
                    scheme, v[y : y + n + 1], v[carrier_b - 1 : carrier_b + n],
                    c[y - 1 : y + n], c[y : y + n + 1], c[y + 1 : y + n + 2],
                    c[y + 2 : y + n + 3], ratio[1], flux_y[: n + 1],
                )  # fmt: skip
                f = force[component]
                f_at = first * width if len(f) > rows * width else 0
                _tendency(
                    faces[:n], faces[width : width + n], flux_y[: n + 1],
                    c[at - width : at - width + n], c[at - 1 : at + n + 1],
                    c[at + width : at + width + n], f[f_at : f_at + n], numbers, inv_h,
                    tendency[:n],
                )  # fmt: skip
                kept = first * width
                if keep:
                    tendencies[last, flow, component, kept : kept + n] = tendency[:n]
                result = out[flow, component].reshape(-1)[at : at + n]
                _combine(
                    base[flow, component].reshape(-1)[at : at + n], weights[last], tendency[:n],
                    result,
                )  # fmt: skip
                for s in range(last):
                    earlier = tendencies[s, flow, component, kept : kept + n]
                    _combine(result, weights[s], earlier, result)
            faces[:width] = faces[n : n + width]
        inner = slice(GHOST, GHOST + ny)
        for i in range(max(first, start + 1), first + count if first >= start else start):
            _divergence_row(
                out[flow, 0, i + GHOST - 1][inner], out[flow, 0, i + GHOST][inner],
                out[flow, 1, i + GHOST][inner], inv_h, rhs[flow, i],
            )  # fmt: skip
        first += count


@kernel
@no_type_check
def _sweep(
    task, chunks, scheme, numbers, inv_h, ratio, force, now, base, tendencies, keep, weights,
    out, rhs,
):  # fmt: skip
    """Tendency, new candidate and its divergence for one chunk of rows of one flow."""
    nx, width = rhs.shape[1], rhs.shape[2] + 2 * GHOST
    flow, chunk = task // chunks, task % chunks
    rows = max(1, BLOCK // width)
    flux_x = np.empty((2, (rows + 1) * width), rhs.dtype)  # first row: behind the block
    flux_y = np.empty(rows * width + 1, rhs.dtype)  # first entry: behind the block
    tendency = np.empty(rows * width, rhs.dtype)
    _sweep_rows(
        flow, chunk * nx // chunks, (chunk + 1) * nx // chunks, rows, scheme, numbers, inv_h,
        ratio, force, now, base, tendencies, keep, weights, out, rhs, flux_x, flux_y, tendency,
    )  # fmt: skip


@serial_and_parallel
@no_type_check
def stage(
    chunks, scheme, numbers, inv_h, ratio, force, now, base, tendencies, keep, weights, out, rhs
):
    """out = base + Σ_s weights_s F_s and rhs = div out, with F of the velocity `now` the last one.

    Parameters
    ----------
    chunks : pieces into which each flow's rows are cut.
    scheme : VAN_LEER, CENTRAL, UPWIND or LAX_WENDROFF.
    numbers : (ν, μ).  inv_h : (1/hx, 1/hy).  ratio : (dt/hx, dt/hy).
    force : (2, numbers of one block, or of all rows), with room for ghost columns.
    now, base : velocities with ghosts, (flow, 2, nx + 4, ny + 4).
    tendencies : (stages − 1, flow, 2, nx (ny + 4)), earlier ones; F is stored there if `keep`.
    weights : dt times the tableau's row, one number for each tendency so far.
    out : like `now`; its ghosts are left unfilled.
    rhs : (flow, nx, ny).
    """
    force, now, base, out = borrowed(force), borrowed(now), borrowed(base), borrowed(out)
    tendencies, weights, rhs = borrowed(tendencies), borrowed(weights), borrowed(rhs)
    tasks = rhs.shape[0] * chunks
    for task in prange(tasks):
        _sweep(
            task, chunks, scheme, numbers, inv_h, ratio, force, now, base, tendencies, keep,
            weights, out, rhs,
        )  # fmt: skip
    nx, ny = rhs.shape[1], rhs.shape[2]
    inner = slice(GHOST, GHOST + ny)
    for task in range(tasks):  # the first row of a chunk needs the last one of its neighbour
        flow, i = task // chunks, (task % chunks) * nx // chunks
        before = (i - 1) % nx
        _divergence_row(
            out[flow, 0, before + GHOST][inner], out[flow, 0, i + GHOST][inner],
            out[flow, 1, i + GHOST][inner], inv_h, rhs[flow, i],
        )  # fmt: skip


@kernel
@no_type_check
def _subtract(row, ahead, here, inv_h, greatest):
    """row −= (ahead − here)/h; takes part in the elementwise maximum of the absolute value."""
    for j in range(len(here)):
        value = row[j] - (ahead[j] - here[j]) * inv_h
        row[j] = value
        greatest[j] = larger(abs(value), greatest[j])


@kernel
@no_type_check
def _correct_chunk(task, chunks, inv_h, q, velocity):
    greatest = np.zeros((2, q.shape[2]), q.dtype)
    nx = q.shape[1]
    flow, chunk = task // chunks, task % chunks
    start, stop = chunk * nx // chunks, (chunk + 1) * nx // chunks
    _correct_rows(start, stop, inv_h, q[flow], velocity[flow, 0], velocity[flow, 1], greatest)
    return greatest_rate(greatest, inv_h)


@kernel
@no_type_check
def _correct_rows(start, stop, inv_h, q, u, v, greatest):
    greatest = borrowed(greatest)
    nx, ny = q.shape
    for i in range(start, stop):
        here, ahead = q[i], q[(i + 1) % nx]
        u_row, v_row = u[i + GHOST], v[i + GHOST]
        _subtract(u_row[GHOST : GHOST + ny], ahead, here, inv_h[0], greatest[0])
        _subtract(v_row[GHOST : GHOST + ny - 1], here[1:], here[:-1], inv_h[1], greatest[1])
        end = slice(GHOST + ny - 1, GHOST + ny)
        _subtract(v_row[end], here[:1], here[-1:], inv_h[1], greatest[1][-1:])
        _fill_columns(u_row, ny)
        _fill_columns(v_row, ny)


@kernel
@no_type_check
def _fill_columns(row, ny):
    for g in range(GHOST):
        row[g] = row[ny + g]
        row[ny + GHOST + g] = row[GHOST + g]


@kernel
@no_type_check
def _fill_rows(velocity):
    nx = velocity.shape[2] - 2 * GHOST
    for flow in range(velocity.shape[0]):
        for component in range(2):
            field = velocity[flow, component]
            field[:GHOST] = field[nx : nx + GHOST]
            field[nx + GHOST :] = field[GHOST : 2 * GHOST]


@kernel
@no_type_check
def fill_ghosts(velocity):
    """Copy the edges of every flow into the ghost columns and rows of the opposite side."""
    ny = velocity.shape[3] - 2 * GHOST
    for flow in range(velocity.shape[0]):
        for component in range(2):
            for i in range(velocity.shape[2]):
                _fill_columns(velocity[flow, component, i], ny)
    _fill_rows(velocity)


@serial_and_parallel
@no_type_check
def correct(chunks, inv_h, q, velocity, rates):
    """velocity −= G q, its ghosts filled; returns the greatest of |u|/hx and |v|/hy, or NaN.

    q : (flow, nx, ny).  rates : one number a task, overwritten.
    """
    q, velocity, rates = borrowed(q), borrowed(velocity), borrowed(rates)
    tasks = q.shape[0] * chunks
    for task in prange(tasks):
        rates[task] = _correct_chunk(task, chunks, inv_h, q, velocity)
    _fill_rows(velocity)
    return rates.max()


@kernel
@no_type_check
def _add_chunk(task, chunks, inv_h, increment, velocity):
    greatest = np.zeros((2, increment.shape[3]), increment.dtype)
    zero = np.zeros(increment.shape[3], increment.dtype)
    nx = increment.shape[2]
    flow, chunk = task // chunks, task % chunks
    start, stop = chunk * nx // chunks, (chunk + 1) * nx // chunks
    _add_rows(start, stop, increment[flow], velocity[flow], zero, greatest)
    return greatest_rate(greatest, inv_h)


@kernel
@no_type_check
def _add_rows(start, stop, increment, velocity, zero, greatest):
    zero, greatest = borrowed(zero), borrowed(greatest)
    ny = len(zero)
    minus = zero.dtype.type(-1)
    for i in range(start, stop):
        for component in range(2):
            row = velocity[component, i + GHOST]
            _subtract(
                row[GHOST : GHOST + ny], increment[component, i], zero, minus, greatest[component]
            )
            _fill_columns(row, ny)


@serial_and_parallel
@no_type_check
def add(chunks, inv_h, increment, velocity, rates):
    """velocity += increment, its ghosts filled; returns like `correct`."""
    increment, velocity, rates = borrowed(increment), borrowed(velocity), borrowed(rates)
    tasks = increment.shape[0] * chunks
    for task in prange(tasks):
        rates[task] = _add_chunk(task, chunks, inv_h, increment, velocity)
    _fill_rows(velocity)
    return rates.max()


@serial_and_parallel
@no_type_check
def scale(modes, factors):
    """modes *= factors; the modes as real numbers, (flow, m, 2 nx), and (m, nx)."""
    modes, factors = borrowed(modes), borrowed(factors)
    flows, m = modes.shape[:2]
    for task in prange(flows * m):
        row, factor = modes[task // m, task % m], factors[task % m]
        for j in range(len(factor)):
            row[2 * j] *= factor[j]
            row[2 * j + 1] *= factor[j]


@serial_and_parallel
@no_type_check
def implicit_increment(modes, symbol_x, symbol_y, inverse, damping, norm):
    """Modes of v* become those of v' − v*: projection, then backward Euler diffusion.

    With s = (symbol_x, symbol_y) of the forward differences: q = −conj(s)·v/λ is what D v = λ q
    gives, w = v − s q, and v' = w + damping · w. `norm` is the inverse transform's 1/(nx ny).
    The modes are (flow, 2, m, nx).
    """
    modes, symbol_x, inverse = borrowed(modes), borrowed(symbol_x), borrowed(inverse)
    damping = borrowed(damping)
    flows, m = modes.shape[0], modes.shape[2]
    for task in prange(flows * m):
        flow, k = task // m, task % m
        u, v = modes[flow, 0, k], modes[flow, 1, k]
        sy = symbol_y[k]
        back_y = -sy.conjugate()
        for j in range(len(symbol_x)):
            sx = symbol_x[j]
            q = (back_y * v[j] - sx.conjugate() * u[j]) * inverse[k, j]
            gradient_x, gradient_y = sx * q, sy * q
            d = damping[k, j]
            u[j] = (d * (u[j] - gradient_x) - gradient_x) * norm
            v[j] = (d * (v[j] - gradient_y) - gradient_y) * norm
