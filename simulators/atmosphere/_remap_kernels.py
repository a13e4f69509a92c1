"""Remapping of a bundle of lines whose air moves by less than a cell.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from pushforward.simulators.atmosphere._line_kernels import GHOST
from pushforward.simulators.compiled import kernel

__all__ = ["fluxes", "geometry", "piece", "remap_curve", "remap_mean", "remap_slope"]


@kernel
@no_type_check
def geometry(n, lanes, share, mass, flux, inverse, forth, back, new_mass, inverse_new):
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
def fluxes(n, lanes, degree, forth, back, inverse, c0, c1, c2, flux):
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
def remap_mean(n, lanes, flux, total):
    for i in range(n):
        for a in range(lanes):
            total[i + GHOST, a] += flux[i, a] - flux[i + 1, a]


@kernel
@no_type_check
def remap_slope(n, lanes, mass, forth, back, inverse, inverse_new, c0, c1, new):
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
def piece(middle, half, place, width, c0, c1, c2):
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
def remap_curve(n, lanes, mass, forth, back, inverse, inverse_new, c0, c1, c2, new1, new2):
    """First and second moments of the new cells from parabolas in the old ones."""
    for i in range(n):
        for a in range(lanes):
            p = i + GHOST
            into, out = forth[i, a], back[i + 1, a]
            w, v = into * inverse_new[i, a], out * inverse_new[i, a]
            h, g = into * inverse[p - 1, a], out * inverse[p + 1, a]
            first, second = piece(1 - h, h, w - 1, w, c0[p - 1, a], c1[p - 1, a], c2[p - 1, a])
            third, fourth = piece(g - 1, g, 1 - v, v, c0[p + 1, a], c1[p + 1, a], c2[p + 1, a])
            left, right = back[i, a] * inverse[p, a], forth[i + 1, a] * inverse[p, a]
            kept = mass[p, a] - back[i, a] - forth[i + 1, a]
            fifth, sixth = piece(
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
