"""Single-cell perturbation: learned maps between unpaired populations, and reference rows."""

from pushforward.surrogates.cells.fitting import FittedMap, fit_monge_map
from pushforward.surrogates.cells.monge_map import MongeMap
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions
from pushforward.surrogates.cells.references import identity, mean_shift, pasted

__all__ = [
    "FittedMap",
    "MongeMap",
    "MongeObjective",
    "MongeOptions",
    "fit_monge_map",
    "identity",
    "mean_shift",
    "pasted",
]
