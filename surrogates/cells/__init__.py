"""Single-cell perturbation: learned maps between unpaired populations, and reference rows."""

from pushforward.surrogates.cells.conditional_fitting import ConditionalRecipe, fit_conditional_map
from pushforward.surrogates.cells.conditional_map import ConditionalMongeMap
from pushforward.surrogates.cells.conditions import (
    Chunk,
    Condition,
    Dose,
    Drugs,
    Label,
    Number,
    Vector,
)
from pushforward.surrogates.cells.costs import (
    ElasticCost,
    PNormCost,
    displacement_sparsity,
    soft_threshold,
)
from pushforward.surrogates.cells.descriptors import DescriptorTable, read_descriptors
from pushforward.surrogates.cells.fitting import FittedMap, fit_monge_map
from pushforward.surrogates.cells.flow_fitting import FlowNetworkOptions, fit_flow
from pushforward.surrogates.cells.flow_objective import FlowObjective, FlowOptions
from pushforward.surrogates.cells.flow_paths import SnapshotPaths, TrajectoryOptions
from pushforward.surrogates.cells.flow_trajectory import TrajectoryFlow
from pushforward.surrogates.cells.flow_trajectory_fitting import fit_trajectory
from pushforward.surrogates.cells.meta_flow import MetaFlowMatching
from pushforward.surrogates.cells.mode_of_action import mode_of_action
from pushforward.surrogates.cells.monge_map import MongeMap
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions
from pushforward.surrogates.cells.population_calibration import Calibration, CalibrationSettings
from pushforward.surrogates.cells.population_choice import ChoiceOptions, FittedTransport
from pushforward.surrogates.cells.population_map import PopulationMongeMap, fit_population_map
from pushforward.surrogates.cells.references import identity, mean_shift, pasted

__all__ = [
    "Calibration",
    "CalibrationSettings",
    "ChoiceOptions",
    "Chunk",
    "Condition",
    "ConditionalMongeMap",
    "ConditionalRecipe",
    "DescriptorTable",
    "Dose",
    "Drugs",
    "ElasticCost",
    "FittedMap",
    "FittedTransport",
    "FlowNetworkOptions",
    "FlowObjective",
    "FlowOptions",
    "Label",
    "MetaFlowMatching",
    "MongeMap",
    "MongeObjective",
    "MongeOptions",
    "Number",
    "PNormCost",
    "PopulationMongeMap",
    "SnapshotPaths",
    "TrajectoryFlow",
    "TrajectoryOptions",
    "Vector",
    "displacement_sparsity",
    "fit_conditional_map",
    "fit_flow",
    "fit_monge_map",
    "fit_population_map",
    "fit_trajectory",
    "identity",
    "mean_shift",
    "mode_of_action",
    "pasted",
    "read_descriptors",
    "soft_threshold",
]
