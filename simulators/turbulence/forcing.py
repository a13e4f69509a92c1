"""Forcing of the momentum equation."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.grid import Number, PeriodicGrid

__all__ = ["Forcing", "KolmogorovForcing"]


@runtime_checkable
class Forcing(Protocol):
    """What a solver asks of a steady forcing f(x, y)."""

    def on_faces(self, grid: PeriodicGrid) -> Tensor:
        """Face means of (f_x at (1, 1/2), f_y at (1/2, 1)); broadcasts to (2, nx, ny), float64."""
        ...

    def curl(self, grid: PeriodicGrid) -> Tensor:
        """∂f_y/∂x − ∂f_x/∂y at the points of offset (0, 0); broadcasts to (nx, ny), float64."""
        ...


@dataclass(frozen=True)
class KolmogorovForcing:
    """The body force f = A sin(k y) e_x of Kolmogorov flow.

    On the staggered grid it is averaged over the face that carries u, which multiplies it by
    sin(k h/2)/(k h/2): what a fine grid's forcing becomes when velocities are averaged over faces.

    Parameters
    ----------
    amplitude : A, an acceleration.
    wavenumber : k in radians per unit length; k Ly/(2 pi) must be whole.

    Examples
    --------
    >>> grid = PeriodicGrid.of((64, 64), 2 * math.pi)
    >>> along_x, _ = KolmogorovForcing().on_faces(grid)
    >>> _, y = grid.points((1, 1 / 2))
    >>> round((along_x / torch.sin(4 * y)).mean().item(), 4)
    0.9936
    """

    amplitude: Number = 1.0
    wavenumber: Number = 4

    def on_faces(self, grid: PeriodicGrid) -> Tensor:
        """Face means, (2, 1, ny)."""
        self._check(grid)
        half = self.wavenumber * grid.spacing[1] / 2
        mean_factor = math.sin(half) / half if half else 1.0
        _, y = grid.points((1.0, 0.5))
        along_x = self.amplitude * mean_factor * torch.sin(self.wavenumber * y)
        return torch.stack([along_x, torch.zeros_like(along_x)])

    def curl(self, grid: PeriodicGrid) -> Tensor:
        """−A k cos(k y), (1, ny)."""
        self._check(grid)
        _, y = grid.points((0.0, 0.0))
        return -self.amplitude * self.wavenumber * torch.cos(self.wavenumber * y)

    def _check(self, grid: PeriodicGrid) -> None:
        waves = self.wavenumber * grid.lengths[1] / (2 * math.pi)
        if abs(waves - round(waves)) > 1e-6:
            raise DataError(
                f"forcing wavenumber {self.wavenumber} makes {waves:.6g} waves on Ly = "
                f"{grid.lengths[1]:.6g}; it must be a whole number. Choose a multiple of "
                f"{2 * math.pi / grid.lengths[1]:.6g}."
            )
        if abs(round(waves)) >= grid.shape[1] / 2:
            raise DataError(
                f"forcing with {round(waves)} waves cannot be seen on ny = {grid.shape[1]} cells; "
                f"use at least {2 * abs(round(waves)) + 1}."
            )
