"""Metrics: pure functions with a stated unit and direction."""

from pushforward.benchmarks.metrics.populations import (
    POPULATION_METRICS,
    PopulationMetric,
    energy_distance,
    fraction_closed,
    mmd,
    r2_differences,
    r2_means,
    spread_error,
)

__all__ = [
    "POPULATION_METRICS",
    "PopulationMetric",
    "energy_distance",
    "fraction_closed",
    "mmd",
    "r2_differences",
    "r2_means",
    "spread_error",
]
