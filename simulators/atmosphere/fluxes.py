"""Air-mass fluxes through the faces of the cells, made so that they are consistent."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.errors import DataError

__all__ = ["MassFluxes", "SweptAreas", "Winds", "close_columns", "from_stream_function"]


@dataclass(frozen=True)
class MassFluxes:
    """Air that passes the faces during one step, kg; positive eastward, northward, upward.

    Parameters
    ----------
    east : through the east face of each cell, (*batch, layer, lat, lon); periodic.
    north : through the south face of each row and the north pole, (*batch, layer, lat + 1, lon);
        0 at the poles.
    up : through the lower face of each layer and the top, (*batch, layer + 1, lat, lon); 0 at the
        surface and the top. Layer 0 is at the surface.

    Raises
    ------
    DataError : shapes that do not belong together, air through a pole, the surface or the top.
    """

    east: Float[Tensor, "*batch layer lat lon"]
    north: Float[Tensor, "*batch layer lat+1 lon"]
    up: Float[Tensor, "*batch layer+1 lat lon"]

    def __post_init__(self) -> None:
        *batch, k, j, i = self.east.shape
        for name, field, shape in (
            ("north", self.north, (*batch, k, j + 1, i)),
            ("up", self.up, (*batch, k + 1, j, i)),
        ):
            if tuple(field.shape) != tuple(shape):
                raise DataError(
                    f"fluxes: east has shape {tuple(self.east.shape)} and {name} "
                    f"{tuple(field.shape)}; expected {tuple(shape)}, one face more than cells."
                )
        poles, ends = self.north[..., [0, -1], :], self.up[..., [0, -1], :, :]
        for where, walls in (("a pole", poles), ("the surface or the top", ends)):
            if bool((walls != 0).any()):
                raise DataError(
                    f"fluxes: {float(walls.abs().max()):.3g} kg of air pass {where}; expected "
                    "exactly 0 there."
                )

    def scaled(self, factor: float | int) -> "MassFluxes":
        """The same winds for another length of time."""
        return type(self)(*(factor * getattr(self, f.name) for f in fields(self)))


class SweptAreas(MassFluxes):
    """Areas that pass the faces in one step, m², of a flow whose density is not known beforehand.

    The solver turns them into mass fluxes with the density it has at the moment of each sweep, so
    that the air itself is transported, and the tracer with it.
    """


# A flow: what passes the faces from a time on for a length of time, both in seconds.
Winds = Callable[[float, float], MassFluxes]


def from_stream_function(
    grid: LatLonGrid,
    psi: Callable[[Tensor, Tensor], Tensor],
    mass_per_area: Float[Tensor, "*layer"] | float = 1.0,
) -> MassFluxes:
    """Mass fluxes per second of one layer (or several alike) that a stream function carries.

    u = −(1/R) ∂ψ/∂φ, v = (1/(R cos φ)) ∂ψ/∂λ: the air between two corners is the difference of
    ψ there, so what enters a cell leaves it to rounding.

    Parameters
    ----------
    psi : ψ(λ, φ) in m²/s at longitudes and latitudes in radians, which broadcast; constant at each
        pole.
    mass_per_area : kg/m² of each layer; the default 1 gives areas per second.

    Examples
    --------
    >>> from pushforward.simulators.atmosphere import latlon_grid
    >>> fluxes = from_stream_function(latlon_grid(8, 16), lambda lon, lat: lon.sin() * lat.cos())
    >>> inflow = fluxes.east.roll(1, -1) - fluxes.east - fluxes.north.diff(dim=-2)
    >>> bool(inflow.abs().max() < 1e-14)
    True
    """
    lon, lat = torch.deg2rad(grid.lon_edges[:-1]), torch.deg2rad(grid.lat_edges)[:, None]
    corner = psi(lon, lat).expand(grid.n_lat + 1, grid.n_lon).clone()
    corner[[0, -1]] = corner[[0, -1]].mean(-1, keepdim=True)  # a pole is one point
    mass = torch.as_tensor(mass_per_area, dtype=torch.float64).reshape(-1, 1, 1)
    around = corner.roll(-1, -1)  # at the east face
    east, north = -mass * around.diff(dim=-2), mass * (around - corner)
    up = torch.zeros(len(mass) + 1, grid.n_lat, grid.n_lon, dtype=torch.float64)
    return MassFluxes(east, north, up)


def close_columns(
    east: Float[Tensor, "*batch layer lat lon"],
    north: Float[Tensor, "*batch layer lat+1 lon"],
    share: Float[Tensor, " layer"],
) -> MassFluxes:
    """The vertical flux that leaves each layer its share of what the column gains.

    up_{k+1} = up_k + conv_k − share_k Σ conv: zero at the surface, and at the top by construction.

    Parameters
    ----------
    share : B_k differences of hybrid layers, adding up to 1: how a change of surface pressure is
        spread over the layers.
    """
    share = torch.as_tensor(share, dtype=east.dtype)
    if not math.isclose(float(share.sum()), 1.0, abs_tol=1e-12):
        raise DataError(f"share adds up to {float(share.sum()):.6g}; expected 1.")
    convergence = east.roll(1, -1) - east - north.diff(dim=-2)
    column = convergence.sum(-3, keepdim=True)
    up = torch.cumsum(convergence - share[:, None, None] * column, -3)
    up[..., -1, :, :] = 0.0  # what is left there is rounding
    return MassFluxes(east, north, torch.cat((torch.zeros_like(up[..., :1, :, :]), up), -3))
