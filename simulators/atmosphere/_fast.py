"""Steps on the CPU without gradients: kernels that go to and fro between two copies."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from pushforward.simulators.atmosphere import _kernels as kernels
from pushforward.simulators.atmosphere.fluxes import MassFluxes, SweptAreas
from pushforward.simulators.atmosphere.schemes import chains
from pushforward.simulators.atmosphere.state import TracerState

if TYPE_CHECKING:
    from pushforward.simulators.atmosphere.transport import TracerTransport

__all__ = ["FastSweeps"]

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
        self.tables = {axis: _table(solver, axis, cells[0]) for axis in "xyz"}
        layers, rows, columns = cells
        bundles = {
            "x": layers * math.ceil(rows / kernels.LANES),
            "y": layers * math.ceil(columns / kernels.LANES),
            "z": rows * math.ceil(columns / kernels.LANES),
        }
        self.trouble = {a: np.empty((len(self.mass) * n, 3)) for a, n in bundles.items()}
        work = self.amounts.size // CELLS_WORTH_A_THREAD
        self.threads = max(1, min(torch.get_num_threads(), work))

    def step(self, fluxes: MassFluxes) -> "FastSweeps":
        """Take one step."""
        cells, scheme = self.shape[-3:], self.solver.scheme
        east, north, up = (
            f.detach().reshape(-1, *f.shape[-3:]).to(torch.float64).contiguous().numpy()
            for f in (fluxes.east, fluxes.north, fluxes.up)
        )
        if self.threads > 1:
            import numba

            numba.set_num_threads(self.threads)
        for axis, share in self.solver.sweeps(cells[0]):
            flux: tuple[np.ndarray, ...] = (east, north, up)
            if isinstance(fluxes, SweptAreas):
                flux, share = self._carried_air(axis, share, fluxes, flux), 1.0
            kernels.sweep.on(self.threads)(
                "xyz".index(axis),
                share,
                scheme.degree,
                scheme.carried,
                kernels.LIMITERS[scheme.limiter],
                self.tables[axis],
                self.mass,
                self.amounts,
                *flux,
                *self.spare,
                self.trouble[axis],
            )
            self.mass, self.amounts, self.spare = *self.spare, (self.mass, self.amounts)
            found = self.trouble[axis][self.trouble[axis][:, 0] >= 0]
            if len(found):
                worst = found[np.argmax(np.nan_to_num(found[:, 2], nan=np.inf))]
                raise self.solver.emptied(axis, int(worst[1]), float(worst[2]), self.time)
        self.time += self.solver.dt
        return self

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


def _table(solver: "TracerTransport", axis: str, layers: int) -> np.ndarray:
    """The moments remapped together, a row of three each, -1 where there is none."""
    rows = chains(solver.scheme, axis, layers)
    return np.array([[*row, -1, -1][:3] for row in rows], np.int64)
