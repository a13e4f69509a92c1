"""Pairs of laws between which the optimal map, or at least its cost, is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pushforward.simulators.cells import ConvexResponse
from pushforward.surrogates.training import stream

__all__ = ["PLANE", "Problem", "gaussians"]

Sampler = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Problem:
    """Samplers of a source and a target law, and the optimal map where it is known."""

    dim: int
    source: Sampler
    target: Sampler
    optimal: Callable[[Tensor], Tensor] | None = None


def gaussians(dim: int, *, seed: int) -> Problem:
    r"""Two Gaussians N(0, A) and N(m, B) with the affine Brenier map between them.

        T(x) = m + A^{-1/2} (A^{1/2} B A^{1/2})^{1/2} A^{-1/2} x

    Covariances have random axes and variances log-uniform on [1/2, 2]; m is standard normal.
    """
    generator = stream(seed, "gaussians", dim)

    def root_of(matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        return vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T

    def covariance() -> Tensor:
        axes = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
        exponent = 2 * torch.rand(dim, generator=generator, dtype=torch.float64) - 1
        return axes @ torch.diag(2.0**exponent) @ axes.T

    a, b = covariance(), covariance()
    mean = torch.randn(dim, generator=generator, dtype=torch.float64)
    root_a, root_b = root_of(a), root_of(b)
    inverse = torch.linalg.inv(root_a)
    slope = inverse @ root_of(root_a @ b @ root_a) @ inverse

    def law(root: Tensor, shift: Tensor) -> Sampler:
        def draw(n: int, generator: torch.Generator) -> Tensor:
            z = torch.randn(n, dim, generator=generator, dtype=torch.float64)
            return (z @ root + shift).float()

        return draw

    zero = torch.zeros(dim, dtype=torch.float64)
    return Problem(
        dim,
        law(root_a, zero),
        law(root_b, mean),
        lambda x: (x.double() @ slope + mean).float(),
    )


def _ring(n: int, generator: torch.Generator) -> Tensor:
    """Eight Gaussians on a ring of radius 4."""
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    centre = 4 * torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.4 * torch.randn(n, 2, generator=generator)


def _blob(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator)


def _moons(n: int, generator: torch.Generator) -> Tensor:
    angle = math.pi * torch.rand(n, generator=generator)
    upper = torch.rand(n, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return 2 * torch.stack([x - 0.5, y - 0.25], 1) + 0.1 * torch.randn(n, 2, generator=generator)


def _turned_moons(n: int, generator: torch.Generator) -> Tensor:
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    return _moons(n, generator) @ turn + torch.tensor([3.0, 1.0])


_FAN = ConvexResponse(
    np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]]), np.zeros(3), temperature=0.5
)


def _square(n: int, generator: torch.Generator) -> Tensor:
    return 4 * torch.rand(n, 2, generator=generator) - 2


def _fan(x: Tensor) -> Tensor:
    return torch.from_numpy(_FAN(x.double().numpy())).float()


PLANE: dict[str, Problem] = {
    "blob to ring of eight": Problem(2, _blob, _ring),
    "moons to turned moons": Problem(2, _moons, _turned_moons),
    "square to three corners": Problem(
        2, _square, lambda n, generator: _fan(_square(n, generator)), _fan
    ),
}
"""Plane examples by name; the last has a known optimal map, the gradient of a convex function."""
