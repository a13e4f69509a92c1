"""Distances between samples beside the Wasserstein ones: MMD, energy distance, Fréchet."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ..ot import cost_matrix

__all__ = ["energy_distance", "frechet_distance", "mmd"]


def _check(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim < 2 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise DataError(
            f"samples have shapes {tuple(x.shape)} and {tuple(y.shape)}; expected (n, *shape) and "
            "(m, *shape) with at least two points each."
        )
    return x.flatten(1), y.flatten(1)


def mmd(
    x: Float[Tensor, "n ..."],
    y: Float[Tensor, "m ..."],
    *,
    bandwidths: Sequence[float | int] = (0.01, 0.1, 1, 10, 100),
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy, mean over RBF kernels exp(-|x-y|²/(2 b)); unbiased.

    The diagonal terms are left out, so the expectation is 0 for equal laws and single values may
    be negative. ``bandwidths`` are variances b; the default covers five decades, as torchcfm's.
    O((n + m)² d). Raises `DataError` for fewer than two points a side.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(mmd(x[:100], x[100:]).abs() < 0.02), bool(mmd(x, x + 3) > 0.1)
    (True, True)
    """
    x, y = _check(x, y)
    xx, yy, xy = cost_matrix(x, x), cost_matrix(y, y), cost_matrix(x, y)
    n, m = len(x), len(y)
    total = x.new_zeros(())
    for b in bandwidths:
        k_xx, k_yy, k_xy = (torch.exp(-c / (2 * b)) for c in (xx, yy, xy))
        total = total + (k_xx.sum() - k_xx.trace()) / (n * (n - 1))
        total = total + (k_yy.sum() - k_yy.trace()) / (m * (m - 1)) - 2 * k_xy.mean()
    return total / len(bandwidths)


def energy_distance(x: Float[Tensor, "n ..."], y: Float[Tensor, "m ..."]) -> Float[Tensor, ""]:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'|, unbiased; 0 in expectation for equal laws only.

    >>> energy_distance(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]])).item()
    2.0
    """
    x, y = _check(x, y)
    n, m = len(x), len(y)
    across = cost_matrix(x, y, cost="euclidean").mean()
    within_x = cost_matrix(x, x, cost="euclidean").sum() / (n * (n - 1))
    within_y = cost_matrix(y, y, cost="euclidean").sum() / (m * (m - 1))
    return 2 * across - within_x - within_y


def frechet_distance(x: Float[Tensor, "n ..."], y: Float[Tensor, "m ..."]) -> Float[Tensor, ""]:
    """|m_x - m_y|² + tr(A + B - 2 (A^½ B A^½)^½), the squared W2 of the two Gaussian fits.

    In the coordinates given (e.g. principal components); a poor man's FID where no feature network
    exists. Computed in double precision. Biased for small samples: quote n.

    >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(x, x + 2).item(), 4)
    8.0
    """
    x, y = (v.double() for v in _check(x, y))
    a, b = torch.cov(x.T).reshape(x.shape[1], -1), torch.cov(y.T).reshape(y.shape[1], -1)
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp_min(0).sqrt().sum()
    return (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
