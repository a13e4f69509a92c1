"""Wall turbulence: a generator of filtered flows, readers of them and of reference statistics."""

from pushforward.datasets.channel.data import ChannelData
from pushforward.datasets.channel.description import describe_channel
from pushforward.datasets.channel.forecasts import (
    ChannelForecasts,
    open_channel_forecasts,
    write_channel_forecasts,
)
from pushforward.datasets.channel.generator import generate_channel
from pushforward.datasets.channel.literature import (
    read_del_alamo_profiles,
    read_filtered_profiles,
)
from pushforward.datasets.channel.reader import open_channel
from pushforward.datasets.channel.reference import (
    read_mkm_budget,
    read_mkm_correlations,
    read_mkm_profiles,
    read_mkm_spectra,
)
from pushforward.datasets.channel.simulation import CHANNEL_SIMULATIONS, ChannelSimulation
from pushforward.datasets.channel.storage import write_channel

__all__ = [
    "CHANNEL_SIMULATIONS",
    "ChannelData",
    "ChannelForecasts",
    "ChannelSimulation",
    "describe_channel",
    "generate_channel",
    "open_channel",
    "open_channel_forecasts",
    "read_del_alamo_profiles",
    "read_filtered_profiles",
    "read_mkm_budget",
    "read_mkm_correlations",
    "read_mkm_profiles",
    "read_mkm_spectra",
    "write_channel",
    "write_channel_forecasts",
]
