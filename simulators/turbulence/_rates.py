"""The greatest |u|/hx and |v|/hy inside kernels, where a NaN must not get lost.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from pushforward.simulators.compiled import kernel

__all__ = ["greatest_rate", "larger"]


@kernel
@no_type_check
def larger(size, greatest):
    """The larger one, or NaN if either is: `size > nan` is false, so a NaN stays."""
    return size if size > greatest or size != size else greatest


@kernel
@no_type_check
def greatest_rate(greatest, inv_h):
    """Of the elementwise maxima of |u| and |v|, (2, n); NaN if any of them is not finite."""
    along_x, along_y = greatest[0].max() * inv_h[0], greatest[1].max() * inv_h[1]
    return max(along_x, along_y) + (along_x - along_x) + (along_y - along_y)
