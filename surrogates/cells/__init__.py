"""Single-cell perturbation: learned maps between unpaired populations, and reference rows."""

from pushforward.surrogates.cells.fitting import FittedMap, fit_monge_map
from pushforward.surrogates.cells.flow_fitting import FlowNetworkOptions, fit_flow
from pushforward.surrogates.cells.flow_objective import FlowObjective, FlowOptions
from pushforward.surrogates.cells.meta_flow import MetaFlowMatching
from pushforward.surrogates.cells.monge_map import MongeMap
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions
from pushforward.surrogates.cells.population_choice import ChoiceOptions, FittedTransport
from pushforward.surrogates.cells.population_map import PopulationMongeMap, fit_population_map
from pushforward.surrogates.cells.references import identity, mean_shift, pasted

__all__ = [
    "ChoiceOptions",
    "FittedMap",
    "FittedTransport",
    "FlowNetworkOptions",
    "FlowObjective",
    "FlowOptions",
    "MetaFlowMatching",
    "MongeMap",
    "MongeObjective",
    "MongeOptions",
    "PopulationMongeMap",
    "fit_flow",
    "fit_monge_map",
    "fit_population_map",
    "identity",
    "mean_shift",
    "pasted",
]
