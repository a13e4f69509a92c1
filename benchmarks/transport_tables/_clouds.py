"""Toy laws to sample from, float32, each through an explicit generator."""

import math

import torch
from torch import Tensor

from pushforward.datasets.cells import CellFeatures, open_cells
from pushforward.simulators.cells import PerturbedPopulations

__all__ = ["cell_populations", "checkerboard", "eight_gaussians", "mixture", "moons", "normal"]


def normal(d: int):
    """N(0, I) in d dimensions."""
    return lambda n, generator: torch.randn(n, d, generator=generator)


def eight_gaussians(n: int, generator: torch.Generator) -> Tensor:
    """Eight Gaussians of width 0.1 on the circle of radius 2."""
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    ring = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    return ring + 0.1 * torch.randn(n, 2, generator=generator)


def moons(n: int, generator: torch.Generator) -> Tensor:
    """Two interleaved half circles, width 0.1, spread to about [-2, 2]."""
    angle = math.pi * torch.rand(n, generator=generator)
    upper = torch.rand(n, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    points = 1.5 * torch.stack([x - 0.5, y - 0.25], 1)
    return points + 0.1 * torch.randn(n, 2, generator=generator)


def checkerboard(n: int, generator: torch.Generator) -> Tensor:
    """Uniform on the dark squares of a 4 x 4 board on [-2, 2]²."""
    column = torch.randint(4, (n,), generator=generator)
    row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
    corner = torch.stack([column, row], 1) - 2.0
    return corner + torch.rand(n, 2, generator=generator)


def mixture(d: int, shift: float):
    """Ten Gaussians in d dimensions whose variances fall like principal components."""
    maker = torch.Generator().manual_seed(11)
    scale = (1 + torch.arange(d)) ** -0.5
    means = torch.randn(10, d, generator=maker) * scale

    def sample(n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(10, (n,), generator=generator)
        return means[which] + shift * scale + 0.3 * scale * torch.randn(n, d, generator=generator)

    return sample


def cell_populations(d: int):
    """Control and treated cells of simulated patients in d principal components.

    Returns a sampler for each; cells are drawn with replacement from 6,000 of a kind, and scaled
    so that a coordinate of the control cells has mean square 1 on average.
    """
    simulation = PerturbedPopulations(n_populations=4, n_cells=1500, n_genes=200)
    data = open_cells(simulation.simulate(seed=0))
    features = CellFeatures.fit(data, data.rows(), n_components=d)
    clouds = [
        torch.from_numpy(features.transform(data, data.rows(condition=condition)))
        for condition in (data.control, "treated")
    ]
    scale = clouds[0].square().mean().sqrt()

    def sampler(cloud: Tensor):
        return lambda n, generator: cloud[torch.randint(len(cloud), (n,), generator=generator)]

    return sampler(clouds[0] / scale), sampler(clouds[1] / scale)
