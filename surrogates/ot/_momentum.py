"""Heavy-ball acceleration of a linearly convergent iteration, tuned by the observed rate."""

import torch
from torch import Tensor

__all__: list[str] = []

# How often the tuning is renewed, and the first renewal.
_EVERY, _FIRST = 6, 6
# An error this many times the smallest so far is no oscillation: the rate was misjudged.
_LOST = 1.5


class Momentum:
    """x ← x + s·step + m·(last change), with s and m per problem of the batch.

    Near its fixed point a Sinkhorn sweep multiplies the error by a matrix with eigenvalues in
    [0, r], r < 1. With 1 - r = γ known, s = 4/(1+√γ)² and m = ((1-√γ)/(1+√γ))² bring the rate from
    r down to √m (Polyak 1964). γ follows from the observed rate ρ of the error under the current s
    and m: sγ = 1 + m - ρ - m/ρ. A growing error switches the momentum off until the next renewal,
    and an error that jumps does so at once: a plateau far from the fixed point looks like a rate
    near 1, and the strides taken upon it can leave the range of float32.
    """

    def __init__(self, x: Tensor):
        self.stride = x.new_ones(x.shape[0])
        self.memory = x.new_zeros(x.shape[0])
        self.drift = torch.zeros_like(x)
        self.history: list[Tensor] = []
        self.least = x.new_full((x.shape[0],), torch.inf)

    def observe(self, error: Tensor, goal: float) -> float:
        """Record the error, (B,); returns the sweeps still to go at the rate to be expected."""
        self.history.append(error)
        lost = ~(error <= _LOST * self.least)
        if lost.any():
            self.stride = torch.where(lost, 1.0, self.stride)
            self.memory = torch.where(lost, 0.0, self.memory)
        self.least = torch.minimum(self.least, error)
        k = len(self.history) - 1
        if k < _FIRST or k % _EVERY:
            return 0.0
        rate = (error / self.history[-5]) ** 0.25
        grown = ~(rate < 1.0)
        gap = (1 + self.memory - rate - self.memory / rate) / self.stride
        gap = torch.where((error <= goal) | ~torch.isfinite(gap), 1.0, gap).clamp(1e-8, 1.0)
        root = gap.sqrt()
        future = ((1 - root) / (1 + root)).clamp_min(0.05)
        self.stride = torch.where(grown, 1.0, 4 / (1 + root).square())
        self.memory = torch.where(grown, 0.0, future.square())
        return ((goal / error).clamp_max(1.0).log() / future.log()).amax().item()

    def change(self, step: Tensor) -> Tensor:
        """What to add to x, (B, m), given the plain step of the iteration."""
        self.drift = self.stride.unsqueeze(-1) * step + self.memory.unsqueeze(-1) * self.drift
        return self.drift
