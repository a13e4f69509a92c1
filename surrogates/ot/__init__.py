"""Optimal transport: one result object, stated tolerances, gradients, batches."""

from ._costs import cost_matrix, default_eps, displacement_cost
from ._divergence import sinkhorn_divergence
from ._line import wasserstein_circle, wasserstein_line
from ._monge_gap import monge_gap
from ._result import OTResult
from ._rounding import round_plan
from ._sliced import max_sliced_wasserstein, sliced_wasserstein
from ._solve import solve, solve_sample
from ._wasserstein import wasserstein

__all__ = [
    "OTResult",
    "cost_matrix",
    "default_eps",
    "displacement_cost",
    "max_sliced_wasserstein",
    "monge_gap",
    "round_plan",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "solve",
    "solve_sample",
    "wasserstein",
    "wasserstein_circle",
    "wasserstein_line",
]
