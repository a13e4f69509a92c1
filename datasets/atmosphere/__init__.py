"""CO2 in the atmosphere: CarbonBench's schema, CarbonTracker's files, regridding, stations."""

from pushforward.datasets.atmosphere.budget import budget_residual, close_budget
from pushforward.datasets.atmosphere.carbontracker import build_carbontracker
from pushforward.datasets.atmosphere.data import CarbonData
from pushforward.datasets.atmosphere.forecasts import (
    CarbonForecasts,
    open_carbon_forecasts,
    write_carbon_forecasts,
)
from pushforward.datasets.atmosphere.layers import aggregate_layers
from pushforward.datasets.atmosphere.reader import open_carbon
from pushforward.datasets.atmosphere.regrid import bilinear, conservative
from pushforward.datasets.atmosphere.stations import Station, open_stations
from pushforward.datasets.atmosphere.statistics import CarbonStatistics, carbon_statistics
from pushforward.datasets.atmosphere.units import CO2_PER_AIR, conversion
from pushforward.datasets.atmosphere.variables import LAYERS, UNITS_2D, UNITS_3D, input_names
from pushforward.datasets.atmosphere.window import CarbonWindow
from pushforward.datasets.atmosphere.writer import make_dataset, write_carbon

__all__ = [
    "CO2_PER_AIR",
    "LAYERS",
    "UNITS_2D",
    "UNITS_3D",
    "CarbonData",
    "CarbonForecasts",
    "CarbonStatistics",
    "CarbonWindow",
    "Station",
    "aggregate_layers",
    "bilinear",
    "budget_residual",
    "build_carbontracker",
    "carbon_statistics",
    "close_budget",
    "conservative",
    "conversion",
    "input_names",
    "make_dataset",
    "open_carbon",
    "open_carbon_forecasts",
    "open_stations",
    "write_carbon",
    "write_carbon_forecasts",
]
