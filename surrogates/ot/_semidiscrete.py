"""Transport from a law that can be sampled to finitely many points."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from pushforward.simulators.errors import ConvergenceWarning, DataError

from ._checks import check_floating, weights
from ._costs import Cost, cost_matrix
from ._solve import solve_sample

__all__ = ["SemiDiscrete", "solve_semidiscrete"]

# Samples handled at once: bounds the memory of a pass at this many times the number of targets.
_CHUNK = 16384


@dataclass(frozen=True)
class SemiDiscrete:
    """The map from a continuous law to weighted points, with certified cell masses.

    Attributes
    ----------
    points : targets yⱼ, (m, d).
    weights : their masses bⱼ, (m,).
    potential : gⱼ, (m,), of mean 0. The Laguerre cell of yⱼ is where c(x,yⱼ) - gⱼ is least.
    masses : mass of each cell on fresh samples, (m,).
    mass_error : Σ |massesⱼ - bⱼ| on those samples.
    noise : what `mass_error` would be on average for perfect cells, with so many samples.
    value : transport cost on those samples, E c(x, T x).
    dual_value : E minⱼ [c(x,yⱼ) - gⱼ] + ⟨b,g⟩ on those samples.
    converged : True only if everything is finite and mass_error <= tol, noise included.
    n_samples : samples drawn in all.
    message : how the solve ended.
    """

    points: Tensor
    weights: Tensor
    potential: Tensor
    masses: Tensor
    mass_error: float
    noise: float
    value: float
    dual_value: float
    converged: bool
    n_samples: int
    message: str
    cost: Cost = field(repr=False, default="sqeuclidean")

    def assign(self, x: Num[Tensor, "n d"]) -> Int[Tensor, "n"]:
        """Index of the target of each x: argminⱼ c(x,yⱼ) - gⱼ."""
        parts = [
            (cost_matrix(part, self.points, cost=self.cost) - self.potential).argmin(-1)
            for part in x.detach().split(_CHUNK)
        ]
        return torch.cat(parts)

    def __call__(self, x: Num[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The transport map T(x) = y of the cell that x lies in."""
        return self.points[self.assign(x)]


