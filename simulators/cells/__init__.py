"""Synthetic perturbed populations: several patients, cell types that answer differently."""

from pushforward.simulators.cells.populations import PerturbedPopulations
from pushforward.simulators.cells.response import ConvexResponse

__all__ = ["ConvexResponse", "PerturbedPopulations"]
