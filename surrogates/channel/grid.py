"""The grid that learned models of channel flow live on: periodic in x and z, stretched in y."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from pushforward.simulators.channel import Chebyshev, stretched_points
from pushforward.simulators.errors import DataError

__all__ = ["ChannelGrid"]


@dataclass(frozen=True)
class ChannelGrid:
    """Points between two walls at y = -1 and 1, periodic in x and z without a repeated end point.

    On Chebyshev points derivative and quadrature in y are those of the interpolating polynomial,
    so that what the package's solver calls divergence-free is so here; on all other points they
    are those of the not-a-knot cubic spline, exact for cubics on any spacing.

    Parameters
    ----------
    shape : (nx, ny, nz); nx and nz even.
    lengths : (Lx, Lz), the periodic box in half heights.
    y : ny points from -1 to 1, both walls included.

    Raises
    ------
    DataError : points that are not ascending from wall to wall, or sizes that don't fit.

    Examples
    --------
    >>> from pushforward.surrogates.channel import ChannelGrid
    >>> grid = ChannelGrid((8, 5, 4), (6.0, 2.0), (-1.0, -0.6, 0.0, 0.6, 1.0))
    >>> y = torch.tensor(grid.y, dtype=torch.float64)
    >>> bool(abs(grid.weights @ y**2 - 2 / 3) < 1e-12)
    True
    """

    shape: tuple[int, int, int]
    lengths: tuple[float, float]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        nx, ny, nz = self.shape
        if nx < 4 or nz < 4 or nx % 2 or nz % 2 or ny < 5:
            raise DataError(
                f"shape {tuple(self.shape)}; nx and nz must be even and at least 4, ny at least 5."
            )
        if not all(length > 0 and math.isfinite(length) for length in self.lengths):
            raise DataError(f"lengths {tuple(self.lengths)} must be positive.")
        y = np.asarray(self.y)
        if len(y) != ny or not (np.diff(y) > 0).all() or abs(y[0] + 1) + abs(y[-1] - 1) > 1e-6:
            raise DataError(
                f"{len(y)} points in y from {y[0]:.6g} to {y[-1]:.6g} for ny = {ny}; expected ny "
                "ascending ones from -1 to 1, both walls included. Subtract 1 if y starts at 0."
            )

    @classmethod
    def of(cls, grid: "ChannelGrid | Mapping[str, Any]") -> "ChannelGrid":
        """A grid, or one from its plain values."""
        if isinstance(grid, ChannelGrid):
            return grid
        nx, ny, nz = (int(n) for n in grid["shape"])
        lx, lz = (float(length) for length in grid["lengths"])
        return cls((nx, ny, nz), (lx, lz), tuple(float(y) for y in grid["y"]))

    @classmethod
    def chebyshev(cls, shape: tuple[int, int, int], lengths: tuple[float, float]) -> "ChannelGrid":
        """The grid of the package's solver."""
        return cls(shape, lengths, tuple(Chebyshev(shape[1]).points.tolist()))

    @classmethod
    def published(cls) -> "ChannelGrid":
        """The grid of the published filtered data at Re_tau 180."""
        y = (stretched_points(33) - 1).tolist()
        return cls((32, 33, 16), (4 * math.pi, 4 * math.pi / 3), tuple(y))

    def plain(self) -> dict[str, Any]:
        """Plain values for a configuration."""
        return {"shape": list(self.shape), "lengths": list(self.lengths), "y": list(self.y)}

    @cached_property
    def is_chebyshev(self) -> bool:
        """Whether the points are -cos(pi j/(ny-1)), to the digits of a float32 file."""
        return bool(np.allclose(self.y, Chebyshev(self.shape[1]).points, rtol=0, atol=1e-6))

    @property
    def is_symmetric(self) -> bool:
        """Whether y -> -y maps points onto points."""
        return bool(np.allclose(self.y, -np.asarray(self.y)[::-1], rtol=0, atol=1e-6))

    @cached_property
    def derivative(self) -> Float[Tensor, "ny ny"]:
        """Matrix of d/dy, float64."""
        if self.is_chebyshev:
            return Chebyshev(self.shape[1]).first
        return torch.from_numpy(self._spline.derivative()(np.asarray(self.y)))

    @cached_property
    def weights(self) -> Float[Tensor, " ny"]:
        """Quadrature weights, float64: weights @ f = integral of f from -1 to 1."""
        if self.is_chebyshev:
            return Chebyshev(self.shape[1]).weights
        return torch.from_numpy(self._spline.integrate(self.y[0], self.y[-1]))

    def mean(self, field: Float[Tensor, "*batch x ny z"]) -> Float[Tensor, "*batch"]:
        """Volume average, axes (x, y, z) last."""
        return field.mean((-3, -1)) @ self.weights.to(field) / 2

    @property
    def wavenumbers(self) -> tuple[Float[Tensor, " x"], Float[Tensor, " half"]]:
        """(kx, kz) in radians per half height, in the order of `torch.fft.rfftn` over (x, z)."""
        nx, _, nz = self.shape
        kx = torch.fft.fftfreq(nx, self.lengths[0] / nx, dtype=torch.float64)
        kz = torch.fft.rfftfreq(nz, self.lengths[1] / nz, dtype=torch.float64)
        return 2 * math.pi * kx, 2 * math.pi * kz

    @property
    def _spline(self) -> CubicSpline:
        return CubicSpline(np.asarray(self.y), np.eye(self.shape[1]))
