"""What the channel's networks share: three velocity components on a grid in, three out."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.channel.grid import ChannelGrid

__all__ = ["ChannelNetwork", "check_sizes"]


class ChannelNetwork(Surrogate):
    """A network between fields on a channel grid: (n, 3, x, y, z) to the same.

    What the fields mean is the caller's business (`ChannelEmulator`).

    Parameters
    ----------
    grid : where the fields live, or its plain values.
    """

    def __init__(self, grid: ChannelGrid | Mapping[str, Any]):
        super().__init__()
        self.grid = ChannelGrid.of(grid)
        self.options: dict[str, Any] = {}

    def configuration(self) -> dict[str, Any]:
        """Grid and sizes."""
        return {"grid": self.grid.plain(), **self.options}

    def check(self, inputs: Float[Tensor, "..."]) -> None:
        """Refuse an input of another shape."""
        if inputs.ndim != 5 or tuple(inputs.shape[1:]) != (3, *self.grid.shape):
            nx, ny, nz = self.grid.shape
            raise DataError(
                f"{type(self).__name__} made for (n, 3, {nx}, {ny}, {nz}) was given "
                f"{tuple(inputs.shape)}. Make one for that grid, or filter onto this one."
            )


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1."""
    for name, value in sizes.items():
        if value < 1:
            raise DataError(f"{name} = {value} must be at least 1.")
