"""The interface of torchcfm on this package's couplings, for scripts that were written for it.

``t, xt, ut = matcher.sample_location_and_conditional_flow(x0, x1)`` with the class names, formulas
and random streams of that package: under the same ``torch.manual_seed`` the times and the noise
are the same numbers. One thing differs on purpose: pairs come from an assignment, in which no
point is lost or repeated, and x1 keeps its order; the plan's own draws use a generator forked from
the state of torch's, so they do not shift the times. New code should use `FlowMatchingLoss`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ._coupling import Coupling, Pairs
from ._minibatch import MinibatchOTCoupling

__all__ = [
    "ConditionalFlowMatcher",
    "ExactOptimalTransportConditionalFlowMatcher",
    "OTPlanSampler",
    "SchrodingerBridgeConditionalFlowMatcher",
    "TargetConditionalFlowMatcher",
    "VariancePreservingConditionalFlowMatcher",
    "pad_t_like_x",
]


def pad_t_like_x(t: Any, x: Tensor) -> Any:
    """Times (batch,) as (batch, 1, ..., 1); numbers pass through.

    >>> pad_t_like_x(torch.zeros(3), torch.zeros(3, 2, 2)).shape
    torch.Size([3, 1, 1])
    """
    return t.reshape(-1, *(1,) * (x.ndim - 1)) if isinstance(t, Tensor) else t


def _forked() -> torch.Generator:
    """A generator that depends on torch's present state and does not advance it."""
    state = torch.get_rng_state()
    # The state is a vector of bytes; a polynomial hash of it is seed enough.
    weights = torch.arange(1, len(state) + 1, dtype=torch.int64) * 1_000_003
    return torch.Generator().manual_seed(int((state.long() * weights).sum()) % 2**62)


