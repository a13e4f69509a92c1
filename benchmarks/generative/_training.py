"""Small networks and a plain training loop that counts what it spends."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["MLP", "Counted", "fit"]


class MLP(nn.Module):
    """(x, t, *more) -> d_out, SELU, ``depth`` hidden layers; more times or labels are appended."""

    def __init__(self, d_in: int, d_out: int, *, width: int, depth: int, seed: int) -> None:
        super().__init__()
        sizes = [d_in, *[width] * depth]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.SELU()]
        self.net = nn.Sequential(*layers, nn.Linear(width, d_out))
        g = torch.Generator().manual_seed(seed)
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for p in layer.parameters():
                    with torch.no_grad():
                        p.copy_((2 * torch.rand(p.shape, generator=g) - 1) * bound)

    def forward(self, x: Tensor, *more: Tensor, **condition: Tensor) -> Tensor:
        """Everything after x is flattened and appended to it."""
        extra = [m.reshape(len(x), -1) for m in (*more, *condition.values())]
        return self.net(torch.cat([x, *extra], 1))


class Counted:
    """A callable that counts the rows it was asked for."""

    def __init__(self, f: Callable[..., Tensor]) -> None:
        self.f, self.rows = f, 0

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.rows += len(x)
        return self.f(x, *args, **kwargs)


def fit(
    model: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    learning_rate: float = 1e-3,
) -> float:
    """Adam with the learning rate falling to 0 on a cosine; returns the seconds it took."""
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    start = time.perf_counter()
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()
        schedule.step()
    return time.perf_counter() - start
