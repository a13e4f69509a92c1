"""What the four networks share: channels on a latitude-longitude grid in, channels out."""

from collections.abc import Sequence
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate

__all__ = ["GridNetwork", "paper_channels", "start_small"]

N = TypeVar("N", bound="GridNetwork")

PAPER_GRID = (32, 64)  # the published low resolution, 5.625 degrees


def paper_channels(levels: int) -> int:
    """Channels of the published input: ten variables on layers, seven at the surface.

    Examples
    --------
    >>> paper_channels(10)
    107
    """
    return 10 * levels + 7


class GridNetwork(Surrogate):
    """A network between fields on a latitude-longitude grid: (n, channels, lat, lon).

    Latitudes run south to north and are band centres, half a cell off the poles; longitudes run
    eastward around the globe. What the channels mean is the caller's business (`CarbonEmulator`).

    Parameters
    ----------
    channels_in, channels_out : numbers of channels.
    grid : (n_lat, n_lon).
    """

    def __init__(self, channels_in: int, channels_out: int, *, grid: Sequence[int]):
        super().__init__()
        if min(channels_in, channels_out) < 1 or min(grid) < 4:
            raise DataError(
                f"channels {channels_in} -> {channels_out} on a grid of {tuple(grid)}; channels "
                "must be at least 1, sides of the grid at least 4."
            )
        self.channels_in, self.channels_out = channels_in, channels_out
        self.grid = (int(grid[0]), int(grid[1]))
        self.options: dict[str, Any] = {}

    @classmethod
    def paper(cls: type[N], levels: int = 10, *, grid: Sequence[int] = PAPER_GRID) -> N:
        """The published size for that many layers, on the published low-resolution grid."""
        raise NotImplementedError(f"{cls.__name__} has no published size")

    def configuration(self) -> dict[str, Any]:
        """Channels, grid and sizes."""
        return {
            "channels_in": self.channels_in,
            "channels_out": self.channels_out,
            "grid": list(self.grid),
            **self.options,
        }

    def check(self, inputs: Float[Tensor, "..."]) -> None:
        """Refuse an input of another shape."""
        if inputs.ndim != 4 or tuple(inputs.shape[1:]) != (self.channels_in, *self.grid):
            raise DataError(
                f"{type(self).__name__} made for (n, {self.channels_in}, {self.grid[0]}, "
                f"{self.grid[1]}) was given {tuple(inputs.shape)}. Make one for that grid and "
                "those channels."
            )


def start_small(head: nn.Module) -> None:
    """A tenth of the last layer's initial weights: the first forecasts stay near persistence."""
    for parameter in head.parameters():
        parameter.data.mul_(0.1)


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1."""
    for name, value in sizes.items():
        if value < 1:
            raise DataError(f"{name} = {value} must be at least 1.")
