"""Two-dimensional turbulence: a generator, readers of three layouts, windows for training."""

from pushforward.datasets.turbulence.description import describe_turbulence
from pushforward.datasets.turbulence.forecasts import (
    TurbulenceForecasts,
    open_turbulence_forecasts,
    write_flows,
    write_turbulence_forecasts,
)
from pushforward.datasets.turbulence.generator import simulate_turbulence
from pushforward.datasets.turbulence.reader import open_turbulence, turbulence_layout
from pushforward.datasets.turbulence.simulation import (
    TURBULENCE_SIMULATIONS,
    TurbulenceSimulation,
)
from pushforward.datasets.turbulence.windows import TurbulenceWindows, velocity_tensor
from pushforward.datasets.turbulence.writers import Layout

__all__ = [
    "TURBULENCE_SIMULATIONS",
    "Layout",
    "TurbulenceForecasts",
    "TurbulenceSimulation",
    "TurbulenceWindows",
    "describe_turbulence",
    "open_turbulence",
    "open_turbulence_forecasts",
    "simulate_turbulence",
    "turbulence_layout",
    "velocity_tensor",
    "write_flows",
    "write_turbulence_forecasts",
]
