"""Transport, mixing and surface exchange of CO2 on the made-up planet: one solver object."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.carbon_cycle import (
    SOLAR_CONSTANT,
    Surface,
    cosine_zenith,
)
from pushforward.simulators.atmosphere.columns import add_surface_mass, mix_columns
from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.atmosphere.schemes import SchemeName
from pushforward.simulators.atmosphere.state import TracerState
from pushforward.simulators.atmosphere.transport import TracerTransport
from pushforward.simulators.atmosphere.weather import GRAVITY, SEA_LEVEL_PRESSURE, Weather

__all__ = ["CARBON_PER_AIR", "CarbonModel", "Meteorology", "SurfaceFluxes"]

CARBON_PER_AIR = 44.009 / 28.9652  # kg CO2 per kg of air at a mole fraction of 1
GAS_CONSTANT = 287.05  # J/(kg K), dry air


class SurfaceFluxes(NamedTuple):
    """Upward fluxes of CO2, kg m⁻² s⁻¹, (lat, lon) each."""

    land: Tensor
    ocean: Tensor
    anthropogenic: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.land + self.ocean + self.anthropogenic


class Meteorology(NamedTuple):
    """The air's state at one time; layers from the surface up."""

    pressure: Float[Tensor, "edges lat lon"]  # Pa
    height: Float[Tensor, "edges lat lon"]  # geopotential height, m
    temperature: Float[Tensor, "layer lat lon"]  # K
    humidity: Float[Tensor, "layer lat lon"]  # kg/kg
    u: Float[Tensor, "layer lat lon"]  # m/s
    v: Float[Tensor, "layer lat lon"]  # m/s
    boundary_layer: Float[Tensor, "lat lon"]  # m
    incident_solar: Float[Tensor, "lat lon"]  # J/m² of the hour before


