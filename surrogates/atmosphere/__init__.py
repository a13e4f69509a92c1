"""Learned models of tracer transport in the atmosphere, and what keeps their mass right."""

from pushforward.surrogates.atmosphere.emulator import NETWORKS, CarbonEmulator, with_fixer
from pushforward.surrogates.atmosphere.fitting import fit_emulator
from pushforward.surrogates.atmosphere.graphcast import GraphCast
from pushforward.surrogates.atmosphere.mass_fixer import MassFixer
from pushforward.surrogates.atmosphere.network import GridNetwork
from pushforward.surrogates.atmosphere.objective import SpectralLoss, TransportObjective
from pushforward.surrogates.atmosphere.sfno import SFNO
from pushforward.surrogates.atmosphere.swin import SwinTransformer
from pushforward.surrogates.atmosphere.unet import UNet

__all__ = [
    "NETWORKS",
    "SFNO",
    "CarbonEmulator",
    "GraphCast",
    "GridNetwork",
    "MassFixer",
    "SpectralLoss",
    "SwinTransformer",
    "TransportObjective",
    "UNet",
    "fit_emulator",
    "with_fixer",
]
