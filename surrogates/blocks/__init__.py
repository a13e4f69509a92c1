"""Network parts that domains share."""

from pushforward.surrogates.blocks.interaction import Interaction, silu_mlp
from pushforward.surrogates.blocks.mlp import MLP
from pushforward.surrogates.blocks.seeded import seeded
from pushforward.surrogates.blocks.sphere_padding import pad_sphere
from pushforward.surrogates.blocks.spherical_harmonics import (
    SphericalHarmonicTransform,
    associated_legendre,
    latitude_quadrature,
)
from pushforward.surrogates.blocks.stochastic_depth import Drop, draw_drops_from
from pushforward.surrogates.blocks.surrogate import Surrogate, load_any

__all__ = [
    "MLP",
    "Drop",
    "Interaction",
    "SphericalHarmonicTransform",
    "Surrogate",
    "associated_legendre",
    "draw_drops_from",
    "latitude_quadrature",
    "load_any",
    "pad_sphere",
    "seeded",
    "silu_mlp",
]
