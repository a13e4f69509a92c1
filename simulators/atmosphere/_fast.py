"""Steps on the CPU without gradients: kernels that go to and fro between two copies."""

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.atmosphere import _kernels as kernels
from pushforward.simulators.atmosphere import _strip_kernels as strip_kernels
from pushforward.simulators.atmosphere.fluxes import MassFluxes, SweptAreas
from pushforward.simulators.atmosphere.schemes import chains
from pushforward.simulators.atmosphere.state import TracerState
from pushforward.simulators.atmosphere.strips import (
    ACROSS,
    STRIPS,
    Moves,
    Phase,
    sheared_sweep,
    strip_chains,
)
from pushforward.simulators.compiled import available_threads

if TYPE_CHECKING:
    from pushforward.simulators.atmosphere.transport import TracerTransport

__all__ = ["FastSweeps"]

Fields = tuple[np.ndarray, np.ndarray]  # air and amounts
CELLS_WORTH_A_THREAD = 2048  # times moments; a smaller share is done sooner than a thread is woken


class FastSweeps:
    """A copy of a state that steps change; `state()` gives it back.

    After an error it is of no use; the state it was made from is untouched.
    """

    def __init__(self, solver: "TracerTransport", state: TracerState):
        self.solver, self.time = solver, state.time
        self.shape = state.air_mass.shape
        cells = self.shape[-3:]
        tracers = state.tracer_mass.shape[-4]
        self.mass = state.air_mass.detach().reshape(-1, *cells).numpy().copy()
        amounts = torch.cat((state.tracer_mass.unsqueeze(-4), state.moments), -4).detach()
        self.moments = amounts.shape[-4]
        self.amounts = amounts.reshape(len(self.mass), tracers, self.moments, *cells).numpy()
        self.spare = (np.empty_like(self.mass), np.empty_like(self.amounts))
        self.tables = {axis: _table(chains(solver.scheme, axis, cells[0])) for axis in "xyz"}
        work = self.amounts.size // CELLS_WORTH_A_THREAD
        self.threads = max(1, min(available_threads(), work))

    def step(self, fluxes: MassFluxes) -> "FastSweeps":
        """Take one step."""
        east, north, up = (
            f.detach().reshape(-1, *f.shape[-3:]).to(torch.float64).contiguous().numpy()
            for f in (fluxes.east, fluxes.north, fluxes.up)
        )
        if self.threads > 1:
            import numba

            numba.set_num_threads(self.threads)
        for axis, share, phase in self.solver.sweeps(self.shape[-3]):
            flux: tuple[np.ndarray, ...] = (east, north, up)
            if isinstance(fluxes, SweptAreas):
                flux, share = self._carried_air(axis, share, fluxes, flux), 1.0
            if axis in self.solver.strip_weights:
                self._sheared_sweep(axis, phase, share, flux["xy".index(axis)])
                continue
            held, after = (self.mass, self.amounts), self.spare
            self._refuse(axis, self._sweep(axis, share, self.tables[axis], held, flux, after))
            self.mass, self.amounts, self.spare = *after, held
        self.time += self.solver.dt
        return self

    def _sweep(
        self,
        axis: str,
        share: float,
        table: np.ndarray,
        held: Fields,
        flux: tuple[np.ndarray, ...],
        after: Fields,
    ) -> np.ndarray:
        """Move lines of cells; returns the cells that would be emptied."""
        batch, layers, rows, columns = held[0].shape
        bundles = {
            "x": layers * math.ceil(rows / kernels.LANES),
            "y": layers * math.ceil(columns / kernels.LANES),
            "z": rows * math.ceil(columns / kernels.LANES),
        }
        trouble = np.empty((batch * bundles[axis], 3))
        scheme = self.solver.scheme
        kernels.sweep.on(self.threads)(
            "xyz".index(axis),
            share,
            scheme.degree,
            scheme.carried,
            kernels.LIMITERS[scheme.limiter],
            table,
            *held,
            *flux,
            *after,
            trouble,
        )
        return trouble

    def _sheared_sweep(self, axis: str, phase: Phase, share: float, flux: np.ndarray) -> None:
        """`strips.sheared_sweep`, the amounts moved by the kernels."""
        mass, passed = torch.from_numpy(self.mass), share * torch.from_numpy(flux)
        if axis == "x":
            passed = torch.cat((passed[..., -1:], passed), -1)
        self.solver.refuse_emptied(axis, mass, passed, self.time)
        new_mass, amounts = sheared_sweep(
            axis,
            phase,
            self.solver.strip_weights[axis],
            mass,
            torch.from_numpy(self.amounts),
            passed,
            Moves(self._spread, partial(self._remap_strips, axis), self._gather),
        )
        self.mass, self.amounts = new_mass.numpy(), amounts.numpy()

    def _spread(self, axis: str, parts: Tensor, amounts: Tensor) -> Tensor:
        batch, tracers, moments, *cells, columns = amounts.shape
        held = torch.empty(
            (batch, tracers, 3 if moments == 6 else 6, *cells, STRIPS, columns),
            dtype=torch.float64,
        )
        strip_kernels.spread.on(self.threads)(
            ACROSS[axis], parts.numpy(), amounts.numpy(), held.numpy()
        )
        return held

    def _gather(self, axis: str, fit: Tensor, moved: Tensor) -> Tensor:
        amounts = torch.from_numpy(np.empty_like(self.amounts))
        strip_kernels.gather.on(self.threads)(
            ACROSS[axis], fit.numpy(), moved.numpy(), amounts.numpy()
        )
        return amounts

    def _remap_strips(
        self, axis: str, mass: Tensor, amounts: Tensor, flux: Tensor
    ) -> tuple[Tensor, Tensor]:
        table = _table(strip_chains(mass.shape[-3]))
        air = (flux[..., 1:] if axis == "x" else flux).contiguous().numpy()
        after = torch.empty_like(mass), torch.empty_like(amounts)
        held, moved = ((m.numpy(), a.numpy()) for m, a in ((mass, amounts), after))
        trouble = self._sweep(axis, 1.0, table, held, (air,) * 3, moved)
        row, column = np.divmod(trouble[:, 1], mass.shape[-1])
        columns = self.shape[-1]
        if axis == "x":  # from the place of a strip's cell to that of the cell
            row //= STRIPS
        trouble[:, 1] = row * columns + column % columns
        self._refuse(axis, trouble)
        return after

    def _refuse(self, axis: str, trouble: np.ndarray) -> None:
        found = trouble[trouble[:, 0] >= 0]
        if len(found):
            worst = found[np.argmax(np.nan_to_num(found[:, 2], nan=np.inf))]
            raise self.solver.emptied(axis, int(worst[1]), float(worst[2]), self.time)

    def state(self) -> TracerState:
        """The present state, as tensors of their own."""
        batch = self.shape[:-3]
        amounts = torch.from_numpy(self.amounts).reshape(*batch, *self.amounts.shape[1:])
        return TracerState(
            torch.from_numpy(self.mass.copy()).reshape(self.shape),
            amounts[..., 0, :, :, :].clone(),
            amounts[..., 1:, :, :, :].clone(),
            self.time,
        )

    def _carried_air(
        self, axis: str, share: float, fluxes: MassFluxes, flux: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        """Mass fluxes of this sweep where only swept areas are given."""
        mass = torch.from_numpy(self.mass)
        air = self.solver.sweep_flux(axis, share, mass, fluxes).contiguous().numpy()
        if axis == "x":
            return (
                air[..., 1:].copy(),
                _as_batch(flux[1], air),
                _as_batch(flux[2], air),
            )
        return _as_batch(flux[0], air), air, _as_batch(flux[2], air)


def _as_batch(field: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(field, (len(like), *field.shape[1:])).copy()


def _table(together: list[tuple[int, ...]]) -> np.ndarray:
    """The moments remapped together, a row of three each, -1 where there is none."""
    return np.array([[*row, -1, -1][:3] for row in together], np.int64)
