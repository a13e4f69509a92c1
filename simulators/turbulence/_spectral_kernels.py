"""Fused kernels of the spectral solver: all that is done to the modes between two transforms.

Only the modes that the 2/3 rule keeps are stored while stepping, x fastest: (flow, K, R) with K
wave numbers ky = 0 … K−1 and R wave numbers kx = 0 … k, −k … −1. Complex arrays are passed as real
ones of twice the length, real and imaginary parts alternating, which the compiler vectorises.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

import numpy as np
from numba import prange

from pushforward.simulators.compiled import borrowed, kernel, serial_and_parallel
from pushforward.simulators.turbulence._rates import greatest_rate, larger

__all__ = ["BLOCK", "linear_steps", "products", "stage", "velocity_modes"]

BLOCK = 1024  # numbers handled at a time: a few such buffers fit into the nearest cache


@kernel
@no_type_check
def _tendency_row(first, second, kx, ky, out):
    """(kx² − ky²) p + kx ky q of the products' modes p and q."""
    ky_squared = ky * ky
    for j in range(len(kx)):
        a = kx[j] * kx[j] - ky_squared
        b = kx[j] * ky
        out[2 * j] = a * first[2 * j] + b * second[2 * j]
        out[2 * j + 1] = a * first[2 * j + 1] + b * second[2 * j + 1]


@kernel
@no_type_check
def _velocity_row(vorticity, inverse, kx, ky, u, v):
    """i ky ψ and −i kx ψ with ψ = ω/k²."""
    for j in range(len(kx)):
        real = vorticity[2 * j] * inverse[j]
        imaginary = vorticity[2 * j + 1] * inverse[j]
        u[2 * j] = -ky * imaginary
        u[2 * j + 1] = ky * real
        v[2 * j] = kx[j] * imaginary
        v[2 * j + 1] = -kx[j] * real


@kernel
@no_type_check
def _velocity(vorticity, inverse, kx, ky, u, v):
    """The velocity's modes of one ky, the rows between kx = k and −k left at zero."""
    half = len(kx) // 2 + 1
    rest = len(kx) - half
    _velocity_row(
        vorticity[: 2 * half], inverse[:half], kx[:half], ky, u[: 2 * half], v[: 2 * half]
    )
    end = len(u) - 2 * rest
    _velocity_row(vorticity[2 * half :], inverse[half:], kx[half:], ky, u[end:], v[end:])


@kernel
@no_type_check
def _add_weighted(weight, term, out):
    for j in range(len(weight)):
        out[2 * j] += weight[j] * term[2 * j]
        out[2 * j + 1] += weight[j] * term[2 * j + 1]


@kernel
@no_type_check
def _stage_rows(
    start, stop, hats, kx, ky, force, forced, terms, earlier, weights, keep, last, inverse, out,
    tendency, total,
):  # fmt: skip
    tendency, total = borrowed(tendency), borrowed(total)
    K = len(ky)
    half = len(kx) // 2 + 1
    rest = len(kx) - half
    for row in range(start, stop):
        flow, k = row // K, row % K
        p, q = hats[flow, 0, k], hats[flow, 1, k]
        end = len(p) - 2 * rest
        _tendency_row(p[: 2 * half], q[: 2 * half], kx[:half], ky[k], tendency[: 2 * half])
        _tendency_row(p[end:], q[end:], kx[half:], ky[k], tendency[2 * half :])
        if forced[k]:
            tendency += force[k]
        if keep > 0:
            terms[keep, flow, k, :] = tendency
        total[:] = 0
        for s in range(len(earlier)):
            _add_weighted(weights[s, k], terms[earlier[s], flow, k], total)
        _add_weighted(weights[len(earlier), k], tendency, total)
        if last:
            terms[0, flow, k, :] = total
        _velocity(total, inverse[k], kx, ky[k], out[flow, 0, k], out[flow, 1, k])


@kernel
@no_type_check
def _stage_chunk(
    task, chunks, hats, kx, ky, force, forced, terms, earlier, weights, keep, last, inverse, out
):
    rows = terms.shape[1] * terms.shape[2]
    tendency = np.empty(2 * len(kx), terms.dtype)
    total = np.empty(2 * len(kx), terms.dtype)
    _stage_rows(
        task * rows // chunks, (task + 1) * rows // chunks, hats, kx, ky, force, forced, terms,
        earlier, weights, keep, last, inverse, out, tendency, total,
    )  # fmt: skip


