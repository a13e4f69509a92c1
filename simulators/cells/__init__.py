"""Synthetic perturbed populations and drug screens whose answers are known."""

from pushforward.simulators.cells.letters import Letters, letter_points
from pushforward.simulators.cells.populations import PerturbedPopulations
from pushforward.simulators.cells.response import ConvexResponse
from pushforward.simulators.cells.screens import DrugScreen

__all__ = ["ConvexResponse", "DrugScreen", "Letters", "PerturbedPopulations", "letter_points"]
