"""Tracer transport on the sphere in mass-flux form."""

from pushforward.simulators.atmosphere.flows import deformational_flow, solid_body_rotation
from pushforward.simulators.atmosphere.fluxes import (
    MassFluxes,
    SweptAreas,
    Winds,
    close_columns,
    from_stream_function,
)
from pushforward.simulators.atmosphere.grid import EARTH_RADIUS, LatLonGrid, latlon_grid
from pushforward.simulators.atmosphere.schemes import SCHEMES
from pushforward.simulators.atmosphere.state import TracerState
from pushforward.simulators.atmosphere.transport import TracerTransport

__all__ = [
    "EARTH_RADIUS",
    "SCHEMES",
    "LatLonGrid",
    "MassFluxes",
    "SweptAreas",
    "TracerState",
    "TracerTransport",
    "Winds",
    "close_columns",
    "deformational_flow",
    "from_stream_function",
    "latlon_grid",
    "solid_body_rotation",
]
