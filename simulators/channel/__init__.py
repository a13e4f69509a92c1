"""Wall turbulence: direct and large-eddy simulation of the flow between two plates."""

from pushforward.simulators.channel.budget import EnergyBudget, q_criterion
from pushforward.simulators.channel.chebyshev import Chebyshev
from pushforward.simulators.channel.checkpoint import (
    advance_with_checkpoints,
    load_state,
    save_state,
)
from pushforward.simulators.channel.closures import (
    WALE,
    DynamicSmagorinsky,
    VanDriestSmagorinsky,
)
from pushforward.simulators.channel.distributions import VelocityDistributions
from pushforward.simulators.channel.filtering import CoarseView, FilterName, resample_state
from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.channel.orr_sommerfeld import OrrSommerfeldMode, orr_sommerfeld
from pushforward.simulators.channel.projection import state_from_points
from pushforward.simulators.channel.start import perturbed
from pushforward.simulators.channel.statistics import ChannelStatistics
from pushforward.simulators.channel.stretched import PUBLISHED_STRETCHING, stretched_points

__all__ = [
    "PUBLISHED_STRETCHING",
    "WALE",
    "ChannelFlow",
    "ChannelState",
    "ChannelStatistics",
    "Chebyshev",
    "CoarseView",
    "DynamicSmagorinsky",
    "EnergyBudget",
    "FilterName",
    "OrrSommerfeldMode",
    "VanDriestSmagorinsky",
    "VelocityDistributions",
    "advance_with_checkpoints",
    "load_state",
    "orr_sommerfeld",
    "perturbed",
    "q_criterion",
    "resample_state",
    "save_state",
    "state_from_points",
    "stretched_points",
]
