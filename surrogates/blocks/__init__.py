"""Network parts that domains share."""

from pushforward.surrogates.blocks.mlp import MLP
from pushforward.surrogates.blocks.surrogate import Surrogate

__all__ = ["MLP", "Surrogate"]
