"""What every solver returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["OTResult"]


@dataclass(frozen=True)
class OTResult:
    """A solved transport problem: value, plan, potentials and an honest account of the solve.

    Attributes
    ----------
    value : objective at the solution, shape (*batch,): ⟨C,P⟩ for exact transport,
        ⟨C,P⟩ + eps·KL(P | a bᵀ) for entropic (plus the penalties of the problem solved), where
        KL(P|Q) = Σ P log(P/Q) - P + Q. Differentiable with respect to C, a, b (and eps) by the
        envelope theorem.
    value_linear : transport cost alone, ⟨C,P⟩, shape (*batch,).
    plan : P, shape (*batch, n, m); built when first asked for.
    potentials : (f, g), shapes (*batch, n) and (*batch, m), without gradient; entropic plans are
        P = a b exp((f + g - C)/eps). Defined up to a constant moved from f to g.
    converged : True only if everything is finite and the tolerance is met; a bool, or a bool
        tensor of shape (*batch,) for a batch.
    n_iter : sweeps (or the solver's own steps) used by the slowest element of the batch.
    marginal_error : worst L1 violation of the marginals relative to the total mass, (*batch,).
    message : how the solve ended, in words.
    eps : entropic strength used, shape (*batch,); None for exact transport.
    dual_value : the dual objective at the potentials, a lower bound of the optimum.
    errors : marginal error at each check, a list of tensors of shape (*batch,).

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.ot import solve
    >>> result = solve(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> result.value.item(), result.plan.tolist(), result.converged
    (0.0, [[0.5, 0.0], [0.0, 0.5]], True)
    """

    value: Tensor
    converged: bool | Tensor
    n_iter: int
    marginal_error: Tensor
    message: str
    cost: Tensor = field(repr=False)
    a: Tensor = field(repr=False)
    b: Tensor = field(repr=False)
    make_plan: Callable[[], Tensor] = field(repr=False)
    make_potentials: Callable[[], tuple[Tensor, Tensor]] = field(repr=False)
    eps: Tensor | None = None
    errors: list[Tensor] = field(default_factory=list, repr=False)

    @cached_property
    def plan(self) -> Tensor:
        """P, shape (*batch, n, m)."""
        return self.make_plan()

    @cached_property
    def potentials(self) -> tuple[Tensor, Tensor]:
        """(f, g), shapes (*batch, n) and (*batch, m)."""
        return self.make_potentials()

    @cached_property
    def value_linear(self) -> Tensor:
        """⟨C,P⟩, shape (*batch,); pairs without mass count 0 even where the cost is infinite."""
        P = self.plan
        return (torch.where(P > 0, self.cost, 0.0) * P).sum((-2, -1))

    @property
    def marginals(self) -> tuple[Tensor, Tensor]:
        """Row and column sums of the plan, shapes (*batch, n) and (*batch, m)."""
        return self.plan.sum(-1), self.plan.sum(-2)

    def barycentric_map(self, y: Tensor) -> Tensor:
        """Where each source point goes on average, Σⱼ Pᵢⱼ yⱼ / Σⱼ Pᵢⱼ, shape (*batch, n, d).

        `y` holds the target points, (*batch, m, d). A source point without mass goes to NaN-free 0.
        """
        P = self.plan
        row = P.sum(-1, keepdim=True)
        return torch.where(row > 0, (P @ y) / torch.where(row > 0, row, 1.0), 0.0)
