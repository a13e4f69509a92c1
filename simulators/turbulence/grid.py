"""The doubly periodic rectangle, its cells and its wave numbers."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["Number", "PeriodicGrid"]

Number = int | float


@dataclass(frozen=True)
class PeriodicGrid:
    """An nx x ny grid of equal cells on the periodic rectangle [0, Lx) x [0, Ly).

    Array axes are (x, y): axis 0 is x. A value's *offset* is its place inside its cell in units of
    the spacing: (1/2, 1/2) is the centre, (1, 1/2) the right face (where u lives), (1/2, 1) the
    upper face (v), (1, 1) the upper right corner (staggered vorticity).

    Parameters
    ----------
    shape : (nx, ny), each at least 4.
    lengths : (Lx, Ly).

    Raises
    ------
    DataError : fewer than 4 cells a side (the advection stencil would meet itself), or a length
        that is not positive.

    Examples
    --------
    >>> grid = PeriodicGrid.of((64, 32), 6.4)
    >>> grid.spacing
    (0.1, 0.2)
    """

    shape: tuple[int, int]
    lengths: tuple[float, float]

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 4:
            raise DataError(f"shape = {self.shape} must be (nx, ny) with at least 4 cells each.")
        if len(self.lengths) != 2 or not all(0 < s < math.inf for s in self.lengths):
            raise DataError(f"domain = {self.lengths} must be (Lx, Ly), both positive.")

    @classmethod
    def of(cls, shape: tuple[int, int], domain: Number | tuple[Number, Number]) -> "PeriodicGrid":
        """The grid of a shape on a square (one length) or a rectangle (two)."""
        sides = (domain, domain) if isinstance(domain, int | float) else tuple(domain)
        return cls(tuple(int(n) for n in shape), tuple(float(s) for s in sides))  # type: ignore[arg-type]

    @property
    def spacing(self) -> tuple[float, float]:
        """(hx, hy)."""
        return self.lengths[0] / self.shape[0], self.lengths[1] / self.shape[1]

    def points(
        self,
        offset: tuple[Number, Number] = (0.5, 0.5),
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> tuple[Tensor, Tensor]:
        """Coordinates x of shape (nx, 1) and y of shape (1, ny) at an offset."""
        x, y = (
            (torch.arange(n, dtype=torch.float64) + o) * h
            for n, o, h in zip(self.shape, offset, self.spacing, strict=True)
        )
        return x.to(device, dtype)[:, None], y.to(device, dtype)[None, :]

    def wavenumbers(self) -> tuple[Tensor, Tensor]:
        """Angular wave numbers of `rfft2`: kx of shape (nx, 1), ky of shape (1, ny // 2 + 1)."""
        (nx, ny), (hx, hy) = self.shape, self.spacing
        kx = 2 * math.pi * torch.fft.fftfreq(nx, hx, dtype=torch.float64)
        ky = 2 * math.pi * torch.fft.rfftfreq(ny, hy, dtype=torch.float64)
        return kx[:, None], ky[None, :]
