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
from ._matching import FlowMatchingLoss as FlowMatchingLoss
from ._matching import ScoreMatchingLoss as ScoreMatchingLoss
from ._meanflow import MeanFlowLoss as MeanFlowLoss
from ._meanflow import MeanFlowSampler as MeanFlowSampler
from ._minibatch import MinibatchOTCoupling as MinibatchOTCoupling
from ._mixture import GaussianMixture as GaussianMixture
from ._mixture import GaussianMixtureField as GaussianMixtureField
from ._nearest import NearestNoiseCoupling as NearestNoiseCoupling
from ._ode import ODESampler as ODESampler
from ._path import Path as Path
from ._path import PathSample as PathSample
from ._schedules import CosinePath as CosinePath
from ._schedules import LinearPath as LinearPath
from ._schedules import LinearVPPath as LinearVPPath
from ._schedules import PolynomialPath as PolynomialPath
from ._schedules import TargetPath as TargetPath
from ._schedules import VPPath as VPPath
from ._solution import SamplingError as SamplingError
from ._solution import Solution as Solution
from ._time import draw_times as draw_times

__all__ = [
    "AffinePath",
    "BrownianBridgePath",
    "ConstantNoisePath",
    "CosinePath",
    "Coupling",
    "FlowMatchingLoss",
    "GaussianMixture",
    "GaussianMixtureField",
    "GibbsCoupling",
    "IndependentCoupling",
    "InterpolantLoss",
    "LinearPath",
    "LinearVPPath",
    "MeanFlowLoss",
    "MeanFlowSampler",
    "MinibatchOTCoupling",
    "NearestNoiseCoupling",
    "ODESampler",
    "PairedCoupling",
    "Pairs",
    "Path",
    "PathSample",
    "PolynomialPath",
    "SamplingError",
    "SchedulePath",
    "ScoreMatchingLoss",
    "Solution",
    "StochasticInterpolant",
    "TargetPath",
    "VPPath",
    "draw_times",
    "edm_time_grid",
    "optimal_assignment",
    "time_grid",
]
