"""Transposition between two transforms: each of them is quickest along the contiguous axis.

numba compiles these functions; their arguments are NumPy arrays, hence no shape annotations.
"""

from typing import no_type_check

from numba import prange

from pushforward.simulators.compiled import borrowed, kernel, serial_and_parallel

__all__ = ["transpose"]

ROWS, COLUMNS = 256, 32  # of a tile, the quickest of several


@kernel
@no_type_check
def _transpose_rows(source, target, columns, start, stop):
    """Rows start … stop of the target, tile by tile: reads a few rows in step, writes in order."""
    width, pitch = target.shape[1], source.shape[1]
    read, write = source.reshape(-1), target.reshape(-1)
    for i0 in range(start, stop, ROWS):
        i1 = min(i0 + ROWS, stop)
        for j0 in range(0, columns, COLUMNS):
            n = min(COLUMNS, columns - j0)
            for i in range(i0, i1):
                row = write[i * width + j0 : i * width + j0 + n]
                column = read[j0 * pitch + i : (j0 + n - 1) * pitch + i + 1 : pitch]
                for j in range(n):
                    row[j] = column[j]


@serial_and_parallel
@no_type_check
def transpose(chunks, source, target):
    """target[f, i, j] = source[f, j, i] wherever both have such a place."""
    source, target = borrowed(source), borrowed(target)
    flows = len(target)
    rows = min(target.shape[1], source.shape[2])
    columns = min(target.shape[2], source.shape[1])
    for task in prange(flows * chunks):
        flow, chunk = task // chunks, task % chunks
        start, stop = chunk * rows // chunks, (chunk + 1) * rows // chunks
        _transpose_rows(source[flow], target[flow], columns, start, stop)
