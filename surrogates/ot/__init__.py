"""Optimal transport: one result object, stated tolerances, gradients, batches."""

from ._costs import cost_matrix, default_eps, displacement_cost
from ._divergence import sinkhorn_divergence
from ._monge_gap import monge_gap
from ._result import OTResult
from ._solve import solve, solve_sample
from ._wasserstein import wasserstein

__all__ = [
    "OTResult",
    "cost_matrix",
    "default_eps",
    "displacement_cost",
    "monge_gap",
    "sinkhorn_divergence",
    "solve",
    "solve_sample",
    "wasserstein",
]
