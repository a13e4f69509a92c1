"""Tracer transport on the sphere in mass-flux form."""

from pushforward.simulators.atmosphere import dcmip, tracers
from pushforward.simulators.atmosphere.carbon import (
    CARBON_SIMULATIONS,
    VARIABLES_2D,
    VARIABLES_3D,
    CarbonSimulation,
    simulation_of,
)
from pushforward.simulators.atmosphere.carbon_cycle import Surface
from pushforward.simulators.atmosphere.carbon_model import CARBON_PER_AIR, CarbonModel
from pushforward.simulators.atmosphere.columns import (
    add_surface_mass,
    convect,
    diffuse,
    mix_columns,
)
from pushforward.simulators.atmosphere.flows import (
    deformational_flow,
    divergent_flow,
    moving_vortices,
    solid_body_rotation,
)
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
from pushforward.simulators.atmosphere.weather import Weather, sigma_edges

__all__ = [
    "CARBON_PER_AIR",
    "CARBON_SIMULATIONS",
    "EARTH_RADIUS",
    "SCHEMES",
    "VARIABLES_2D",
    "VARIABLES_3D",
    "CarbonModel",
    "CarbonSimulation",
    "LatLonGrid",
    "MassFluxes",
    "Surface",
    "SweptAreas",
    "TracerState",
    "TracerTransport",
    "Weather",
    "Winds",
    "add_surface_mass",
    "close_columns",
    "convect",
    "dcmip",
    "deformational_flow",
    "diffuse",
    "divergent_flow",
    "from_stream_function",
    "latlon_grid",
    "mix_columns",
    "moving_vortices",
    "sigma_edges",
    "simulation_of",
    "solid_body_rotation",
    "tracers",
]
