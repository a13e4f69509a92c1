"""A made-up planet's surface and the CO2 it exchanges with the air, from a seed."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.atmosphere.weather import DAY, YEAR

__all__ = ["SOLAR_CONSTANT", "Surface", "cosine_zenith"]

SOLAR_CONSTANT = 1361.0  # W/m²
PGC_A_YEAR = 1e12 * 44.009 / 12.011 / YEAR  # kg CO2/s


def cosine_zenith(grid: LatLonGrid, time: float) -> Float[Tensor, "lat lon"]:
    """Cosine of the sun's zenith angle, 0 at night; `time` in s since a new year, UTC."""
    declination = math.radians(-23.44) * math.cos(2 * math.pi * (time / YEAR + 10 / 365.25))
    hour = 2 * math.pi * (time % DAY) / DAY - math.pi + torch.deg2rad(grid.lon)
    lat = torch.deg2rad(grid.lat)[:, None]
    overhead = lat.sin() * math.sin(declination) + lat.cos() * math.cos(declination) * hour.cos()
    return overhead.clamp(min=0)


@dataclass(frozen=True)
class Surface:
    """Land, mountains and the annual cycle of the exchange of CO2.

    Parameters
    ----------
    land : fraction of land, 0 to 1, (lat, lon).
    orography : surface geopotential, m²/s².
    anthropogenic : kg CO2 m⁻² s⁻¹, constant.
    ocean : kg CO2 m⁻² s⁻¹, constant.
    respiration : kg CO2 m⁻² s⁻¹ of the annual mean, which closes the land's balance.
    """

    land: Float[Tensor, "lat lon"]
    orography: Float[Tensor, "lat lon"]
    anthropogenic: Float[Tensor, "lat lon"]
    ocean: Float[Tensor, "lat lon"]
    respiration: Float[Tensor, "lat lon"]

    @classmethod
    def random(cls, grid: LatLonGrid, *, seed: int) -> "Surface":
        """Continents, mountains and sources from a seed.

        Land takes up in daylight of the growing season and gives back all year, with a sink of
        2 PgC a year left over; 10 PgC a year are emitted from places on land, most of them in the
        north; the ocean takes up 2.5 PgC a year.
        """
        generator = torch.Generator().manual_seed(seed)
        lon, lat = torch.deg2rad(grid.lon), torch.deg2rad(grid.lat)[:, None]
        area = grid.cell_area

        def bumps(count: int, width: float, north: float) -> Tensor:
            total = torch.zeros(grid.n_lat, grid.n_lon, dtype=torch.float64)
            for _ in range(count):
                x, y, z = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
                centre, at = 2 * math.pi * x, math.asin(max(-0.95, min(0.95, 2 * y - 1 + north)))
                near = lat.sin() * math.sin(at) + lat.cos() * math.cos(at) * (lon - centre).cos()
                total += (0.5 + z) * torch.exp((near - 1) / width**2)
            return total

        height = bumps(14, 0.45, 0.25)
        threshold = float(height.flatten().quantile(0.64))
        land = torch.sigmoid(8 * (height - threshold))
        orography = 9.80665 * 1800 * land * bumps(10, 0.2, 0.1).clamp(max=1.0)
        cities = (land * bumps(25, 0.15, 0.5) + 0.01 * land) * (lat.cos() > 0.35)
        anthropogenic = 10 * PGC_A_YEAR * cities / (cities * area).sum()
        pattern = (1 - land) * (0.35 - (2.2 * lat).sin() ** 2)
        pattern = pattern - (1 - land) * (pattern * area).sum() / ((1 - land) * area).sum()
        uptake = -2.5 * PGC_A_YEAR * (1 - land) / ((1 - land) * area).sum()
        ocean = uptake + 2e-9 * pattern
        bare = cls(land, orography, anthropogenic, ocean, torch.zeros_like(land))
        days = torch.arange(0.0, 365.25, 365.25 / 24).tolist()
        hours = (0.125, 0.375, 0.625, 0.875)
        samples = [bare.photosynthesis(grid, DAY * (int(d) + h)) for d in days for h in hours]
        mean = torch.stack(samples).mean(0)
        sink = 2 * PGC_A_YEAR * mean / (mean * area).sum()
        return cls(land, orography, anthropogenic, ocean, mean - sink)

    def photosynthesis(self, grid: LatLonGrid, time: float) -> Float[Tensor, "lat lon"]:
        """What the land takes up, kg CO2 m⁻² s⁻¹, positive."""
        lat = torch.deg2rad(grid.lat)[:, None]
        summer = -math.cos(2 * math.pi * (time / YEAR - 20 / 365.25))  # 1 in July
        growing = (0.5 + 0.5 * summer * (1.6 * lat).sin()).clamp(0, 1)
        return 4e-7 * self.land * growing * cosine_zenith(grid, time) * (lat.cos() > 0.3)

    def land_flux(self, grid: LatLonGrid, time: float) -> Float[Tensor, "lat lon"]:
        """Respiration less photosynthesis, kg CO2 m⁻² s⁻¹, positive upward."""
        lat = torch.deg2rad(grid.lat)[:, None]
        summer = -math.cos(2 * math.pi * (time / YEAR - 40 / 365.25))
        warmth = 1 + 0.4 * summer * lat.sin()
        return self.respiration * warmth - self.photosynthesis(grid, time)
