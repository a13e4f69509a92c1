"""Fourier transforms over the planes parallel to the walls, with 3/2 padding."""

import math
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["PlaneTransforms"]


class PlaneTransforms:
    """Real fields on planes (x, z) <-> their Fourier coefficients, on the last two axes.

    u(x, z) = Σ û(kx, kz) e^{i(kx x + kz z)}, so û(0, 0) is the mean of the plane. Kept are the
    modes |kx| < nx/2, 0 <= kz < nz/2, in the order 0, 1, .., nx/2-1, -(nx/2-1), .., -1; the Nyquist
    modes, whose derivatives a real field can't hold, are left out altogether.

    Parameters
    ----------
    nx, nz : points of the unpadded planes, even, at least 4.
    lengths : (Lx, Lz) of the periodic box, in half heights.
    device : where the constants live.

    Examples
    --------
    >>> plane = PlaneTransforms(8, 8, (2 * math.pi, math.pi), torch.device("cpu"))
    >>> coefficients = torch.zeros(7, 4, dtype=torch.complex128)
    >>> coefficients[0, 0] = 3.0
    >>> plane.to_physical(coefficients, padded=True).shape
    torch.Size([1, 12, 12])
    """

    def __init__(
        self, nx: int, nz: int, lengths: tuple[float, float], device: torch.device
    ) -> None:
        for name, n in (("nx", nx), ("nz", nz)):
            if n < 4 or n % 2:
                raise DataError(f"{name} = {n}; periodic directions take an even number from 4 on.")
        for name, length in zip(("Lx", "Lz"), lengths, strict=True):
            if not (length > 0 and math.isfinite(length)):
                raise DataError(f"{name} = {length}; a box length is a positive number.")
        self.nx, self.nz, self.lengths, self.device = nx, nz, lengths, device
        self.positive, self.negative = nx // 2, nx // 2 - 1
        self.modes = (nx - 1, nz // 2)
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    @cached_property
    def kx(self) -> Float[Tensor, "kx 1"]:
        """Streamwise wavenumbers, radians per half height."""
        n = torch.cat((torch.arange(self.positive), torch.arange(-self.negative, 0)))
        return (2 * math.pi / self.lengths[0] * n.double()).to(self.device)[:, None]

    @cached_property
    def kz(self) -> Float[Tensor, " kz"]:
        """Spanwise wavenumbers, radians per half height."""
        n = torch.arange(self.modes[1])
        return (2 * math.pi / self.lengths[1] * n.double()).to(self.device)

    @cached_property
    def k2(self) -> Float[Tensor, "kx kz"]:
        """kx² + kz²."""
        return self.kx**2 + self.kz**2

    @cached_property
    def multiplicity(self) -> Float[Tensor, " kz"]:
        """How often a mode counts in a sum over all modes: 2 for kz > 0, whose twin is not kept."""
        count = torch.full((self.modes[1],), 2.0, dtype=torch.float64, device=self.device)
        count[0] = 1.0
        return count

    def points(self, padded: bool) -> tuple[int, int]:
        """Physical points (x, z) with or without padding."""
        return (3 * self.nx // 2, 3 * self.nz // 2) if padded else (self.nx, self.nz)

    def to_physical(
        self, *fields: Complex[Tensor, "*planes kx kz"], padded: bool
    ) -> Float[Tensor, "n *planes x z"]:
        """Values of n fields on the grid of the planes, 3/2 finer if ``padded``.

        The result is a buffer of this object that the next call with as many fields overwrites:
        fresh pages would cost as much as the transforms. Clone what must last.
        """
        mx, mz = self.points(padded)
        *planes, _, nkz = fields[0].shape
        lead = (len(fields), *planes)
        wide = self.buffer("wide", (*lead, mx, nkz), torch.complex128)
        for target, field in zip(wide, fields, strict=True):
            target[..., : self.positive, :] = field[..., : self.positive, :]
            target[..., -self.negative :, :] = field[..., self.positive :, :]
        # One axis at a time: the complex transform then runs over the kept columns only. Rows that
        # padding left at zero stay zero, for nothing else writes into them.
        half = torch.fft.ifft(wide, dim=-2, norm="forward")
        out = self.buffer("physical", (*lead, mx, mz), torch.float64)
        return torch.fft.irfft(half, n=mz, dim=-1, norm="forward", out=out)

    def to_spectral(self, values: Float[Tensor, "*planes x z"]) -> Complex[Tensor, "*planes kx kz"]:
        """Coefficients of the kept modes; whatever lies beyond is cut off."""
        mz = values.shape[-1]
        half = self.buffer("half", (*values.shape[:-1], mz // 2 + 1), torch.complex128)
        torch.fft.rfft(values, dim=-1, norm="forward", out=half)
        full = torch.fft.fft(half[..., : self.modes[1]], dim=-2, norm="forward")
        return torch.cat((full[..., : self.positive, :], full[..., -self.negative :, :]), dim=-2)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A zeroed tensor that is kept and handed out again for the same name and shape."""
        key = (name, shape)
        if key not in self._buffers:
            self._buffers[key] = torch.zeros(shape, dtype=dtype, device=self.device)
        return self._buffers[key]