class OTPlanSampler:
    """Pairs of a minibatch by optimal transport, in torchcfm's calling convention.

    ``method`` "exact" or "sinkhorn" (entropic at ``reg``, drawn by exchanges: `MinibatchOTCoupling`
    "swaps"); every point is used once, whatever ``replace`` says.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> OTPlanSampler("exact").sample_plan(x, x.flip(0))[0].flatten().tolist()
    [1.0, 0.0]
    """

    def __init__(self, method: str = "exact", reg: float | int = 0.05) -> None:
        self.coupling: Coupling = (
            MinibatchOTCoupling() if method == "exact" else MinibatchOTCoupling("swaps", eps=reg)
        )

    def _pairs(self, x0: Tensor, x1: Tensor) -> Pairs:
        return self.coupling(x0, x1, generator=_forked())

    def sample_plan(self, x0: Tensor, x1: Tensor, replace: bool = True) -> tuple[Tensor, Tensor]:
        """x0 in the order that pairs it with x1, and x1 as it came."""
        pairs = self._pairs(x0, x1)
        return pairs.x0, pairs.x1

    def sample_plan_with_labels(
        self,
        x0: Tensor,
        x1: Tensor,
        y0: Tensor | None = None,
        y1: Tensor | None = None,
        replace: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """The pairs with the labels of their points; labels do not influence the plan."""
        pairs = self._pairs(x0, x1)
        return (
            pairs.x0,
            pairs.x1,
            None if y0 is None else y0[pairs.index0],
            None if y1 is None else y1[pairs.index1],
        )


class ConditionalFlowMatcher:
    """Independent pairs, x_t = t x1 + (1-t) x0 + σ ε, u_t = x1 - x0.

    >>> matcher = ConditionalFlowMatcher(sigma=0.0)
    >>> x0, x1 = torch.zeros(2, 1), torch.ones(2, 1)
    >>> t, xt, ut = matcher.sample_location_and_conditional_flow(x0, x1)
    >>> bool((xt[:, 0] == t).all()), ut.flatten().tolist()
    (True, [1.0, 1.0])
    """

    plan: OTPlanSampler | None = None

    def __init__(self, sigma: float | int = 0.0) -> None:
        self.sigma = sigma

    def compute_mu_t(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Mean of x_t."""
        t = pad_t_like_x(t, x0)
        return t * x1 + (1 - t) * x0

    def compute_sigma_t(self, t: Tensor) -> Tensor | float | int:
        """Standard deviation of x_t."""
        return self.sigma

    def sample_xt(self, x0: Tensor, x1: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
        """x_t for a given noise."""
        return self.compute_mu_t(x0, x1, t) + pad_t_like_x(self.compute_sigma_t(t), x0) * epsilon

    def compute_conditional_flow(self, x0: Tensor, x1: Tensor, t: Tensor, xt: Tensor) -> Tensor:
        """u_t(x_t | x0, x1)."""
        return x1 - x0

    def compute_lambda(self, t: Tensor) -> Tensor | float:
        """The weight 2 σ_t/σ² of the score loss."""
        return 2 * self.compute_sigma_t(t) / (self.sigma**2 + 1e-8)

    def sample_location_and_conditional_flow(
        self, x0: Tensor, x1: Tensor, t: Tensor | None = None, return_noise: bool = False
    ) -> tuple[Tensor, ...]:
        """(t, x_t, u_t) and, if asked for, the noise."""
        if self.plan is not None:
            x0, x1 = self.plan.sample_plan(x0, x1)
        return self._sample(x0, x1, t, return_noise)

    def guided_sample_location_and_conditional_flow(
        self,
        x0: Tensor,
        x1: Tensor,
        y0: Tensor | None = None,
        y1: Tensor | None = None,
        t: Tensor | None = None,
        return_noise: bool = False,
    ) -> tuple[Any, ...]:
        """(t, x_t, u_t, y0, y1) with the labels of the paired points, then the noise if asked."""
        if self.plan is not None:
            x0, x1, y0, y1 = self.plan.sample_plan_with_labels(x0, x1, y0, y1)
        out = self._sample(x0, x1, t, True)
        return (*out[:3], y0, y1, out[3]) if return_noise else (*out[:3], y0, y1)

    def _sample(
        self, x0: Tensor, x1: Tensor, t: Tensor | None, return_noise: bool
    ) -> tuple[Tensor, ...]:
        if t is None:
            t = torch.rand(len(x0)).type_as(x0)
        if len(t) != len(x0):
            raise ValueError(f"t has {len(t)} times for {len(x0)} samples; one for each sample.")
        noise = torch.randn_like(x0)
        xt = self.sample_xt(x0, x1, t, noise)
        ut = self.compute_conditional_flow(x0, x1, t, xt)
        return (t, xt, ut, noise) if return_noise else (t, xt, ut)


class ExactOptimalTransportConditionalFlowMatcher(ConditionalFlowMatcher):
    """As `ConditionalFlowMatcher` with pairs from exact minibatch optimal transport."""

    def __init__(self, sigma: float | int = 0.0) -> None:
        super().__init__(sigma)
        self.plan = OTPlanSampler("exact")


class TargetConditionalFlowMatcher(ConditionalFlowMatcher):
    """Lipman's path from noise: x_t = t x1 + (1 - (1-σ) t) ε; x0 is not used."""

    def compute_mu_t(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """t x1."""
        return pad_t_like_x(t, x1) * x1

    def compute_sigma_t(self, t: Tensor) -> Tensor:
        """1 - (1-σ) t."""
        return 1 - (1 - self.sigma) * t

    def compute_conditional_flow(self, x0: Tensor, x1: Tensor, t: Tensor, xt: Tensor) -> Tensor:
        """(x1 - (1-σ) x_t)/(1 - (1-σ) t)."""
        return (x1 - (1 - self.sigma) * xt) / (1 - (1 - self.sigma) * pad_t_like_x(t, x1))


class SchrodingerBridgeConditionalFlowMatcher(ConditionalFlowMatcher):
    """Brownian bridges of strength σ > 0 between pairs from "exact" or entropic ("sinkhorn") OT.

    The entropic strength is 2 σ², as the Schrödinger bridge has it.
    """

    def __init__(self, sigma: float | int = 1.0, ot_method: str = "exact") -> None:
        if sigma <= 0:
            raise ValueError(f"sigma = {sigma}; a Schrödinger bridge needs sigma > 0.")
        super().__init__(sigma)
        self.plan = OTPlanSampler(ot_method, reg=2 * sigma**2)

    def compute_sigma_t(self, t: Tensor) -> Tensor:
        """σ √(t (1-t))."""
        return self.sigma * torch.sqrt(t * (1 - t))

    def compute_conditional_flow(self, x0: Tensor, x1: Tensor, t: Tensor, xt: Tensor) -> Tensor:
        """(1-2t)/(2t(1-t)) (x_t - mean) + x1 - x0."""
        t = pad_t_like_x(t, x0)
        slope = (1 - 2 * t) / (2 * t * (1 - t) + 1e-8)
        return slope * (xt - self.compute_mu_t(x0, x1, t)) + x1 - x0


class VariancePreservingConditionalFlowMatcher(ConditionalFlowMatcher):
    """The trigonometric path cos(πt/2) x0 + sin(πt/2) x1 with constant noise σ."""

    def compute_mu_t(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """cos(πt/2) x0 + sin(πt/2) x1."""
        t = math.pi / 2 * pad_t_like_x(t, x0)
        return torch.cos(t) * x0 + torch.sin(t) * x1

    def compute_conditional_flow(self, x0: Tensor, x1: Tensor, t: Tensor, xt: Tensor) -> Tensor:
        """π/2 (cos(πt/2) x1 - sin(πt/2) x0)."""
        t = math.pi / 2 * pad_t_like_x(t, x0)
        return math.pi / 2 * (torch.cos(t) * x1 - torch.sin(t) * x0)