@serial_and_parallel
@no_type_check
def stage(chunks, hats, kx, ky, force, forced, terms, earlier, weights, keep, last, inverse, out):
    """Tendency of the products, the next stage's vorticity, and that one's velocity.

    Parameters
    ----------
    chunks : pieces into which the rows of modes are cut.
    hats : modes of uv and v² − u², (flow, 2, K, 2 nx).
    kx, ky : (R,), (K,).
    force : (K, 2 R); forced : (K,), whether a row of `force` has anything.
    terms : the state and the tendencies so far, (1 + stages, flow, K, 2 R).
    earlier : which of the terms enter the stage.
    weights : their coefficients, then that of the new tendency, (len(earlier) + 1, K, R).
    keep : where in `terms` the tendency is kept, 0 for nowhere.
    last : whether the stage is the new state.
    inverse : 1/(k² nx ny), (K, R).
    out : velocity, (flow, 2, K, 2 nx).
    """
    hats, kx, ky, force = borrowed(hats), borrowed(kx), borrowed(ky), borrowed(force)
    terms, weights, inverse = borrowed(terms), borrowed(weights), borrowed(inverse)
    out = borrowed(out)
    for task in prange(chunks):
        _stage_chunk(
            task, chunks, hats, kx, ky, force, forced, terms, earlier, weights, keep, last,
            inverse, out,
        )  # fmt: skip


@kernel
@no_type_check
def velocity_modes(vorticity, inverse, kx, ky, out):
    """The velocity's modes of (flow, K, 2 R) in (flow, 2, K, 2 nx)."""
    vorticity, inverse, out = borrowed(vorticity), borrowed(inverse), borrowed(out)
    for flow in range(len(vorticity)):
        for k in range(len(ky)):
            _velocity(vorticity[flow, k], inverse[k], kx, ky[k], out[flow, 0, k], out[flow, 1, k])


@kernel
@no_type_check
def _products_block(u, v, greatest_u, greatest_v):
    """uv and v² − u² in place of u and v; takes part in the maxima of |u| and |v|."""
    for j in range(len(u)):
        a, b = u[j], v[j]
        u[j] = a * b
        v[j] = b * b - a * a
        greatest_u[j] = larger(abs(a), greatest_u[j])
        greatest_v[j] = larger(abs(b), greatest_v[j])


@kernel
@no_type_check
def _products_chunk(task, chunks, inv_h, velocity):
    n = velocity.shape[2]
    flow, chunk = task // chunks, task % chunks
    u, v = velocity[flow, 0], velocity[flow, 1]
    greatest = np.zeros((2, BLOCK), velocity.dtype)
    stop = (chunk + 1) * n // chunks
    for start in range(chunk * n // chunks, stop, BLOCK):
        end = min(start + BLOCK, stop)
        _products_block(
            u[start:end], v[start:end], greatest[0, : end - start], greatest[1, : end - start]
        )
    return greatest_rate(greatest, inv_h)


@serial_and_parallel
@no_type_check
def products(chunks, inv_h, velocity, rates):
    """uv and v² − u² in place of u and v, (flow, 2, nx ny); the greatest |u|/hx, |v|/hy, or NaN.

    rates : one number a task, overwritten.
    """
    velocity, rates = borrowed(velocity), borrowed(rates)
    tasks = len(velocity) * chunks
    for task in prange(tasks):
        rates[task] = _products_chunk(task, chunks, inv_h, velocity)
    return rates.max()


@kernel
@no_type_check
def linear_steps(steps, growth, offset, modes):
    """modes ← growth · modes + offset, that often; numbers that underflow become zero.

    growth : (nx, m).  offset : (nx, 2 m).  modes : (flow, nx, 2 m).
    """
    smallest = np.finfo(modes.dtype).tiny
    zero = modes.dtype.type(0)
    for flow in range(len(modes)):
        for i in range(len(growth)):
            row, factor, constant = modes[flow, i], growth[i], offset[i]
            for _ in range(steps):
                for j in range(len(factor)):
                    for part in range(2):
                        value = factor[j] * row[2 * j + part] + constant[2 * j + part]
                        row[2 * j + part] = value if abs(value) >= smallest else zero
