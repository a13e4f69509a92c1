"""Flow matching: path, coupling, objective, sampler.

Four words, each an object of its own, that combine freely. Time runs from 0 (source) to 1 (data).

- a *path* joins x0 to x1 and says what the conditional velocity is,
- a *coupling* says which x0 goes with which x1,
- an *objective* makes a loss of both and a network,
- a *sampler* carries the source to the data along a learned (or exact) field.
"""

from ._affine import AffinePath as AffinePath
from ._affine import SchedulePath as SchedulePath
from ._assignment import optimal_assignment as optimal_assignment
from ._bellman import bellman_time_grid as bellman_time_grid
from ._bellman import shortest_steps as shortest_steps
from ._bellman import step_costs as step_costs
from ._bellman import straightening_pairs as straightening_pairs
from ._blockwise import BlockwiseField as BlockwiseField
from ._bridges import BrownianBridgePath as BrownianBridgePath
from ._bridges import ConstantNoisePath as ConstantNoisePath
from ._bridges import StochasticInterpolant as StochasticInterpolant
from ._coupling import Coupling as Coupling
from ._coupling import IndependentCoupling as IndependentCoupling
from ._coupling import PairedCoupling as PairedCoupling
from ._coupling import Pairs as Pairs
from ._gibbs import GibbsCoupling as GibbsCoupling
from ._grid import edm_time_grid as edm_time_grid
from ._grid import time_grid as time_grid
from ._interpolant_loss import InterpolantLoss as InterpolantLoss
from ._kinetic import KineticOptimalPath as KineticOptimalPath
from ._kinetic import empirical_mmse as empirical_mmse
from ._kinetic import kinetic_energy as kinetic_energy
from ._latent import LatentSampler as LatentSampler
from ._latent import PCALatent as PCALatent
from ._matching import FlowMatchingLoss as FlowMatchingLoss
from ._matching import ScoreMatchingLoss as ScoreMatchingLoss
from ._meanflow import MeanFlowLoss as MeanFlowLoss
from ._meanflow import MeanFlowSampler as MeanFlowSampler
from ._metrics import energy_distance as energy_distance
from ._metrics import frechet_distance as frechet_distance
from ._metrics import mmd as mmd
from ._minibatch import MinibatchOTCoupling as MinibatchOTCoupling
from ._mixture import GaussianMixture as GaussianMixture
from ._mixture import GaussianMixtureField as GaussianMixtureField
from ._nearest import NearestNoiseCoupling as NearestNoiseCoupling
from ._ode import ODESampler as ODESampler
from ._path import Path as Path
from ._path import PathSample as PathSample
from ._poisson import PoissonPath as PoissonPath
from ._refiner import RefinedSampler as RefinedSampler
from ._refiner import RefinerLoss as RefinerLoss
from ._reflow import DistillationLoss as DistillationLoss
from ._reflow import StraighteningLoss as StraighteningLoss
from ._reflow import reflow as reflow
from ._reschedule import RescheduledField as RescheduledField
from ._reschedule import ReversedTimeField as ReversedTimeField
from ._schedules import CosinePath as CosinePath
from ._schedules import LinearPath as LinearPath
from ._schedules import LinearVPPath as LinearVPPath
from ._schedules import PolynomialPath as PolynomialPath
from ._schedules import TargetPath as TargetPath
from ._schedules import VPPath as VPPath
from ._sde import SDESampler as SDESampler
from ._sde import score_from_velocity as score_from_velocity
from ._solution import SamplingError as SamplingError
from ._solution import Solution as Solution
from ._time import draw_times as draw_times
from ._trajectory_metrics import PathStatistics as PathStatistics
from ._trajectory_metrics import first_order_defect as first_order_defect
from ._trajectory_metrics import normalized_path_energy as normalized_path_energy
from ._trajectory_metrics import path_energy as path_energy
from ._trajectory_metrics import path_statistics as path_statistics
from ._trajectory_metrics import straightness as straightness
from ._trajectory_metrics import transport_cost as transport_cost
from ._transition import TransitionMatchingLoss as TransitionMatchingLoss
from ._transition import TransitionSampler as TransitionSampler

__all__ = [
    "AffinePath",
    "BlockwiseField",
    "BrownianBridgePath",
    "ConstantNoisePath",
    "CosinePath",
    "Coupling",
    "DistillationLoss",
    "FlowMatchingLoss",
    "GaussianMixture",
    "GaussianMixtureField",
    "GibbsCoupling",
    "IndependentCoupling",
    "InterpolantLoss",
    "KineticOptimalPath",
    "LatentSampler",
    "LinearPath",
    "LinearVPPath",
    "MeanFlowLoss",
    "MeanFlowSampler",
    "MinibatchOTCoupling",
    "NearestNoiseCoupling",
    "ODESampler",
    "PCALatent",
    "PairedCoupling",
    "Pairs",
    "Path",
    "PathSample",
    "PathStatistics",
    "PoissonPath",
    "PolynomialPath",
    "RefinedSampler",
    "RefinerLoss",
    "RescheduledField",
    "ReversedTimeField",
    "SDESampler",
    "SamplingError",
    "SchedulePath",
    "ScoreMatchingLoss",
    "Solution",
    "StochasticInterpolant",
    "StraighteningLoss",
    "TargetPath",
    "TransitionMatchingLoss",
    "TransitionSampler",
    "VPPath",
    "bellman_time_grid",
    "draw_times",
    "edm_time_grid",
    "empirical_mmse",
    "energy_distance",
    "first_order_defect",
    "frechet_distance",
    "kinetic_energy",
    "mmd",
    "normalized_path_energy",
    "optimal_assignment",
    "path_energy",
    "path_statistics",
    "reflow",
    "score_from_velocity",
    "shortest_steps",
    "step_costs",
    "straightening_pairs",
    "straightness",
    "time_grid",
    "transport_cost",
]
