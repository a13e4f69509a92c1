"""Many small networks trained side by side: one batched matrix product instead of many calls."""

import itertools
import math

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """``members`` independent MLPs of the same shape, input [x, t] (+ condition), SELU.

    The weights of member k depend on ``seeds[k]`` alone, in the usual uniform initialisation of
    ±1/√fan_in. Adam acts elementwise, so training the sum of the members' losses trains each as
    if it were alone. Called with x (members, n, d_in); `member(k)` is a field for one of them.
    """

    def __init__(self, seeds: list[int], d_in: int, d_out: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [d_in, *[width] * depth, d_out]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        generators = [torch.Generator().manual_seed(s) for s in seeds]
        for a, b in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(a)
            w = torch.stack([torch.rand(a, b, generator=g) for g in generators])
            c = torch.stack([torch.rand(1, b, generator=g) for g in generators])
            self.weights.append(nn.Parameter((2 * w - 1) * bound))
            self.biases.append(nn.Parameter((2 * c - 1) * bound))

    def forward(self, x: Tensor) -> Tensor:
        """(members, n, d_in) -> (members, n, d_out)."""
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(b, x, w)
            if i < last:
                x = torch.selu(x)
        return x

    def member(self, k: int) -> "Member":
        """Member k as a field (x, t, *further times or labels)."""
        return Member(self, k)


class Member:
    """One network of an `Ensemble`, called like any field; frozen at its present weights."""

    def __init__(self, ensemble: Ensemble, k: int) -> None:
        self.layers = [
            (w[k].detach(), b[k].detach())
            for w, b in zip(ensemble.weights, ensemble.biases, strict=True)
        ]

    def __call__(self, x: Tensor, t: Tensor, *more: Tensor) -> Tensor:
        h = torch.cat([x, t[:, None], *(m.reshape(len(x), -1) for m in more)], 1)
        for i, (w, b) in enumerate(self.layers):
            h = torch.addmm(b, h, w)
            if i < len(self.layers) - 1:
                h = torch.selu(h)
        return h
