"""Fourier transforms over the planes parallel to the walls, with 3/2 padding."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["PlaneTransforms"]

# Up to this many points a product with a matrix of waves beats a Fourier transform of one axis,
# whose strided results have to be copied (two-core machine with AVX-512, 2026).
MATRIX = 64
# Bytes that six fields of some planes may fill. Measured there from 0.75 to 24 MB: fewer planes
# leave too little for a second thread, more fall out of the cache.
CACHE = 8_000_000


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
    torch.Size([12, 12])
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

    @property
    def chunk(self) -> int:
        """Padded planes that six fields can fill before they outgrow a processor's cache."""
        mx, mz = self.points(True)
        return 1 << 30 if self.device.type != "cpu" else max(4, CACHE // (6 * 8 * mx * mz))

    def to_physical(
        self, coefficients: Complex[Tensor, "*planes kx kz"], *, padded: bool
    ) -> Float[Tensor, "*planes x z"]:
        """Values on the grid of the planes, 3/2 finer if ``padded``.

        The result is a buffer of this object that the next call of the same shape overwrites:
        fresh pages would cost as much as the transforms. Clone what must last.
        """
        mx, mz = self.points(padded)
        lead = coefficients.shape[:-2]
        half = self._along_x(coefficients, mx)
        out = self.buffer("physical", (*lead, mx, mz), torch.float64)
        torch.mm(
            torch.view_as_real(half.contiguous()).view(-1, 2 * self.modes[1]),
            self._back_z(mz),
            out=out.view(-1, mz),
        )
        return out

    def to_spectral(
        self, values: Float[Tensor, "*planes x z"], *, out: Tensor | None = None
    ) -> Complex[Tensor, "*planes kx kz"]:
        """Coefficients of the kept modes; whatever lies beyond is cut off."""
        *lead, mx, mz = values.shape
        half = self.buffer("half", (*lead, mx, 2 * self.modes[1]), torch.float64)
        torch.mm(values.reshape(-1, mz), self._onto_z(mz), out=half.view(-1, 2 * self.modes[1]))
        spread = torch.view_as_complex(half.unflatten(-1, (-1, 2)))
        if mx <= MATRIX:
            return torch.matmul(self._onto_x(mx), spread, out=out)
        full = torch.fft.fft(spread, dim=-2, norm="forward")
        rows = (full[..., : self.positive, :], full[..., -self.negative :, :])
        return torch.cat(rows, dim=-2, out=out)

    def _along_x(self, coefficients: Tensor, mx: int) -> Tensor:
        """Sum over kx at mx points, still coefficients in z."""
        lead, nkz = coefficients.shape[:-2], coefficients.shape[-1]
        wide = self.buffer("wide", (*lead, mx, nkz), torch.complex128)
        if mx <= MATRIX:
            return torch.matmul(self._back_x(mx), coefficients, out=wide)
        # Rows that padding left at zero stay zero, for nothing else writes into them.
        wide[..., : self.positive, :] = coefficients[..., : self.positive, :]
        wide[..., -self.negative :, :] = coefficients[..., self.positive :, :]
        return torch.fft.ifft(wide, dim=-2, norm="forward")

    def _back_x(self, mx: int) -> Complex[Tensor, "x kx"]:
        return self._constant("back x", mx, lambda: self._waves(mx, 0))

    def _onto_x(self, mx: int) -> Complex[Tensor, "kx x"]:
        return self._constant("onto x", mx, lambda: self._waves(mx, 0).conj().T / mx)

    def _back_z(self, mz: int) -> Float[Tensor, "kz2 z"]:
        """u = Re Σ m û e^{ikz z}: rows of m cos and -m sin, for real and imaginary parts."""

        def make() -> Tensor:
            waves = (self.multiplicity * self._waves(mz, 1)).T
            return torch.stack((waves.real, -waves.imag), dim=1).flatten(0, 1)

        return self._constant("back z", mz, make)

    def _onto_z(self, mz: int) -> Float[Tensor, "z kz2"]:
        return self._constant(
            "onto z",
            mz,
            lambda: torch.view_as_real(self._waves(mz, 1).conj().resolve_conj() / mz).flatten(1),
        )

    def _waves(self, points: int, axis: int) -> Complex[Tensor, "points k"]:
        """e^{i k x} of the kept modes along x (0) or z (1), from whole numbers so that it is exact
        where the wave repeats."""
        if axis == 0:
            number = torch.cat((torch.arange(self.positive), torch.arange(-self.negative, 0)))
        else:
            number = torch.arange(self.modes[1])
        turns = (torch.arange(points)[:, None] * number) % points
        angle = turns.double() * (2 * math.pi / points)
        return torch.polar(torch.ones_like(angle), angle).to(self.device)

    def _constant(self, name: str, points: int, make: Callable[[], Tensor]) -> Tensor:
        key = (name, (points,))
        if key not in self._buffers:
            self._buffers[key] = make().contiguous()
        return self._buffers[key]

    def buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A zeroed tensor that is kept and handed out again for the same name and shape."""
        key = (name, shape)
        if key not in self._buffers:
            self._buffers[key] = torch.zeros(shape, dtype=dtype, device=self.device)
        return self._buffers[key]
