"""The spectral solver's steps on the CPU without gradients: kernels, pruned real FFTs, buffers."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.turbulence import _spectral_kernels as kernels
from pushforward.simulators.turbulence._threads import worthwhile_threads
from pushforward.simulators.turbulence._transposition import transpose
from pushforward.simulators.turbulence.checks import COURANT_LIMIT
from pushforward.simulators.turbulence.spectral import SpectralSolver

__all__ = ["FastSpectral"]


class _Row(NamedTuple):
    """One stage of the stepper: which stored terms enter, and with what."""

    earlier: np.ndarray
    weights: np.ndarray
    keep: int
    last: bool


class FastSpectral:
    """Buffers and constants for one batch size; `run` takes whole steps inside them.

    Only the modes that the 2/3 rule keeps are stepped, and only their columns are transformed
    along x. The others feel the linear part alone and are brought up to date at the end of a run.

    Parameters
    ----------
    solver : whose equation and stepper; its dtype float32 or float64.
    flows : number of flows stepped together.
    """

    def __init__(self, solver: SpectralSolver, *, flows: int):
        nx, ny = self.shape = solver.shape
        real = torch.zeros(0, dtype=solver.dtype).numpy().dtype.type
        self.half = (nx + 2) // 3  # kx = 0 … with 3 kx < nx
        self.columns = K = (ny + 2) // 3
        R, m = 2 * self.half - 1, ny // 2 + 1
        self.threads = worthwhile_threads(flows * nx * ny)
        self.chunks = math.ceil(self.threads / flows)
        self.limit = COURANT_LIMIT / solver.dt
        self.inverse_h = tuple(real(1 / h) for h in solver.spacing)

        kx, ky = solver.grid.wavenumbers()
        kept_x = torch.cat([kx[: self.half, 0], kx[nx - self.half + 1 :, 0]])
        k_squared = kept_x**2 + ky[0, :K, None] ** 2
        inverse = torch.where(k_squared > 0, 1 / k_squared.clamp(min=1e-300), 0) / (nx * ny)
        force = self._compact(solver._force).contiguous()
        self.symbols = (
            kept_x.to(solver.dtype).numpy(),
            ky[0, :K].contiguous().to(solver.dtype).numpy(),
            torch.view_as_real(force).flatten(-2).numpy(),
            force.abs().amax(-1).numpy() > 0,
        )
        self.inverse = inverse.to(solver.dtype).numpy()
        self.rows = self._rows(solver)
        final = [torch.zeros(nx, m) if c is None else c for c in solver._table[-1]]
        self.growth = final[0].to(solver.dtype).numpy()
        offset = solver.dt * torch.stack(final[1:]).sum(0) * solver._force
        self.offset = torch.view_as_real(offset).flatten(-2).numpy()

        stored = 1 + max([row.keep for row in self.rows])
        self.terms = np.zeros((stored, flows, K, 2 * R), real)
        complex_dtype = solver._force.dtype
        self.velocity = torch.zeros(flows, 2, K, nx, dtype=complex_dtype)
        self.wide = torch.zeros(flows, 2, nx, m, dtype=complex_dtype)  # zero beyond K columns
        self.narrow = torch.zeros(flows, 2, K, nx, dtype=complex_dtype)
        self.rates = np.zeros(flows * self.chunks, real)

    def _compact(self, field: Tensor) -> Tensor:
        """(…, nx, m) to the kept modes, (…, K, R)."""
        nx = self.shape[0]
        kept = torch.cat([field[..., : self.half, :], field[..., nx - self.half + 1 :, :]], -2)
        return kept[..., : self.columns].transpose(-1, -2)

    def _rows(self, solver: SpectralSolver) -> list[_Row]:
        used = [{j for j, c in enumerate(row) if c is not None} for row in solver._table]
        place, rows = {0: 0}, []  # term -> where it is kept
        for i, row in enumerate(solver._table):
            new = i + 1
            if any(new in later for later in used[i + 1 :]):
                place[new] = len(place)
            earlier = sorted(used[i] - {new})
            scaled = [c if j == 0 else solver.dt * c for j, c in enumerate(row) if c is not None]
            if new not in used[i]:
                scaled.append(torch.zeros_like(scaled[0]))
            weights = torch.stack([self._compact(c) for c in scaled]).contiguous()
            rows.append(
                _Row(
                    np.array([place[j] for j in earlier]),
                    weights.numpy(),
                    place.get(new, 0),
                    i == len(solver._table) - 1,
                )
            )
        return rows

    def run(self, state: Tensor, n_steps: int, *, check: bool) -> tuple[Tensor, int, bool]:
        """Take up to `n_steps` steps from (flows, nx, m); stops where the check fails.

        Returns the state, the number of steps taken and whether it passed. The check is that the
        Courant number is at most 1, which NaN fails.
        """
        if self.threads > 1:
            import numba

            numba.set_num_threads(self.threads)
        kept = self._compact(state).contiguous()
        self.terms[0] = torch.view_as_real(kept).flatten(-2).numpy()
        kx, ky, *_ = self.symbols
        kernels.velocity_modes(self.terms[0], self.inverse, kx, ky, _as_real(self.velocity))
        done, passed = 0, True
        while done < n_steps or check:
            velocity = self._back()
            rate = self._products(velocity)
            if check and not rate <= self.limit:
                passed = False
                break
            if done == n_steps:
                break
            for i, row in enumerate(self.rows):
                if i:
                    velocity = self._back()
                    self._products(velocity)
                self._stage(velocity, row)
            done += 1
        return self._result(state, done), done, passed

    def _back(self) -> Tensor:
        """The velocity at the points, (flows, 2, nx, ny)."""
        along_x = torch.fft.ifft(self.velocity, norm="forward")
        self._transpose(along_x, self.wide)
        return torch.fft.irfft(self.wide, n=self.shape[1], norm="forward")

    def _products(self, velocity: Tensor) -> float:
        return kernels.products.on(self.threads)(
            self.chunks, self.inverse_h, velocity.flatten(-2).numpy(), self.rates
        )

    def _stage(self, products: Tensor, row: _Row) -> None:
        self._transpose(torch.fft.rfft(products), self.narrow)
        hats = torch.fft.fft(self.narrow)
        kernels.stage.on(self.threads)(
            self.threads,
            _as_real(hats),
            *self.symbols,
            self.terms,
            *row,
            self.inverse,
            _as_real(self.velocity),
        )

    def _transpose(self, source: Tensor, target: Tensor) -> None:
        transpose.on(self.threads)(
            self.chunks, source.flatten(0, 1).numpy(), target.flatten(0, 1).numpy()
        )

    def _result(self, state: Tensor, done: int) -> Tensor:
        """The whole state after `done` steps from `state`."""
        modes = state.clone(memory_format=torch.contiguous_format)
        kernels.linear_steps(done, self.growth, self.offset, _as_real(modes))
        kept = torch.from_numpy(self.terms[0]).unflatten(-1, (-1, 2))
        rows = torch.view_as_complex(kept).transpose(-1, -2)
        modes[..., : self.half, : self.columns] = rows[..., : self.half, :]
        modes[..., self.shape[0] - self.half + 1 :, : self.columns] = rows[..., self.half :, :]
        return modes


def _as_real(modes: Tensor) -> Any:
    """Complex (…, n) as a real array (…, 2 n) of the same memory."""
    return torch.view_as_real(modes).flatten(-2).numpy()
