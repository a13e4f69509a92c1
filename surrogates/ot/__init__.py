"""Optimal transport: one result object, stated tolerances, gradients, batches."""

from ._barycentre import barycenter, free_barycenter
from ._costs import cost_matrix, default_eps, displacement_cost
from ._couplings import couple, sample_plan
from ._divergence import sinkhorn_divergence
from ._gibbs import RunningPotentials, effective_sample_size, gibbs_weights
from ._gromov import gromov_wasserstein
from ._line import wasserstein_circle, wasserstein_line
from ._lowrank import solve_low_rank
from ._monge_gap import monge_gap
from ._noise import nearest_noise
from ._result import OTResult
from ._rounding import round_plan
from ._segments import pad_segments
from ._semidiscrete import SemiDiscrete, solve_semidiscrete
from ._sliced import max_sliced_wasserstein, sliced_wasserstein
from ._solve import solve, solve_sample
from ._streamed import solve_streamed
from ._wasserstein import wasserstein

__all__ = [
    "OTResult",
    "RunningPotentials",
    "SemiDiscrete",
    "barycenter",
    "cost_matrix",
    "couple",
    "default_eps",
    "displacement_cost",
    "effective_sample_size",
    "free_barycenter",
    "gibbs_weights",
    "gromov_wasserstein",
    "max_sliced_wasserstein",
    "monge_gap",
    "nearest_noise",
    "pad_segments",
    "round_plan",
    "sample_plan",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "solve",
    "solve_low_rank",
    "solve_sample",
    "solve_semidiscrete",
    "solve_streamed",
    "wasserstein",
    "wasserstein_circle",
    "wasserstein_line",
]
