if not __name__.startswith("pushforward."):
    raise ImportError(
        f"imported as {__name__!r}, which would make a second copy of every class. "
        "Import 'pushforward.datasets' instead, or leave the source folder if you meant "
        "another library of that name."
    )

from pushforward.datasets.atmosphere import CarbonData, CarbonWindow, open_carbon
from pushforward.datasets.cells import CellData, CellFeatures, CellSplit, open_cells
from pushforward.datasets.channel import ChannelData, open_channel
from pushforward.datasets.turbulence import TurbulenceWindows, open_turbulence

__all__ = [
    "CarbonData",
    "CarbonWindow",
    "CellData",
    "CellFeatures",
    "CellSplit",
    "ChannelData",
    "TurbulenceWindows",
    "open_carbon",
    "open_cells",
    "open_channel",
    "open_turbulence",
]