class CarbonModel:
    """CO2 in `Weather`, with the sources of `Surface`, diffusion and convection.

    A step is half of the sources, transport, mixing in the columns, half of the sources. Time 0
    is the start of a year; the state's tracer is kg of CO2.

    Parameters
    ----------
    grid : see `latlon_grid`.
    layers : of `sigma_edges`.
    seed : of winds and surface.
    dt : step, s; limited by winds of some 60 m/s along a meridian's cell, not by the poles.
    scheme : of `TracerTransport`.

    Examples
    --------
    >>> from pushforward.simulators.atmosphere import latlon_grid
    >>> model = CarbonModel(latlon_grid(8, 16), layers=3, seed=0, dt=10800)
    >>> state = model.advance(model.initial(), 4)
    >>> ppm = state.mixing_ratio / CARBON_PER_AIR * 1e6
    >>> bool(((ppm > 390) & (ppm < 420)).all())
    True
    """

    def __init__(
        self,
        grid: LatLonGrid,
        *,
        layers: int,
        seed: int,
        dt: float | int,
        scheme: SchemeName = "moments",
    ):
        self.grid = grid
        self.surface = Surface.random(grid, seed=seed)
        pressure = SEA_LEVEL_PRESSURE * torch.exp(-self.surface.orography / (GAS_CONSTANT * 270))
        self.weather = Weather(grid, layers=layers, seed=seed, surface_pressure=pressure)
        self.transport = TracerTransport(grid, scheme=scheme, dt=dt)

    @property
    def dt(self) -> float:
        """Time step, s."""
        return self.transport.dt

    def initial(self, *, ppm: float | int = 400.0, time: float | int = 0.0) -> TracerState:
        """Well-mixed CO2 of so many parts per million."""
        air = self.weather.initial_air_mass()
        uniform = torch.full((1, *air.shape), ppm * 1e-6 * CARBON_PER_AIR, dtype=torch.float64)
        return self.transport.initial(uniform, air_mass=air, time=float(time))

    def restart(self, air_mass: Tensor, mixing_ratio: Tensor, *, time: float | int) -> TracerState:
        """A state from air mass (kg) and CO2 (kg/kg), each (layer, lat, lon), of some data."""
        return self.transport.initial(
            mixing_ratio.to(torch.float64).unsqueeze(-4), air_mass=air_mass, time=float(time)
        )

    def sources(self, time: float) -> SurfaceFluxes:
        """Fluxes at one time."""
        land = self.surface.land_flux(self.grid, time)
        return SurfaceFluxes(land, self.surface.ocean, self.surface.anthropogenic)

    def step(self, state: TracerState) -> TracerState:
        """One time step."""
        middle = state.time + self.dt / 2
        half = self.sources(middle).total * self.grid.cell_area * (self.dt / 2)
        half = half.expand(*state.tracer_mass.shape[:-3], *half.shape)
        state = self.transport.advance(add_surface_mass(state, half), 1, self.weather)
        exchange, updraft = self.mixing(state.air_mass, middle)
        state = mix_columns(state, exchange=exchange, updraft=updraft)
        return add_surface_mass(state, half)

    def advance(self, state: TracerState, n_steps: int) -> TracerState:
        """`n_steps` steps."""
        for _ in range(n_steps):
            state = self.step(state)
        return state

    def mixing(self, air_mass: Tensor, time: float) -> tuple[Tensor, Tensor]:
        """Exchange by turbulence and updraft of convection between layers, kg of air a step."""
        sigma = self.weather.sigma[1:-1, None, None]
        height = -7500 * sigma.log()
        top = self.boundary_layer(time)
        inside = (1 - height / top).clamp(min=0)
        diffusivity = 0.5 + 0.24 * height * inside**2  # K-profile, friction velocity 0.6 m/s
        middle = -7500 * ((self.weather.sigma[1:] + self.weather.sigma[:-1]) / 2).log()
        distance = middle.diff()[:, None, None]
        density = SEA_LEVEL_PRESSURE * sigma / (GAS_CONSTANT * 270)
        exchange = density * diffusivity * self.grid.cell_area / distance * self.dt
        lat = torch.deg2rad(self.grid.lat)[:, None]
        rain_belt = math.radians(8) * self.weather.season(time)
        activity = torch.exp(-(((lat - rain_belt) / 0.25) ** 2) / 2)
        summer = (0.5 + 0.5 * self.weather.season(time) * (2 * lat).sin()) * lat.cos() ** 2
        activity = activity + 0.5 * summer * cosine_zenith(self.grid, time) * self.surface.land
        activity = activity * (0.4 + self.weather.disturbance(time)).clamp(0, 1)
        profile = torch.sin(math.pi * ((1 - sigma) / 0.85).clamp(max=1))
        updraft = 0.012 * self.dt * self.grid.cell_area * activity * profile
        held = torch.minimum(air_mass[..., 1:, :, :], air_mass[..., :-1, :, :])
        return exchange.expand_as(held), torch.minimum(updraft, 0.4 * held)

    def boundary_layer(self, time: float) -> Float[Tensor, "lat lon"]:
        """Height of the mixed layer, m: deep over land in the afternoon."""
        sun = cosine_zenith(self.grid, time - 2 * 3600)
        land = self.surface.land
        return 250 + 450 * (1 - land) + 1700 * land * sun

    def meteorology(self, state: TracerState) -> Meteorology:
        """What a data set stores beside CO2; temperature and humidity are diagnostic."""
        time, sigma = state.time, self.weather.sigma
        lat = torch.deg2rad(self.grid.lat)[:, None]
        surface_pressure = state.air_mass.sum(-3) * GRAVITY / self.grid.cell_area
        pressure = sigma[:, None, None] * surface_pressure
        wave = self.weather.disturbance(time)
        warm = 300 - 42 * (lat - 0.12 * self.weather.season(time)).sin() ** 2
        ground = warm - 0.0065 * self.surface.orography / GRAVITY + 4 * wave
        middle = (sigma[1:] + sigma[:-1]) / 2
        fall = 6.5 * -7.5 * middle.log()[:, None, None]
        temperature = (ground - fall).clamp(min=208)
        thick = pressure[:-1].log() - pressure[1:].clamp(min=100).log()
        thickness = GAS_CONSTANT * temperature / GRAVITY * thick
        start = (self.surface.orography / GRAVITY).unsqueeze(0)
        height = torch.cat((start, start + thickness.cumsum(0)))
        moist = 0.017 * torch.exp(-((lat / 0.75) ** 2)) * (1 + 0.25 * wave)
        humidity = (moist * middle[:, None, None] ** 3).clamp(min=2e-6)
        second = self.weather(time - 0.5, 1.0)
        u, v = self.weather.velocity(second, state.air_mass, 1.0)
        hour = torch.stack(
            [cosine_zenith(self.grid, time - 3600 * (k + 0.5) / 6) for k in range(6)]
        )
        return Meteorology(
            pressure,
            height,
            temperature,
            humidity,
            u,
            v,
            self.boundary_layer(time),
            SOLAR_CONSTANT * 3600 * hour.mean(0),
        )
