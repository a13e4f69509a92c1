"""The latitude-longitude grid: cell centres half a cell away from the poles, exact areas."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["EARTH_RADIUS", "LatLonGrid", "latlon_grid"]

EARTH_RADIUS = 6.3781e6  # m, the value behind CarbonBench's cell areas


@dataclass(frozen=True)
class LatLonGrid:
    """Cells between parallels and meridians, south to north and eastward from longitude 0.

    The poles are cell edges; longitude 0 is the centre of the first column. Fields are
    (*batch, n_lat, n_lon). See `latlon_grid`.
    """

    n_lat: int
    n_lon: int
    radius: float = EARTH_RADIUS

    @property
    def spacing(self) -> tuple[float, float]:
        """Extent of a cell in latitude and longitude, degrees."""
        return 180 / self.n_lat, 360 / self.n_lon

    @cached_property
    def lat(self) -> Float[Tensor, " n_lat"]:
        """Latitudes of the cell centres, degrees north."""
        return (torch.arange(self.n_lat, dtype=torch.float64) + 0.5) * self.spacing[0] - 90

    @cached_property
    def lon(self) -> Float[Tensor, " n_lon"]:
        """Longitudes of the cell centres, degrees east, from 0."""
        return torch.arange(self.n_lon, dtype=torch.float64) * self.spacing[1]

    @cached_property
    def lat_edges(self) -> Float[Tensor, " edges"]:
        """Latitudes of the faces between rows, from pole to pole, degrees."""
        return torch.arange(self.n_lat + 1, dtype=torch.float64) * self.spacing[0] - 90

    @cached_property
    def lon_edges(self) -> Float[Tensor, " edges"]:
        """Longitudes of the faces: entry i is west of cell i, the last equals the first + 360."""
        return (torch.arange(self.n_lon + 1, dtype=torch.float64) - 0.5) * self.spacing[1]

    @cached_property
    def cell_area(self) -> Float[Tensor, "n_lat n_lon"]:
        """Areas R² Δλ (sin φ_north − sin φ_south), m²; they add up to 4πR²."""
        # sin a − sin b as a product: no cancellation near the poles.
        half_width = math.radians(self.spacing[0]) / 2
        band = 2 * torch.cos(torch.deg2rad(self.lat)) * math.sin(half_width)
        row = self.radius**2 * math.radians(self.spacing[1]) * band
        return row[:, None].expand(self.n_lat, self.n_lon).contiguous()


def latlon_grid(n_lat: int, n_lon: int, *, radius: float | int = EARTH_RADIUS) -> LatLonGrid:
    """The grid of n_lat x n_lon cells that covers the sphere, poles on cell edges.

    Parameters
    ----------
    n_lat : rows from the south pole to the north pole; at least 2.
    n_lon : cells of a row, even, so that every meridian goes on across the pole in a column;
        at least 4.
    radius : R in m; the default is that of CarbonBench.

    Raises
    ------
    DataError : sizes or a radius out of range.

    Examples
    --------
    >>> grid = latlon_grid(32, 64)  # CarbonBench's latlon5.625
    >>> float(grid.lat[0]), float(grid.lon[1])
    (-87.1875, 5.625)
    >>> abs(float(grid.cell_area.sum()) / (4 * math.pi * grid.radius**2) - 1) < 1e-14
    True
    """
    if n_lat < 2 or n_lon < 4 or n_lon % 2:
        raise DataError(
            f"n_lat = {n_lat}, n_lon = {n_lon}; expected at least 2 rows and an even number of at "
            "least 4 columns (a meridian goes on across the pole, 180 degrees further)."
        )
    if not (radius > 0 and math.isfinite(radius)):
        raise DataError(f"radius = {radius} m; expected a positive number.")
    return LatLonGrid(int(n_lat), int(n_lon), float(radius))
