"""Metrics: pure functions with a stated unit and direction."""

from pushforward.benchmarks.metrics.populations import (
    POPULATION_METRICS,
    PopulationMetric,
    discrimination_score,
    energy_distance,
    fraction_closed,
    mmd,
    pearson_differences,
    r2_differences,
    r2_means,
    spread_error,
)
from pushforward.benchmarks.metrics.populations_as_coded import (
    AS_CODED_METRICS,
    correlation_structure,
    entropic_wasserstein,
    euclidean_sinkhorn_divergence,
    signature_distance,
)

__all__ = [
    "AS_CODED_METRICS",
    "POPULATION_METRICS",
    "PopulationMetric",
    "correlation_structure",
    "discrimination_score",
    "energy_distance",
    "entropic_wasserstein",
    "euclidean_sinkhorn_divergence",
    "fraction_closed",
    "mmd",
    "pearson_differences",
    "r2_differences",
    "r2_means",
    "signature_distance",
    "spread_error",
]
