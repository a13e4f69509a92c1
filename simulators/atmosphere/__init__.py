"""Tracer transport on the sphere in mass-flux form."""

from pushforward.simulators.atmosphere.grid import EARTH_RADIUS, LatLonGrid, latlon_grid

__all__ = ["EARTH_RADIUS", "LatLonGrid", "latlon_grid"]
