"""Chebyshev collocation between two walls: points, derivatives, quadrature, interpolation."""

import math
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["Chebyshev"]


class Chebyshev:
    """Functions on [-1, 1] by their values at y_j = -cos(π j/(n-1)), j = 0..n-1 (both walls).

    Everything is float64: the fourth derivative that a channel solver contains has a condition
    number that grows like n⁸.

    Parameters
    ----------
    n : number of points, walls included; at least 5.

    Raises
    ------
    DataError : fewer than 5 points.

    Examples
    --------
    >>> y = Chebyshev(9)
    >>> bool((y.first @ y.points**3 - 3 * y.points**2).abs().max() < 1e-12)
    True
    >>> round(float(y.weights @ y.points**4), 12)
    0.4
    """

    def __init__(self, n: int) -> None:
        if n < 5:
            raise DataError(f"{n} points between the walls; at least 5 are needed.")
        self.n = n

    @cached_property
    def points(self) -> Float[Tensor, " n"]:
        """y_j, ascending, symmetric to the last bit."""
        j = np.arange(self.n)
        return torch.from_numpy(np.sin(math.pi * (2 * j - (self.n - 1)) / (2 * (self.n - 1))))

    @cached_property
    def first(self) -> Float[Tensor, "n n"]:
        """Matrix of d/dy.

        Differences of points from sines and the diagonal as minus the sum of its row (which makes
        the derivative of a constant exactly 0) keep two more digits than the textbook formula.
        """
        n, j = self.n, np.arange(self.n)
        theta = math.pi * (n - 1 - j) / (n - 1)
        half_sum, half_difference = (theta[:, None] + theta) / 2, (theta[:, None] - theta) / 2
        gap = -2 * np.sin(half_sum) * np.sin(half_difference)
        c = np.where((j == 0) | (j == n - 1), 2.0, 1.0) * (-1.0) ** j
        with np.errstate(divide="ignore"):
            d = c[:, None] / c / gap
        np.fill_diagonal(d, 0.0)
        # y -> -y turns the derivative round: enforce it, so that symmetric flows stay symmetric.
        d = (d - d[::-1, ::-1]) / 2
        np.fill_diagonal(d, -d.sum(1))
        return torch.from_numpy(np.ascontiguousarray(d))

    @cached_property
    def second(self) -> Float[Tensor, "n n"]:
        """Matrix of d²/dy²."""
        return self.first @ self.first

    @cached_property
    def smoothing(self) -> Float[Tensor, "n n"]:
        """Matrix that damps the k-th Chebyshev polynomial by exp(-36 (k/(n-1))^16).

        It leaves the lower two thirds as they are (to 5 %, the lower half to 1e-3) and takes the
        last polynomials away to rounding, exp(-36): a gradual 2/3 rule. Source of the form:
        Gottlieb, Hesthaven, J. Comput. Appl. Math. 128, 2001.

        >>> y = Chebyshev(33)
        >>> bool((y.smoothing @ y.points**4 - y.points**4).abs().max() < 1e-10)
        True
        """
        j = np.arange(self.n)
        polynomials = np.cos(math.pi / (self.n - 1) * np.outer(self.n - 1 - j, j))
        damping = np.exp(-36 * (j / (self.n - 1)) ** 16)
        matrix = polynomials * damping @ np.linalg.inv(polynomials)
        return torch.from_numpy((matrix + matrix[::-1, ::-1]) / 2)

    @cached_property
    def weights(self) -> Float[Tensor, " n"]:
        """Clenshaw-Curtis weights: Σ w_j f(y_j) = ∫ f dy, exact up to degree n-1."""
        n, m = self.n - 1, np.arange(self.n)
        theta = math.pi * m / n
        w = np.ones(self.n)
        for k in range(1, n // 2 + 1):
            share = 1.0 if 2 * k == n else 2.0
            w -= share * np.cos(2 * k * theta) / (4 * k * k - 1)
        w *= 2.0 / n
        w[[0, -1]] /= 2
        return torch.from_numpy((w + w[::-1]) / 2)

    @cached_property
    def dirichlet_modes(self) -> tuple[NDArray, NDArray, NDArray]:
        """(λ, Q, Q⁻¹) with d²/dy² = Q diag(λ) Q⁻¹ on functions that vanish at both walls.

        The eigenvalues are real, negative and distinct, so one pair of matrix products solves
        Helmholtz problems of every wavenumber and time step.
        """
        values, vectors = np.linalg.eig(self.second[1:-1, 1:-1].numpy())
        order = np.argsort(-values.real)
        values, vectors = values.real[order], vectors.real[:, order]
        vectors /= np.linalg.norm(vectors, axis=0)
        return values, np.ascontiguousarray(vectors), np.linalg.inv(vectors)

    def interpolation(self, y: Float[Tensor, " m"]) -> Float[Tensor, "m n"]:
        """Matrix that evaluates the interpolating polynomial at any y in [-1, 1] (barycentric).

        >>> y = Chebyshev(9)
        >>> at = torch.tensor([-1.0, 0.3], dtype=torch.float64)
        >>> bool((y.interpolation(at) @ y.points**5 - at**5).abs().max() < 1e-13)
        True
        """
        y = y.double()
        if y.numel() and float(y.abs().max()) > 1 + 1e-12:
            raise DataError(
                f"y = {float(y[y.abs().argmax()]):.6g} lies outside the channel, -1 <= y <= 1. "
                "Subtract 1 if y is measured from the lower wall."
            )
        weight = (-1.0) ** torch.arange(self.n, dtype=torch.float64)
        weight[[0, -1]] /= 2
        gap = y[:, None] - self.points
        hit = gap.abs() < 1e-14
        terms = weight / torch.where(hit, torch.ones_like(gap), gap)
        matrix = terms / terms.sum(1, keepdim=True)
        return torch.where(hit.any(1, keepdim=True), hit.double(), matrix)
