"""Ground costs beyond the Euclidean ones: p-norms and the elastic cost that asks for sparsity."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix

__all__ = ["ElasticCost", "PNormCost", "displacement_sparsity", "soft_threshold"]


@dataclass(frozen=True)
class PNormCost:
    r"""Translation-invariant cost of a power of a p-norm.

        c(x, y) = (1/p) Σ_j |x_j − y_j|^p

    p = 2 is half the squared Euclidean cost; smaller p fears long displacements less and small
    ones more. For p in [1, 2] the Sinkhorn divergence with this cost is non-negative.

    Parameters
    ----------
    p : power, 1 <= p <= 2.

    Raises
    ------
    DataError : p out of range.

    Examples
    --------
    >>> import torch
    >>> PNormCost(1.0)(torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])).tolist()
    [[7.0]]
    """

    p: float = 1.5

    def __post_init__(self) -> None:
        if not 1 <= self.p <= 2:
            raise DataError(f"p = {self.p}; expected 1 <= p <= 2. Use 2 for the Euclidean case.")

    def __call__(
        self, x: Float[Tensor, "*batch n d"], y: Float[Tensor, "*batch m d"]
    ) -> Float[Tensor, "*batch n m"]:
        """Costs of all pairs."""
        return torch.cdist(x, y, p=self.p) ** self.p / self.p


@dataclass(frozen=True)
class ElasticCost:
    r"""The elastic cost: optimal displacements under it are sparse.

        c(x, y) = ½ |x − y|² + γ Σ_j |x_j − y_j|

    A coordinate is moved only where that saves more than γ a unit of length, so that cells answer
    in few genes.

    Parameters
    ----------
    l1_weight : γ >= 0, in the unit of the cells; 0 gives half the squared Euclidean cost.

    Raises
    ------
    DataError : a negative weight.

    References
    ----------
    Cuturi, Klein and Ablin, "Monge, Bregman and Occam: interpretable optimal transport in
    high-dimensions with feature-sparse maps", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> ElasticCost(2.0)(torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])).tolist()
    [[26.5]]
    """

    l1_weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.l1_weight >= 0:
            raise DataError(f"l1_weight = {self.l1_weight} must not be negative.")

    def __call__(
        self, x: Float[Tensor, "*batch n d"], y: Float[Tensor, "*batch m d"]
    ) -> Float[Tensor, "*batch n m"]:
        """Costs of all pairs."""
        return 0.5 * cost_matrix(x, y) + self.l1_weight * torch.cdist(x, y, p=1.0)


def soft_threshold(u: Float[Tensor, "*shape"], threshold: float) -> Float[Tensor, "*shape"]:
    r"""Proximal map of γ|z|₁, sign(u) max(|u| − γ, 0), whose gradient passes straight through.

    Descending on u through this map is the linearised Bregman iteration, which tends to the
    minimiser of γ|z|₁ + ½|z|² among the minimisers of the loss: the elastic displacement. With
    the true gradient, a coordinate once at zero would never wake again.

    Parameters
    ----------
    u : any shape.
    threshold : γ >= 0; 0 returns u.

    References
    ----------
    Cai, Osher and Shen, "Linearized Bregman iterations for compressed sensing", 2009.

    Examples
    --------
    >>> import torch
    >>> soft_threshold(torch.tensor([-2.0, 0.5, 3.0]), 1.0).tolist()
    [-1.0, 0.0, 2.0]
    """
    if threshold == 0:
        return u
    shrunk = torch.nn.functional.softshrink(u.detach(), threshold)
    return shrunk + (u - u.detach())


def displacement_sparsity(
    x: Float[Tensor, "n d"], moved: Float[Tensor, "n d"], *, tolerance: float = 0.01
) -> float:
    """Share of the coordinates of the displacements that are zero, or as good as zero.

    Parameters
    ----------
    x, moved : cells before and after.
    tolerance : a coordinate counts as zero below this share of the largest root mean square
        displacement of any coordinate; a map that moves nothing has sparsity 1.

    Returns
    -------
    A number between 0 (every coordinate of every cell moves) and 1.

    Raises
    ------
    DataError : clouds of different shape.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(2, 2)
    >>> displacement_sparsity(x, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    if x.shape != moved.shape:
        raise DataError(
            f"cells have shape {tuple(x.shape)}, moved cells {tuple(moved.shape)}; "
            "give the same cells before and after."
        )
    displacement = (moved - x).abs()
    size = displacement.square().mean(0).sqrt().max()
    return (displacement <= tolerance * size).float().mean().item()
