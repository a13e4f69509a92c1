"""First-order upwind transport driven by what an emulator is given: the cheap reference."""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu
from torch import Tensor

from pushforward.datasets.atmosphere import CarbonWindow, input_names
from pushforward.simulators.atmosphere import LatLonGrid, MassFluxes, TracerTransport
from pushforward.surrogates.atmosphere import MassFixer

__all__ = ["WindFluxes", "upwind_rollout"]

COURANT = 0.8  # largest share of a cell's air that leaves it in a sub-step along y or z


class WindFluxes:
    r"""Air-mass fluxes of a step from winds at cell centres, made consistent with the air mass.

    East and north fluxes are face means of u and v times air per area. A potential flow, the
    least in Σ flux²/conductance, is added to all layers in proportion to their air so that every
    column gains what the data say ("pressure fixer"); the vertical flux then gives every layer
    its own air mass of the next time. What the whole globe gains is spread evenly.

    Parameters
    ----------
    grid : of the data.
    seconds : of a step.
    """

    def __init__(self, grid: LatLonGrid, seconds: float):
        self.grid, self.seconds = grid, seconds
        dlat, dlon = (math.radians(s) for s in grid.spacing)
        self.height = grid.radius * dlat
        self.width = grid.radius * dlon * torch.cos(torch.deg2rad(grid.lat_edges)).clamp_min(0.0)
        self.width[0] = self.width[-1] = 0.0
        middle = grid.radius * dlon * torch.cos(torch.deg2rad(grid.lat))
        self.east_conductance = self.height / middle
        self.north_conductance = self.width / self.height
        self.solve = splu(self._laplacian()).solve

    def __call__(
        self,
        u: Float[Tensor, "n level lat lon"],
        v: Float[Tensor, "n level lat lon"],
        air: Float[Tensor, "n level lat lon"],
        after: Float[Tensor, "n level lat lon"],
    ) -> MassFluxes:
        """Fluxes of one step in the unit of the air mass."""
        density = air / self.grid.cell_area
        zonal, meridional = u * density, v * density
        east = (zonal + zonal.roll(-1, -1)) / 2 * self.height * self.seconds
        inner = (meridional[..., 1:, :] + meridional[..., :-1, :]) / 2
        inner = inner * self.width[1:-1, None] * self.seconds
        north = torch.nn.functional.pad(inner, (0, 0, 1, 1))
        share = air / air.sum(-3, keepdim=True)
        gain = after - air
        missing = (gain - _convergence(east, north)).sum(-3)
        missing = missing - missing.mean((-2, -1), keepdim=True)
        phi = self._potential(missing)
        push_east = self.east_conductance[:, None] * (phi - phi.roll(-1, -1))
        push_north = self.north_conductance[1:-1, None] * (phi[..., :-1, :] - phi[..., 1:, :])
        faces = (share + share.roll(-1, -1)) / 2
        faces = faces / faces.sum(-3, keepdim=True)
        east = east + faces * push_east[..., None, :, :]
        rows = (share[..., 1:, :] + share[..., :-1, :]) / 2
        rows = rows / rows.sum(-3, keepdim=True) * push_north[..., None, :, :]
        north = north + torch.nn.functional.pad(rows, (0, 0, 1, 1))
        surplus = _convergence(east, north) - gain
        surplus = surplus - share * surplus.sum(-3, keepdim=True)
        up = surplus.cumsum(-3)
        up[..., -1, :, :] = 0.0
        return MassFluxes(east, north, torch.cat([torch.zeros_like(up[..., :1, :, :]), up], -3))

    def _potential(self, gain: Float[Tensor, "n lat lon"]) -> Float[Tensor, "n lat lon"]:
        right = gain.flatten(1).numpy().T.copy()
        right[0] = 0.0  # the potential's free constant: zero in the first cell
        return torch.from_numpy(self.solve(right).T.copy()).reshape(gain.shape)

    def _laplacian(self) -> csc_matrix:
        """Convergence of the potential flow; the first row pins the constant."""
        n_lat, n_lon = self.grid.n_lat, self.grid.n_lon
        index = np.arange(n_lat * n_lon).reshape(n_lat, n_lon)
        east = np.broadcast_to(self.east_conductance.numpy()[:, None], index.shape)
        north = np.broadcast_to(self.north_conductance.numpy()[1:-1, None], (n_lat - 1, n_lon))
        links = [
            (index, np.roll(index, -1, 1), east),
            (index[:-1], index[1:], north),
        ]
        row, column, value = [], [], []
        for a, b, g in links:
            for i, j, w in ((a, b, g), (b, a, g), (a, a, -g), (b, b, -g)):
                row.append(i.ravel())
                column.append(j.ravel())
                value.append(np.broadcast_to(w, i.shape).ravel())
        rows, columns, values = (np.concatenate(x) for x in (row, column, value))
        keep = rows != 0
        rows, columns = np.append(rows[keep], 0), np.append(columns[keep], 0)
        # The fluxes push from high to low potential: convergence is +Σ g (φ_other − φ_own).
        return csc_matrix((np.append(values[keep], 1.0), (rows, columns)))


def upwind_rollout(
    grid: LatLonGrid, window: CarbonWindow, steps: int, *, seconds: float
) -> Float[Tensor, "n steps level lat lon"]:
    """Transport by first-order upwind with the window's winds, air and fluxes; mass pinned.

    The winds of a time are held for a step, as for the emulators. Sub-steps are as few as the
    Courant number allows, so that this is the cheapest transport there is.
    """
    levels = window.airmass.shape[-3]
    names = input_names(levels)
    u_at, v_at = names.index("u_0"), names.index("v_0")
    winds, fixer = WindFluxes(grid, seconds), MassFixer("scale", reference="pinned")
    c = window.concentration[:, 0].double()
    pending: Tensor | None = None
    kept = []
    for t in range(steps):
        air, after = (window.airmass[:, i].double() for i in (t, t + 1))
        others = window.inputs[:, t].double()
        u, v = others[:, u_at : u_at + levels], others[:, v_at : v_at + levels]
        fluxes = winds(u, v, air, after)
        parts = max(1, math.ceil(_courant(fluxes, air) / COURANT))
        solver = TracerTransport(grid, scheme="upwind", dt=seconds / parts)
        state = solver.initial(c[:, None], air_mass=air)
        part = fluxes.scaled(1 / parts)
        for _ in range(parts):
            state = solver.step(state, part)
        moved = state.mixing_ratio[:, 0]
        moved = fixer(moved, c, air, after, surface_mass=pending)
        pending = window.surface_mass[:, t].double()
        moved[:, 0] += pending / after[:, 0]
        c = moved
        kept.append(c.float())
    return torch.stack(kept, 1)


def _convergence(east: Tensor, north: Tensor) -> Tensor:
    return east.roll(1, -1) - east - north.diff(dim=-2)


def _courant(fluxes: MassFluxes, air: Tensor) -> float:
    """Largest share of a cell's air that leaves it along y or z."""
    out_y = fluxes.north[..., 1:, :].clamp_min(0) - fluxes.north[..., :-1, :].clamp_max(0)
    out_z = fluxes.up[..., 1:, :, :].clamp_min(0) - fluxes.up[..., :-1, :, :].clamp_max(0)
    return float((torch.maximum(out_y, out_z) / air).max())
