"""Weather-like winds from a seed: jets, travelling waves, overturning, all mass-consistent."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.fluxes import MassFluxes, close_columns
from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.errors import DataError

__all__ = ["GRAVITY", "YEAR", "Weather", "sigma_edges"]

DAY = 86400.0
YEAR = 365.25 * DAY
GRAVITY = 9.80665
SEA_LEVEL_PRESSURE = 101325.0


def sigma_edges(layers: int) -> Float[Tensor, " edges"]:
    """Edges p/p_surface of the layers, from 1 at the surface to 0: 1 − (k/K)^1.6, thin below.

    Examples
    --------
    >>> sigma_edges(2)
    tensor([1.0000, 0.6701, 0.0000], dtype=torch.float64)
    """
    if layers < 2:
        raise DataError(f"layers = {layers}; expected at least 2.")
    k = torch.arange(layers + 1, dtype=torch.float64)
    return 1 - (k / layers) ** 1.6


class Weather:
    """Winds as a function of time, `weather(time, dt)` -> `MassFluxes`, made from a seed.

    In every layer the flow is a stream function (seasonal jets and some forty travelling Rossby-
    like waves) plus a velocity potential (waves with surface pressure and with ascent) plus a
    seasonal overturning in the meridional plane. The vertical flux follows from continuity such
    that layers keep their share of the surface pressure; so the air mass is consistent by
    construction. Nothing here is a solution of the equations of motion.

    Parameters
    ----------
    grid : see `latlon_grid`.
    layers : layers of `sigma_edges`.
    seed : of the waves' phases, amplitudes and periods (2 to 12 days).
    surface_pressure : of the start, Pa, (lat, lon); 1013.25 hPa if None.

    Examples
    --------
    >>> from pushforward.simulators.atmosphere import latlon_grid
    >>> weather = Weather(latlon_grid(8, 16), layers=3, seed=0)
    >>> fluxes = weather(0.0, 3600.0)
    >>> tuple(fluxes.up.shape), float(fluxes.up[[0, -1]].abs().max())
    ((4, 8, 16), 0.0)
    """

    def __init__(
        self,
        grid: LatLonGrid,
        *,
        layers: int,
        seed: int,
        surface_pressure: Tensor | None = None,
        n_waves: int = 40,
    ):
        self.grid, self.sigma = grid, sigma_edges(layers)
        self.share = -self.sigma.diff()
        middle = (self.sigma[1:] + self.sigma[:-1]) / 2
        if surface_pressure is None:
            cells = (grid.n_lat, grid.n_lon)
            surface_pressure = torch.full(cells, SEA_LEVEL_PRESSURE, dtype=torch.float64)
        self.surface_pressure = surface_pressure
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, dtype=torch.float64)

        number = 1 + torch.floor(7 * random(n_waves))
        self.frequency = 2 * math.pi / (DAY * (2 + 10 * random(n_waves)))
        self.frequency *= torch.where(random(n_waves) < 0.8, 1.0, -1.0)  # most go east
        self.waves = {
            "number": number,
            "phase": 2 * math.pi * random(n_waves),
            "centre": (random(n_waves) - 0.5).sign() * torch.deg2rad(25 + 40 * random(n_waves)),
            "width": torch.deg2rad(12 + 10 * random(n_waves)),
            "tilt": 2 * (random(n_waves) - 0.5),
        }
        strength = (0.4 + random(n_waves)) * math.sqrt(2 / n_waves)
        aloft = 0.45 + 0.9 * (1 - middle).clamp(max=0.75)  # strongest near 250 hPa
        self.height = (1 - middle).clamp(max=0.75) / 0.75  # 0 at the surface, 1 from there on
        self.stream_weight = 14.0 * grid.radius * aloft[:, None] * strength / number.clamp(min=3)
        baroclinic = torch.cos(math.pi * middle)[:, None]  # ascent below outflow
        self.potential_weight = strength * (1.3e6 * baroclinic + 2.5e5)
        self._corner = self._waves(
            torch.deg2rad(grid.lon_edges[:-1]), torch.deg2rad(grid.lat_edges)
        )
        self._centre = self._waves(torch.deg2rad(grid.lon), torch.deg2rad(grid.lat))

    def initial_air_mass(self) -> Float[Tensor, "layer lat lon"]:
        """Air of the layers at the start, kg."""
        return self.share[:, None, None] * self.surface_pressure * self.grid.cell_area / GRAVITY

    def __call__(self, time: float, dt: float) -> MassFluxes:
        """Air that passes the faces from `time` to `time + dt`, seconds since a new year."""
        grid, middle = self.grid, time + dt / 2
        mass = (self.share * SEA_LEVEL_PRESSURE / GRAVITY * dt)[:, None, None]
        psi = self._field(self._corner, self.stream_weight, middle) + self._jets(middle)
        psi[:, [0, -1]] = psi[:, [0, -1]].mean(-1, keepdim=True)
        around = psi.roll(-1, -1)
        chi = self._field(self._centre, self.potential_weight, middle)
        dlat, dlon = (math.radians(s) for s in grid.spacing)
        cosine, edge = torch.deg2rad(grid.lat).cos(), torch.deg2rad(grid.lat_edges[1:-1]).cos()
        east = -around.diff(dim=-2) + (chi.roll(-1, -1) - chi) * (dlat / dlon / cosine)[:, None]
        north = around - psi
        north[:, 1:-1] += chi.diff(dim=-2) * (dlon / dlat * edge)[:, None]
        north[:, [0, -1]] = 0.0
        north = mass * north
        north[:, 1:-1] += dt * self._overturning(middle)
        return close_columns(mass * east, north, self.share)

    def velocity(self, fluxes: MassFluxes, air_mass: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """Eastward and northward wind at the cell centres, m/s, from what passed the faces."""
        grid = self.grid
        dlat, dlon = (math.radians(s) * grid.radius for s in grid.spacing)
        width = (dlon * torch.deg2rad(grid.lat).cos())[:, None]
        density = air_mass / grid.cell_area * dt
        east = (fluxes.east + fluxes.east.roll(1, -1)) / 2
        north = (fluxes.north[..., 1:, :] + fluxes.north[..., :-1, :]) / 2
        return east / (density * dlat), north / (density * width)

    def season(self, time: float) -> float:
        """−1 in the middle of January, 1 in the middle of July."""
        return -math.cos(2 * math.pi * (time / YEAR - 15 / 365.25))

    def disturbance(self, time: float) -> Float[Tensor, "lat lon"]:
        """The waves at the cell centres, about −1 to 1: where it is warm, moist and rainy."""
        weight = torch.ones(1, len(self.frequency), dtype=torch.float64) * (
            2 / math.sqrt(len(self.frequency))
        )
        return self._field(self._centre, weight, time)[0]

    def _waves(self, lon: Tensor, lat: Tensor) -> Tensor:
        """cos and sin parts of every wave at time 0, (2 waves, lat, lon)."""
        w = {name: values[:, None, None] for name, values in self.waves.items()}
        envelope = torch.exp(-(((lat[:, None] - w["centre"]) / w["width"]) ** 2) / 2)
        envelope = envelope * lat[:, None].cos().clamp(min=0) ** 2
        angle = w["number"] * lon + w["phase"] + w["tilt"] * lat[:, None]
        return torch.cat((envelope * angle.cos(), envelope * angle.sin()))

    def _field(self, parts: Tensor, weight: Tensor, time: float) -> Tensor:
        turn = self.frequency * time
        both = torch.cat((weight * turn.cos(), weight * turn.sin()), -1)
        return torch.tensordot(both, parts, 1)

    def _jets(self, time: float) -> Tensor:
        """Stream function of the zonal wind at the corners, (layer, lat + 1, 1), m²/s."""
        lat, season = torch.deg2rad(self.grid.lat_edges), self.season(time)
        wind = torch.zeros(len(self.height), len(lat), dtype=torch.float64)
        for side in (-1.0, 1.0):
            winter = 1 - 0.35 * side * season
            centre = math.radians(side * (38 + 4 * side * season))
            bump = torch.exp(-(((lat - centre) / 0.26) ** 2) / 2)
            wind += winter * (4 + 28 * self.height)[:, None] * bump
        wind -= 5 * (1 - 0.6 * self.height)[:, None] * torch.exp(-((lat / 0.25) ** 2) / 2)
        wind *= lat.cos().clamp(min=0)
        step = math.radians(self.grid.spacing[0]) * self.grid.radius
        trapezoid = (wind[:, 1:] + wind[:, :-1]) / 2 * step
        start = torch.zeros(len(wind), 1, dtype=torch.float64)
        return -torch.cat((start, trapezoid.cumsum(-1)), -1)[..., None]

    def _overturning(self, time: float) -> Tensor:
        """Northward mass flux of Hadley and Ferrel cells through inner faces, kg/s a column."""
        lat = torch.deg2rad(self.grid.lat_edges[1:-1])
        equator = math.radians(6) * self.season(time)
        cells = torch.sin(3 * (lat - equator)) * lat.cos() ** 2
        stream = 9e10 * cells[:, None] * torch.sin(math.pi * self.sigma**0.8)
        # What flows poleward aloft comes back below: differences of a stream function in height.
        return (-stream.diff(dim=-1) / self.grid.n_lon).T[..., None]
