"""Distances between populations exactly as the papers' released code computes them.

Kept beside the honest ones of `populations` so that published numbers can be compared with. The
papers compute them in their own coordinates (marker genes, normalised protein counts) and on
their own batches; the formulas are the same, the numbers are not.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.populations import (
    PopulationMetric,
    check_clouds,
    correlation,
)
from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import sinkhorn_divergence, solve_sample

__all__ = [
    "AS_CODED_METRICS",
    "correlation_structure",
    "entropic_wasserstein",
    "euclidean_sinkhorn_divergence",
    "signature_distance",
]

EPS = 0.1  # absolute, as in the conditional-Monge code
SOLVER: dict[str, Any] = {"tol": 1e-3, "max_iter": 2000, "warn": False}


def entropic_wasserstein(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    r"""`wasserstein` of the conditional-Monge code: min ⟨P, C⟩ + ε KL(P | abᵀ), C = |x − y|.

    ε = 0.1, absolute: rescaling the data changes how entropic it is. Not zero for x = y.

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import entropic_wasserstein
    >>> round(entropic_wasserstein(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])), 4)
    5.0
    """
    check_clouds(x, y)
    return solve_sample(x, y, cost="euclidean", eps=EPS, **SOLVER).value.item()


def euclidean_sinkhorn_divergence(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """`sinkhorn_div` of the conditional-Monge code: the divergence of `entropic_wasserstein`."""
    check_clouds(x, y)
    return sinkhorn_divergence(x, y, cost="euclidean", eps=EPS, **SOLVER).item()


def signature_distance(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, order: int = 2, centre: str = "mean"
) -> float:
    """|c(x) − c(y)|_p of the two centres: `drug_signature` (p = 2, means) and its kin.

    Parameters
    ----------
    x, y : predicted and true cells.
    order : p of the norm, 1 or 2.
    centre : "mean" or "median" (of each coordinate; the lower one of an even number, as torch's).
    """
    check_clouds(x, y)
    if centre not in ("mean", "median"):
        raise DataError(f"centre = {centre!r}; choose 'mean' or 'median'.")
    a, b = (z.mean(0) if centre == "mean" else z.median(0).values for z in (x, y))
    return torch.linalg.vector_norm(a - b, ord=order).item()


def correlation_structure(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """`r2_pwf_corr` of the meta-flow code: how alike the correlations between features are.

    The Pearson correlation, not squared in spite of its name, between the upper triangles of the
    two feature correlation matrices. A feature that does not vary correlates with nothing (0).

    Raises
    ------
    DataError : fewer than 3 coordinates (fewer than 3 pairs have no correlation to speak of).

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import correlation_structure
    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> round(correlation_structure(2 * x + 1, x), 5)
    1.0
    """
    check_clouds(x, y)
    if x.shape[1] < 3:
        raise DataError(f"{x.shape[1]} coordinates; the correlation structure needs at least 3.")
    triangle = torch.triu_indices(x.shape[1], x.shape[1], offset=1)
    pairs = [torch.nan_to_num(torch.corrcoef(z.T))[tuple(triangle)] for z in (x, y)]
    return correlation(*pairs)


def _mean_square(x: Tensor, y: Tensor, centre: str) -> float:
    return signature_distance(x, y, centre=centre) ** 2 / x.shape[1]


AS_CODED_METRICS: dict[str, PopulationMetric] = {
    "entropic_wasserstein": PopulationMetric(
        lambda x, y, c, e: entropic_wasserstein(x, y), "PC units", "lowest", "entropic W (CMonge)"
    ),
    "euclidean_sinkhorn_divergence": PopulationMetric(
        lambda x, y, c, e: euclidean_sinkhorn_divergence(x, y),
        "PC units",
        "lowest",
        "Sinkhorn divergence (CMonge)",
    ),
    "signature_l2": PopulationMetric(
        lambda x, y, c, e: signature_distance(x, y), "PC units", "lowest", "drug signature (CMonge)"
    ),
    "signature_l1": PopulationMetric(
        lambda x, y, c, e: signature_distance(x, y, order=1), "PC units", "lowest", "mean L1 (MFM)"
    ),
    "signature_mse": PopulationMetric(
        lambda x, y, c, e: _mean_square(x, y, "mean"),
        "PC units squared",
        "lowest",
        "mean MSE (MFM)",
    ),
    "median_l2": PopulationMetric(
        lambda x, y, c, e: signature_distance(x, y, centre="median"),
        "PC units",
        "lowest",
        "median L2 (MFM)",
    ),
    "median_l1": PopulationMetric(
        lambda x, y, c, e: signature_distance(x, y, order=1, centre="median"),
        "PC units",
        "lowest",
        "median L1 (MFM)",
    ),
    "median_mse": PopulationMetric(
        lambda x, y, c, e: _mean_square(x, y, "median"),
        "PC units squared",
        "lowest",
        "median MSE (MFM)",
    ),
    "correlation_structure": PopulationMetric(
        lambda x, y, c, e: correlation_structure(x, y), "1", "highest", "r2_pwf_corr (MFM)"
    ),
}
"""Name -> metric as coded; `w1`, `w2`, `mmd` and `r2_means` of `populations` are as coded too."""
