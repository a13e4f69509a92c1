"""Means and standard deviations of a training split, in one pass over blocks of times."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.datasets.atmosphere.data import BLOCK, CarbonData
from pushforward.datasets.atmosphere.variables import INPUTS_2D, INPUTS_3D
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json

__all__ = ["CarbonStatistics", "Moments", "carbon_statistics"]

SMALLEST = 1e-14  # a standard deviation below this is that of a constant field


class Moments:
    """Mean and variance of blocks that come one after the other, in float64 (Chan's update).

    Examples
    --------
    >>> moments = Moments(1)
    >>> for block in (torch.tensor([[1.0], [2.0]]), torch.tensor([[6.0]])):
    ...     moments.add(block)
    >>> moments.mean.item(), round(moments.std.item() ** 2, 6)
    (3.0, 4.666667)
    """

    def __init__(self, channels: int):
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)
        self.low = torch.full((channels,), torch.inf, dtype=torch.float64)
        self.high = torch.full((channels,), -torch.inf, dtype=torch.float64)

    def add(self, block: Float[Tensor, "n channels"]) -> None:
        """Take in some more rows."""
        block = block.double()
        n, mean = len(block), block.mean(0)
        total = self.count + n
        shift = mean - self.mean
        self.squares += (block - mean).square().sum(0) + shift.square() * self.count * n / total
        self.mean += shift * n / total
        self.count = total
        self.low = torch.minimum(self.low, block.amin(0))
        self.high = torch.maximum(self.high, block.amax(0))

    @property
    def std(self) -> Float[Tensor, " channels"]:
        """Standard deviation over all rows."""
        return (self.squares / self.count).sqrt()


@dataclass(frozen=True)
class CarbonStatistics:
    """What normalises a network's inputs and outputs; from the training split only.

    Parameters
    ----------
    offset, scale : variable -> mean and standard deviation over times, layers and cells.
    low, high : variable -> least and greatest value.
    delta_offset, delta_scale : of the change of `co2massmix` in a step, layer by layer.
    times : first and last of the split, and how many.
    fingerprint : of the data.
    """

    offset: dict[str, float]
    scale: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    delta_offset: list[float]
    delta_scale: list[float]
    times: list[str]
    fingerprint: str

    def input_scales(self) -> tuple[list[float], list[float]]:
        """Offsets and scales of the input channels, in the order of `input_names`."""
        levels = len(self.delta_offset)
        names = [*INPUTS_2D, *(name for name in INPUTS_3D for _ in range(levels))]
        return [self.offset[n] for n in names], [self.scale[n] for n in names]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CarbonStatistics":
        """Read what `save` wrote."""
        import json

        try:
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**content)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} holds no statistics of CO2 data: {error}.") from error


def carbon_statistics(data: CarbonData) -> CarbonStatistics:
    """One pass over the data, a block of times in memory.

    State statistics are scalars over times, layers and cells; those of changes are by layer: the
    published choice. A constant variable gets the scale 1.

    Parameters
    ----------
    data : the training split.
    """
    levels = len(data.level)
    channels = ("co2massmix", *INPUTS_2D, *INPUTS_3D)
    moments = {name: Moments(1) for name in channels}
    delta = Moments(levels)
    breaks = {str(g.after) for g in data.gaps}
    last = len(data) - 1
    first = 0
    while first < last:
        steps = 0
        while first + steps < last and steps < BLOCK:
            if str(data.times[first + steps]) in breaks:
                break
            steps += 1
        if steps == 0:
            first += 1
            continue
        window = data.window(first, steps)
        moments["co2massmix"].add(window.concentration[:steps].reshape(-1, 1))
        for i, name in enumerate(INPUTS_2D):
            moments[name].add(window.inputs[:, i].reshape(-1, 1))
        for i, name in enumerate(INPUTS_3D):
            begin = len(INPUTS_2D) + i * levels
            moments[name].add(window.inputs[:, begin : begin + levels].reshape(-1, 1))
        change = window.concentration.diff(dim=0)
        delta.add(change.permute(0, 2, 3, 1).reshape(-1, levels))
        first += steps
    guarded = {k: m.std.item() if m.std.item() > SMALLEST else 1.0 for k, m in moments.items()}
    spread = torch.where(delta.std > SMALLEST, delta.std, 1.0)
    return CarbonStatistics(
        offset={k: m.mean.item() for k, m in moments.items()},
        scale=guarded,
        low={k: m.low.item() for k, m in moments.items()},
        high={k: m.high.item() for k, m in moments.items()},
        delta_offset=delta.mean.tolist(),
        delta_scale=spread.tolist(),
        times=[str(data.times[0]), str(data.times[-1]), str(len(data))],
        fingerprint=data.fingerprint,
    )
