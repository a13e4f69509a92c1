"""The finite-volume solver's steps on the CPU without gradients: kernels, real FFTs, buffers."""

import math

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.turbulence import _finite_volume_kernels as kernels
from pushforward.simulators.turbulence._threads import worthwhile_threads
from pushforward.simulators.turbulence._transposition import transpose
from pushforward.simulators.turbulence.checks import COURANT_LIMIT
from pushforward.simulators.turbulence.finite_volume import FiniteVolumeSolver
from pushforward.simulators.turbulence.operators import (
    inverse_laplacian_eigenvalues,
    laplacian_eigenvalues,
)
from pushforward.simulators.turbulence.tableaux import TABLEAUX

__all__ = ["FastFiniteVolume"]


class FastFiniteVolume:
    """Buffers and constants for one batch size; `run` takes whole steps inside them.

    Parameters
    ----------
    solver : whose equation and scheme; its dtype float32 or float64.
    flows : number of flows stepped together.
    """

    def __init__(self, solver: FiniteVolumeSolver, *, flows: int):
        grid, dtype, dt = solver.grid, solver.dtype, solver.dt
        nx, ny = self.shape = grid.shape
        hx, hy = grid.spacing
        real = torch.zeros(0, dtype=dtype).numpy().dtype.type
        complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
        self.threads = worthwhile_threads(flows * nx * ny)
        self.chunks = math.ceil(self.threads / flows)
        self.implicit, self.limit = solver.diffusion == "implicit", COURANT_LIMIT / dt
        self.scheme = kernels.SCHEMES[solver.advection]
        self.numbers = (real(0 if self.implicit else solver.viscosity), real(solver.drag))
        self.inverse_h = (real(1 / hx), real(1 / hy))
        self.ratio = (real(dt / hx), real(dt / hy))
        self.force = _padded_force(solver.force, ny)
        self.weights = [np.array(row, real) * real(dt) for row in TABLEAUX[solver.stepper]]

        on = self.threads
        self._sweep, self._transpose = kernels.stage.on(on), transpose.on(on)
        self._scale, self._correct = kernels.scale.on(on), kernels.correct.on(on)
        self._increment, self._add = kernels.implicit_increment.on(on), kernels.add.on(on)

        ghosts = 2 * kernels.GHOST
        padded = (flows, 2, nx + ghosts, ny + ghosts)
        stages = len(self.weights)
        self.velocities = [np.zeros(padded, real) for _ in range(2 if stages == 1 else 3)]
        self.tendencies = np.zeros((stages - 1, flows, 2, nx * (ny + ghosts)), real)
        self.rates = np.zeros(flows * self.chunks, real)
        self.divergence = torch.zeros(flows, nx, ny, dtype=dtype)
        self.rhs = self.divergence.numpy()
        fields, m = flows * (2 if self.implicit else 1), ny // 2 + 1
        self.x_last = torch.zeros(fields, m, nx, dtype=complex_dtype)
        self.y_last = torch.zeros(fields, nx, m, dtype=complex_dtype)
        if self.implicit:
            x = 2 * math.pi * torch.fft.fftfreq(nx, dtype=torch.float64)
            y = 2 * math.pi * torch.fft.rfftfreq(ny, dtype=torch.float64)
            c_lambda = solver.viscosity * dt * laplacian_eigenvalues(grid.shape, grid.spacing)
            self.symbols = (
                ((torch.exp(1j * x) - 1) / hx).to(complex_dtype).numpy(),
                ((torch.exp(1j * y) - 1) / hy).to(complex_dtype).numpy(),
                inverse_laplacian_eigenvalues(grid.shape, grid.spacing)
                .to(dtype)
                .T.contiguous()
                .numpy(),
                (c_lambda / (1 - c_lambda)).to(dtype).T.contiguous().numpy(),
                real(1 / (nx * ny)),
            )
        else:
            inverse = inverse_laplacian_eigenvalues(grid.shape, grid.spacing) / (nx * ny)
            self.factors = inverse.to(dtype).T.contiguous().numpy()

    def run(self, state: Tensor, n_steps: int, *, check: bool) -> tuple[Tensor, int, bool]:
        """Take up to `n_steps` steps from (flows, 2, nx, ny); stops where the check fails.

        Returns the state, the number of steps taken and whether it passed. The check is that the
        Courant number is at most 1, which NaN fails.
        """
        self._inner(0)[:] = state.numpy()
        kernels.fill_ghosts(self.velocities[0])
        if self.threads > 1:
            import numba

            numba.set_num_threads(self.threads)
        done, passed = 0, True
        step = self._implicit_step if self.implicit else self._explicit_step
        for done in range(1, n_steps + 1):  # noqa: B007
            rate = step()
            if check and not rate <= self.limit:
                passed = False
                break
        return torch.from_numpy(self._inner(0).copy()), done, passed

    def _inner(self, index: int) -> np.ndarray:
        inside = slice(kernels.GHOST, -kernels.GHOST)
        return self.velocities[index][..., inside, inside]

    def _explicit_step(self) -> float:
        base = now = self.velocities[0]
        free = self.velocities[1:]
        rate = 0.0
        for s in range(len(self.weights)):
            out = free[s % len(free)]
            self._stage(s, now, base, out)
            modes = self._modes(self.divergence)
            self._scale(modes.numpy().view(self.rhs.dtype), self.factors)
            q = self._field(modes)
            rate = self._correct(self.chunks, self.inverse_h, q.numpy(), out, self.rates)
            now = out
        self.velocities = [now, *(v for v in self.velocities if v is not now)]
        return rate

    def _implicit_step(self) -> float:
        now, out = self.velocities
        self._stage(0, now, now, out)
        flows, nx, ny = self.rhs.shape
        modes = self._modes(torch.from_numpy(self._inner(1)).reshape(2 * flows, nx, ny))
        self._increment(modes.unflatten(0, (flows, 2)).numpy(), *self.symbols)
        increment = self._field(modes).unflatten(0, (flows, 2)).numpy()
        self.velocities = [out, now]
        return self._add(self.chunks, self.inverse_h, increment, out, self.rates)

    def _stage(self, s: int, now: np.ndarray, base: np.ndarray, out: np.ndarray) -> None:
        self._sweep(
            self.chunks,
            self.scheme,
            self.numbers,
            self.inverse_h,
            self.ratio,
            self.force,
            now,
            base,
            self.tendencies,
            s < len(self.weights) - 1,
            self.weights[s],
            out,
            self.rhs,
        )

    def _modes(self, fields: Tensor) -> Tensor:
        """`rfft2` of (fields, nx, ny) as (fields, ny // 2 + 1, nx)."""
        along_y = torch.fft.rfft(fields)
        self._transpose(self.chunks, along_y.numpy(), self.x_last.numpy())
        return torch.fft.fft(self.x_last)

    def _field(self, modes: Tensor) -> Tensor:
        """The inverse, without its factor 1/(nx ny)."""
        along_x = torch.fft.ifft(modes, norm="forward")
        self._transpose(self.chunks, along_x.numpy(), self.y_last.numpy())
        return torch.fft.irfft(self.y_last, n=self.shape[1], norm="forward")


def _padded_force(force: Tensor, ny: int) -> np.ndarray:
    """(2, rows, ny) with ghost columns, flat: every row, or one block's if all rows are equal."""
    width = ny + 2 * kernels.GHOST
    rows = force.shape[1] if force.shape[1] > 1 else max(1, kernels.BLOCK // width)
    padded = torch.zeros(2, rows, width, dtype=force.dtype)
    padded[..., kernels.GHOST : kernels.GHOST + ny] = force
    return padded.flatten(1).numpy()
