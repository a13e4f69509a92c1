"""Learned models of filtered channel flow, and the constraints that keep them physical."""

from pushforward.surrogates.channel.constraints import ChannelConstraints
from pushforward.surrogates.channel.convection import convect, convection
from pushforward.surrogates.channel.emulator import NETWORKS, ChannelEmulator, Rollout, Target
from pushforward.surrogates.channel.factorized_attention import FactorizedAttention
from pushforward.surrogates.channel.fitting import fit_emulator
from pushforward.surrogates.channel.fourier import FNO, IFNO, WallConvolution
from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.ifactformer import IFactFormer
from pushforward.surrogates.channel.kernel_analysis import (
    KernelTrace,
    block_gradients,
    spectral_radius,
    toeplitz_distance,
    trace_kernels,
)
from pushforward.surrogates.channel.network import ChannelNetwork
from pushforward.surrogates.channel.objective import StepObjective
from pushforward.surrogates.channel.precision import Precision
from pushforward.surrogates.channel.projection import DivergenceFree, divergence
from pushforward.surrogates.channel.reflections import reflect, reflect_y, reflect_z

__all__ = [
    "FNO",
    "IFNO",
    "NETWORKS",
    "ChannelConstraints",
    "ChannelEmulator",
    "ChannelGrid",
    "ChannelNetwork",
    "DivergenceFree",
    "FactorizedAttention",
    "IFactFormer",
    "KernelTrace",
    "Precision",
    "Rollout",
    "StepObjective",
    "Target",
    "WallConvolution",
    "block_gradients",
    "convect",
    "convection",
    "divergence",
    "fit_emulator",
    "reflect",
    "reflect_y",
    "reflect_z",
    "spectral_radius",
    "toeplitz_distance",
    "trace_kernels",
]