def solve_semidiscrete(
    sample: Callable[[int, torch.Generator], Tensor],
    y: Num[Tensor, "m d"],
    b: Num[Tensor, "m_b"] | None = None,
    *,
    cost: Cost = "sqeuclidean",
    tol: float = 0.05,
    max_samples: int = 20_000_000,
    seed: int = 0,
    warn: bool = True,
) -> SemiDiscrete:
    """Optimal transport from the law of `sample` to the points y.

    Maximises the concave semi-dual E_x minⱼ [c(x,yⱼ) - gⱼ] + ⟨b,g⟩ over g. Its gradient is
    b - mass of the cells. A first g comes from entropic transport of a finite sample; averaged
    stochastic ascent refines it, with samples doubled whenever the certified error stops falling.
    Certificate: the masses of the cells on fresh samples, so many that their own noise stays below
    a third of `tol`.

    Parameters
    ----------
    sample : function (count, generator) that returns `count` independent points (count, d) of the
        source law. It must be the very law that the map is applied to later.
    y : targets, (m, d).
    b : their masses; default uniform; normalised to sum 1.
    cost : as in `cost_matrix`.
    tol : L1 error of the cell masses to reach; the value is then off by at most about
        tol · (largest cost)/2.
    max_samples : limit on samples drawn.
    seed : seed of all randomness.
    warn : emit a ConvergenceWarning when `tol` is not met.

    Returns
    -------
    SemiDiscrete, callable as the transport map.

    Raises
    ------
    DataError : `sample` that returns another shape or dtype, and as `solve`.

    References
    ----------
    Genevay et al., Stochastic optimization for large-scale optimal transport, 2016.

    Examples
    --------
    >>> import torch
    >>> y = torch.tensor([[0.0], [1.0]])
    >>> halves = solve_semidiscrete(lambda n, g: torch.rand(n, 1, generator=g), y, tol=0.02)
    >>> halves(torch.tensor([[0.4], [0.6]])).flatten().tolist(), halves.converged
    ([0.0, 1.0], True)
    """
    check_floating(y, "y")
    m = len(y)
    y = y.detach()
    b = weights(b, m, y[:, 0].unsqueeze(0), "b").detach()
    b = b / b.sum()
    if not 0 < tol < 2:
        raise DataError(f"tol = {tol}; expected an L1 error of masses between 0 and 2.")
    generator = torch.Generator(device=y.device).manual_seed(seed)
    drawn = 0

    def draw(count: int) -> Tensor:
        nonlocal drawn
        drawn += count
        x = sample(count, generator)
        if x.shape != (count, y.shape[1]) or x.dtype != y.dtype:
            raise DataError(
                f"sample({count}, generator) returned {x.dtype} of shape {tuple(x.shape)}; "
                f"expected {y.dtype} of shape {(count, y.shape[1])}."
            )
        return x.detach()

    g, spread = _first(draw(min(8 * m, 4096)), y, b, cost)
    # E|mass - b| of a perfect cell with N samples is sqrt(2 b(1-b)/(πN)).
    unit = (2 * b * (1 - b) / math.pi).sqrt().sum().item()
    check = min(max(int((3 * unit / tol) ** 2), 10_000), max_samples // 4)
    batch, rate = max(256, 4 * m), 1.0
    best, best_error, best_parts = g, math.inf, (b, 0.0, 0.0)
    while True:
        masses, value, dual = _certify(draw(check), y, b, g, cost)
        error = (masses - b).abs().sum().item()
        improved = error < 0.8 * best_error
        if error < best_error:
            best, best_error, best_parts = g, error, (masses, value, dual)
        if best_error <= tol or drawn + 50 * batch + check > max_samples:
            break
        if not improved:
            batch, rate = 2 * batch, rate / 2
        g = _ascend(draw, y, b, best, cost, batch, rate * spread)
    masses, value, dual = best_parts
    converged = best_error <= tol and math.isfinite(value) and bool(torch.isfinite(best).all())
    message = f"cell masses certified on {check} fresh samples"
    if not converged:
        message = (
            f"solve_semidiscrete stopped after {drawn} samples with mass error {best_error:.1e} > "
            f"tol {tol:.1e}. Raise max_samples or loosen tol."
        )
        if warn:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return SemiDiscrete(
        points=y,
        weights=b,
        potential=best - best.mean(),
        masses=masses,
        mass_error=best_error,
        noise=unit / check**0.5,
        value=value,
        dual_value=dual,
        converged=converged,
        n_samples=drawn,
        message=message,
        cost=cost,
    )


def _first(x: Tensor, y: Tensor, b: Tensor, cost: Cost) -> tuple[Tensor, float]:
    """Potential of entropic transport from a finite sample, and the scale of the costs."""
    C = cost_matrix(x, y, cost=cost)
    spread = C.std().item() if C.numel() > 1 else 1.0
    spread = spread if spread > 0 else 1.0
    result = solve_sample(x, y, None, b, cost=cost, eps=0.01 * spread, tol=1e-3, warn=False)
    return result.potentials[1], spread


def _ascend(
    draw: Callable[[int], Tensor],
    y: Tensor,
    b: Tensor,
    g: Tensor,
    cost: Cost,
    batch: int,
    rate: float,
) -> Tensor:
    """50 steps of stochastic ascent; the average of the second half."""
    total = torch.zeros_like(g)
    for step in range(50):
        C = cost_matrix(draw(batch), y, cost=cost)
        cells = torch.bincount((C - g).argmin(-1), minlength=len(y)) / batch
        # Cells of small mass react most: scaling by the mean mass makes the rate free of m.
        g = g + rate / (1 + step) ** 0.5 * (b - cells)
        if step >= 25:
            total = total + g / 25
    return total


def _certify(x: Tensor, y: Tensor, b: Tensor, g: Tensor, cost: Cost) -> tuple[Tensor, float, float]:
    """Masses of the cells, transport cost and dual value on a sample."""
    counts = torch.zeros_like(b)
    value = dual = 0.0
    for part in x.split(_CHUNK):
        C = cost_matrix(part, y, cost=cost)
        least, cell = (C - g).min(-1)
        counts += torch.bincount(cell, minlength=len(y))
        value += C.gather(-1, cell.unsqueeze(-1)).sum().item()
        dual += least.sum().item()
    return counts / len(x), value / len(x), dual / len(x) + (b @ g).item()
