"""Learned models of tracer transport in the atmosphere, and what keeps their mass right."""

from pushforward.surrogates.atmosphere.mass_fixer import MassFixer

__all__ = ["MassFixer"]
