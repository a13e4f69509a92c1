"""A small flow-matching trainer that compares couplings and nothing else."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from pushforward.surrogates.ot import sliced_wasserstein, wasserstein

__all__ = ["Trained", "euler", "floor", "judge", "train"]

# A coupling turns source and data batches into pairs and weights.
Coupling = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor | None]]
Sampler = Callable[[int, torch.Generator], Tensor]


class Field(nn.Module):
    """Velocity v(t, x): three hidden layers of 64, SELU."""

    def __init__(self, d: int):
        super().__init__()
        widths = [d + 1, 64, 64, 64]
        layers: list[nn.Module] = []
        for one, two in pairwise(widths):
            layers += [nn.Linear(one, two), nn.SELU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, d))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Velocity at times t (n, 1) and points x (n, d)."""
        return self.net(torch.cat([x, t], -1))


@dataclass
class Trained:
    """A field, the milliseconds of a coupling and of a step, and intermediate errors."""

    field: Field
    coupling_ms: float
    step_ms: float
    checks: list[tuple[int, float]] = field(default_factory=list)


def train(
    coupling: Coupling,
    source: Sampler,
    data: Sampler,
    *,
    d: int,
    steps: int,
    seed: int,
    batch: int = 256,
    check: Callable[[Field], float] | None = None,
) -> Trained:
    """Flow matching on straight paths, Adam 1e-3; a seed gives every coupling the same start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Field(d)
    generator = torch.Generator().manual_seed(1000 + seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    result = Trained(model, 0.0, 0.0)
    begin = time.perf_counter()
    for step in range(1, steps + 1):
        x0, x1 = source(batch, generator), data(batch, generator)
        start = time.perf_counter()
        x0, x1, weight = coupling(x0, x1, generator)
        result.coupling_ms += 1e3 * (time.perf_counter() - start) / steps
        t = torch.rand(len(x0), 1, generator=generator)
        off = (model(t, (1 - t) * x0 + t * x1) - (x1 - x0)).square().sum(-1)
        loss = (off if weight is None else weight * off).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if check is not None and step % max(1, steps // 10) == 0:
            result.checks.append((step, check(model)))
    result.step_ms = 1e3 * (time.perf_counter() - begin) / steps
    return result


@torch.no_grad()
def euler(model: Field, x: Tensor, nfe: int) -> tuple[Tensor, float]:
    """End points of nfe Euler steps, and the path energy ∫ E|v|² dt."""
    energy = 0.0
    for k in range(nfe):
        v = model(torch.full_like(x[:, :1], k / nfe), x)
        energy += v.square().sum(-1).mean().item() / nfe
        x = x + v / nfe
    return x, energy


def judge(model: Field, source: Sampler, data: Sampler, n: int, seed: int = 7) -> dict[str, float]:
    """W2 at 1, 5 and 50 evaluations, and the normalised path energy."""
    generator = torch.Generator().manual_seed(seed)
    x0, x1 = source(n, generator), data(n, generator)
    values = {}
    energy = 0.0
    for nfe in (1, 5, 50):
        end, energy = euler(model, x0, nfe)
        values[f"W2_at_{nfe}"] = wasserstein(end, x1).item()
    least = wasserstein(x0, x1).square().item()
    values["path_energy_excess"] = abs(energy - least) / least
    return values


def floor(data: Sampler, n: int, seed: int) -> dict[str, float]:
    """What a perfect model would score: W2 between two samples of the data."""
    generator = torch.Generator().manual_seed(100 + seed)
    value = wasserstein(data(n, generator), data(n, generator)).item()
    return {f"W2_at_{nfe}": value for nfe in (1, 5, 50)}


def sliced_error(source: Sampler, data: Sampler, n: int, seed: int = 7) -> Callable[[Field], float]:
    """SW2 of 20 Euler steps against fixed data: cheap enough for ten looks a run."""
    generator = torch.Generator().manual_seed(seed)
    x0, x1 = source(n, generator), data(n, generator)
    return lambda model: sliced_wasserstein(euler(model, x0, 20)[0], x1).item()
