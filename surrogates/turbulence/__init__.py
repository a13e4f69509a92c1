"""Learned models of coarse 2-D turbulence: interpolation, temporal stencil, correction."""

from pushforward.surrogates.turbulence.fitting import fit_rollouts
from pushforward.surrogates.turbulence.flow import CoarseFlow
from pushforward.surrogates.turbulence.hippo import HippoMemory, hippo_features, hippo_matrices
from pushforward.surrogates.turbulence.learned_correction import LearnedCorrection
from pushforward.surrogates.turbulence.learned_interpolation import LearnedInterpolation
from pushforward.surrogates.turbulence.objective import RolloutObjective, Stage
from pushforward.surrogates.turbulence.stencil import NullSpaceStencil, face_stencils
from pushforward.surrogates.turbulence.temporal_stencil import TemporalStencil
from pushforward.surrogates.turbulence.tower import Precision

__all__ = [
    "CoarseFlow",
    "HippoMemory",
    "LearnedCorrection",
    "LearnedInterpolation",
    "NullSpaceStencil",
    "Precision",
    "RolloutObjective",
    "Stage",
    "TemporalStencil",
    "face_stencils",
    "fit_rollouts",
    "hippo_features",
    "hippo_matrices",
]
