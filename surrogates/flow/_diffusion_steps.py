"""Step rules that use the path: exact in the part of the motion that the schedule prescribes.

They work on the end points x̂1 and x̂0 implied by the network's prediction, so that on any affine
path a field with constant x̂0 (or x̂1) along its trajectories is solved in one step.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ._affine import AffinePath

__all__ = ["PATH_RULES", "PathRule"]

#: (x, t) -> (x̂1, x̂0); one call of the network.
Ends = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class PathRule:
    """One step of a method that knows the path."""

    def __init__(self, path: AffinePath) -> None:
        self.path = path

    def step(self, ends: Ends, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at time s from the state x at time t."""
        raise NotImplementedError


class DDIM(PathRule):
    """x_s = α_s x̂1 + σ_s x̂0: first order; on the linear path this is Euler."""

    def step(self, ends: Ends, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        x1, x0 = ends(x, t)
        return self.path.alpha(s) * x1 + self.path.sigma(s) * x0


class DPMSolver2M(PathRule):
    """DPM-Solver++(2M): second order in λ = log(α/σ), one call a step.

    First order where λ is infinite, at t = 0 if α(0) = 0 and at t = 1.
    Source: Lu et al., *DPM-Solver++*, 2022.
    """

    def __init__(self, path: AffinePath) -> None:
        super().__init__(path)
        self.last: tuple[Tensor, Tensor] | None = None

    def step(self, ends: Ends, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        x1, x0 = ends(x, t)
        h = self.path.snr(s).log() - self.path.snr(t).log()
        mean = x1
        if self.last is not None and bool(torch.isfinite(h) & torch.isfinite(self.last[1])):
            x1_last, h_last = self.last
            mean = x1 + h / (2 * h_last) * (x1 - x1_last)
        self.last = (x1, h)
        if mean is x1:
            return self.path.alpha(s) * x1 + self.path.sigma(s) * x0
        ratio = self.path.sigma(s) / self.path.sigma(t)
        return ratio * x - self.path.alpha(s) * torch.expm1(-h) * mean


class EDMHeun(PathRule):
    """Heun in y = x/α against σ/α, where dy = x̂0 d(σ/α): second order, two calls a step.

    As in EDM, the step that ends in σ = 0 is not corrected; neither is one that starts in α = 0.
    Source: Karras et al., 2022, algorithm 1.
    """

    def step(self, ends: Ends, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        a, b = self.path.alpha(s), self.path.sigma(s)
        x1, x0 = ends(x, t)
        guess = a * x1 + b * x0
        if float(b) <= 0 or float(self.path.alpha(t)) <= 0:
            return guess
        x0_end = ends(guess, s)[1]
        change = b / a - self.path.sigma(t) / self.path.alpha(t)
        return a * (x / self.path.alpha(t) + change * (x0 + x0_end) / 2)


PATH_RULES: dict[str, type[PathRule]] = {
    "ddim": DDIM,
    "dpm_solver_2m": DPMSolver2M,
    "edm_heun": EDMHeun,
}
