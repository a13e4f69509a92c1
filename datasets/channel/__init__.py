"""Wall turbulence: reference profiles and spectra of the literature."""

from pushforward.datasets.channel.reference import read_mkm_profiles, read_mkm_spectra

__all__ = ["read_mkm_profiles", "read_mkm_spectra"]
