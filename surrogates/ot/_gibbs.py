"""Weights that turn independent pairs into pairs of an entropic plan, plain and corrected."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._checks import check_points
from ._costs import Cost, cost_matrix, displacement_cost
from ._scaling import log_sweep

__all__ = ["RunningPotentials", "effective_sample_size", "gibbs_weights"]


def gibbs_weights(
    x: Num[Tensor, "n d"], y: Num[Tensor, "n_y d_y"], *, eps: float | int, cost: Cost = "euclidean"
) -> Float[Tensor, "n"]:
    """Weights wᵢ ∝ exp(-c(xᵢ,yᵢ)/eps) of independent pairs, normalised to mean 1.

    A loss weighted so is the loss under the coupling π ∝ exp(-c/eps) μ⊗ν, an entropic plan without
    having solved a transport problem. It is the plan of *its own* marginals: μ is tilted by
    E_y exp(-c(x,y)/eps), ν likewise, unless these are constant. The tilt is small for large eps and
    in high dimension, and large otherwise; `RunningPotentials` removes it.

    Parameters
    ----------
    x, y : independent samples of both sides, pair by pair, (n, d).
    eps : temperature in the unit of the cost; small values leave few effective pairs, see
        `effective_sample_size`.
    cost : as in `cost_matrix`; "euclidean" keeps the spread of the weights tame.

    Returns
    -------
    Weights of mean 1, (n,), without gradient.

    References
    ----------
    Calvo-Ordonez et al., Weighted conditional flow matching, 2025.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(2, 1)
    >>> w = gibbs_weights(x, torch.tensor([[0.0], [1.0]]), eps=1.0)
    >>> round((w[0] / w[1]).item(), 4)
    2.7183
    """
    _check_pairs(x, y, eps)
    with torch.no_grad():
        return _mean_one(-displacement_cost(x, y, cost=cost) / eps)


def effective_sample_size(weight: Num[Tensor, "n"]) -> float:
    """Share of a weighted sample that counts, (Σw)²/(n Σw²), between 1/n and 1.

    Examples
    --------
    >>> import torch
    >>> effective_sample_size(torch.tensor([1.0, 1.0, 0.0, 0.0]))
    0.5
    """
    total = weight.sum().square() / (len(weight) * weight.square().sum())
    return total.item()


class RunningPotentials:
    """Corrected Gibbs weights w(x,y) = exp((f(x) + g(y) - c(x,y))/eps): unbiased marginals.

    f and g are the entropic potentials between μ and ν, estimated while samples stream by: the last
    `size` points of either side are remembered with their potentials, `sweeps` Sinkhorn sweeps
    between the two memories follow each batch, and potentials at new points are the soft minima
    over the memory. As the memory grows, E_y w(x, y) → 1 for every x: the weighted pairs follow the
    entropic plan of the true marginals, at O(size·batch + sweeps·size²) a step and without any
    transport problem solved to the end.

    Parameters
    ----------
    eps : temperature in the unit of the cost.
    cost : as in `cost_matrix`.
    size : points remembered on either side. The bias of the marginals falls as 1/size.
    sweeps : Sinkhorn sweeps after each batch.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> potentials = RunningPotentials(eps=1.0, cost="sqeuclidean", size=256)
    >>> for _ in range(20):
    ...     x, y = torch.randn(2, 64, 1, generator=generator)
    ...     weight = potentials.update(x, y)
    >>> abs((weight * x[:, 0] ** 2).mean().item() - (x**2).mean().item()) < 0.3
    True
    """

    def __init__(
        self, *, eps: float | int, cost: Cost = "euclidean", size: int = 1024, sweeps: int = 2
    ):
        if not eps > 0:
            raise DataError(f"eps = {eps}; expected a temperature > 0.")
        if size < 1 or sweeps < 1:
            raise DataError(f"size = {size}, sweeps = {sweeps}; expected at least 1 of either.")
        self.eps, self.cost, self.size, self.sweeps = float(eps), cost, size, sweeps
        self.x: Tensor | None = None
        self.y: Tensor | None = None
        self.f = self.g = torch.empty(0)

    @torch.no_grad()
    def weights(self, x: Num[Tensor, "n d"], y: Num[Tensor, "n_y d_y"]) -> Float[Tensor, "n"]:
        """Weights of the pairs (xᵢ, yᵢ), (n,), of mean near 1; mean exactly 1 before any update."""
        _check_pairs(x, y, self.eps)
        exponent = -displacement_cost(x, y, cost=self.cost) / self.eps
        if self.x is None or self.y is None:
            return _mean_one(exponent)
        return (exponent + (self._f(x, self.y) + self._g(y, self.x)) / self.eps).exp()

    @torch.no_grad()
    def update(self, x: Num[Tensor, "n d"], y: Num[Tensor, "n_y d_y"]) -> Float[Tensor, "n"]:
        """Weights of this batch by the memory of earlier ones, then remember the batch."""
        weight = self.weights(x, y)
        if self.x is None or self.y is None:
            self.x, self.y = x[-self.size :], y[-self.size :]
            self.f, self.g = torch.zeros_like(self.x[:, 0]), torch.zeros_like(self.y[:, 0])
            sweeps = 20 * self.sweeps
        else:
            f, g = self._f(x, self.y), self._g(y, self.x)
            self.x, self.y = (
                torch.cat([old, new])[-self.size :] for old, new in ((self.x, x), (self.y, y))
            )
            self.f = torch.cat([self.f, f])[-self.size :]
            self.g = torch.cat([self.g, g])[-self.size :]
            sweeps = self.sweeps
        C = cost_matrix(self.x, self.y, cost=self.cost)
        for _ in range(sweeps):
            self.f = self._softmin(C, self.g)
            self.g = self._softmin(C.mT, self.f)
        return weight

    def _f(self, x: Tensor, memory: Tensor) -> Tensor:
        return self._softmin(cost_matrix(x, memory, cost=self.cost), self.g)

    def _g(self, y: Tensor, memory: Tensor) -> Tensor:
        return self._softmin(cost_matrix(memory, y, cost=self.cost).mT, self.f)

    def _softmin(self, C: Tensor, h: Tensor) -> Tensor:
        log_w = h.new_tensor(1.0 / len(h)).log().expand(1, len(h))
        return log_sweep(C[None], h[None], log_w, h.new_full((1, 1), self.eps))[0]


def _mean_one(exponent: Tensor) -> Tensor:
    return torch.softmax(exponent, -1) * exponent.shape[-1]


def _check_pairs(x: Tensor, y: Tensor, eps: float | int) -> None:
    check_points(x, y)
    if len(x) != len(y):
        raise DataError(
            f"x holds {len(x)} points, y {len(y)}; expected pairs. Draw as many of either side."
        )
    if not eps > 0:
        raise DataError(f"eps = {eps}; expected a temperature > 0.")
