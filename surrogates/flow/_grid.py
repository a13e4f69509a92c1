"""Time grids: uniform, with breaks that no step may cross, and EDM's."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath

__all__ = ["check_grid", "edm_time_grid", "time_grid"]


def time_grid(
    steps: int,
    *,
    start: float | int = 0.0,
    end: float | int = 1.0,
    breaks: Sequence[float | int] = (),
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, " n"]:
    """``steps`` steps from ``start`` to ``end`` (which may be the earlier), steps + 1 times.

    Every time of ``breaks`` inside the range is a grid point; each segment between breaks is
    divided evenly and gets steps in proportion to its length, at least one. Raises `DataError` if
    there are fewer steps than segments.

    >>> time_grid(4, breaks=[0.3]).tolist()
    [0.0, 0.3, 0.5333..., 0.7666..., 1.0]
    """
    lo, hi = min(start, end), max(start, end)
    inner = sorted({float(b) for b in breaks if lo < b < hi})
    knots = [lo, *inner, hi]
    if steps < len(knots) - 1:
        raise DataError(
            f"steps = {steps} for {len(knots) - 1} segments (breaks {inner}); each segment needs "
            "at least one step."
        )
    if lo == hi:
        raise DataError(f"start = end = {start}; a grid needs an interval.")
    lengths = [b - a for a, b in itertools.pairwise(knots)]
    counts = [1] * len(lengths)
    for _ in range(steps - len(lengths)):
        longest = max(range(len(lengths)), key=lambda i: lengths[i] / counts[i])
        counts[longest] += 1
    pieces = [
        torch.linspace(a, b, n + 1, dtype=dtype)[:-1]
        for a, b, n in zip(knots[:-1], knots[1:], counts, strict=True)
    ]
    grid = torch.cat([*pieces, torch.tensor([hi], dtype=dtype)])
    return grid if start < end else grid.flip(0)


def edm_time_grid(
    path: AffinePath,
    steps: int,
    *,
    rho: float | int = 7.0,
    ratio_max: float | int = 80.0,
    ratio_min: float | int = 0.002,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, " n"]:
    """The grid of EDM on any affine path: noise-to-signal ratios even in their ρ-th root.

    σ/α runs from ``ratio_max`` to ``ratio_min`` over the first steps - 1 intervals and then to 0;
    the first time is set to 0, where samples start. Source: Karras et al., *Elucidating the Design
    Space of Diffusion-Based Generative Models*, 2022 (ρ = 7, 80 and 0.002 as there).

    >>> from pushforward.surrogates.flow import LinearPath
    >>> grid = edm_time_grid(LinearPath(), 4)
    >>> grid[0].item(), grid[-1].item(), bool((grid.diff() > 0).all())
    (0.0, 1.0, True)
    """
    if steps < 2:
        raise DataError(f"steps = {steps}; this grid needs at least 2.")
    ends = torch.tensor([ratio_max, ratio_min], dtype=dtype) ** (1 / rho)
    ratio = (ends[0] + torch.linspace(0, 1, steps, dtype=dtype) * (ends[1] - ends[0])) ** rho
    inner = path.snr_inverse(1 / ratio)[1:]
    return torch.cat([torch.zeros(1, dtype=dtype), inner, torch.ones(1, dtype=dtype)])


def check_grid(grid: Tensor) -> Tensor:
    """``grid`` itself, or `DataError` unless it is a strictly monotone sequence in [0, 1].

    >>> check_grid(torch.tensor([0.0, 0.5, 0.4]))
    Traceback (most recent call last):
    pushforward.simulators.errors.DataError: time_grid is not strictly monotone: t[1] = 0.5...
    """
    if grid.ndim != 1 or len(grid) < 2:
        raise DataError(
            f"time_grid has shape {tuple(grid.shape)}; expected at least two times, (n,)."
        )
    if not bool(torch.isfinite(grid).all()) or float(grid.min()) < 0 or float(grid.max()) > 1:
        raise DataError(
            f"time_grid runs from {float(grid.min()):.6g} to {float(grid.max()):.6g}; times lie in "
            "[0, 1], 0 is the source and 1 the data."
        )
    steps = grid.diff() * (1 if grid[-1] > grid[0] else -1)
    if not bool((steps > 0).all()):
        i = int((steps <= 0).nonzero()[0, 0])
        raise DataError(
            f"time_grid is not strictly monotone: t[{i}] = {float(grid[i]):.6g}, t[{i + 1}] = "
            f"{float(grid[i + 1]):.6g}. Sort it, ascending to sample or descending to invert, and "
            "drop repeated times."
        )
    return grid
