"""The reflections that map channel flows onto channel flows."""

from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.channel.grid import ChannelGrid

__all__ = ["reflect", "reflect_y", "reflect_z"]


def reflect(
    velocity: Float[Tensor, "*batch 3 x y z"], number: int, grid: ChannelGrid
) -> Float[Tensor, "*batch 3 x y z"]:
    """Reflection 0 to 3 of a cycle: none, z, y, both; on grids that aren't symmetric in y: none, z.

    Each is its own inverse.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelGrid
    >>> grid = ChannelGrid.chebyshev((8, 5, 4), (4.0, 2.0))
    >>> u = torch.randn(3, 8, 5, 4)
    >>> bool(torch.equal(reflect(u, 3, grid), reflect_y(reflect_z(u))))
    True
    """
    if number % 2:
        velocity = reflect_z(velocity)
    if number // 2 % 2 and grid.is_symmetric:
        velocity = reflect_y(velocity)
    return velocity


def reflect_z(velocity: Float[Tensor, "*batch 3 x y z"]) -> Float[Tensor, "*batch 3 x y z"]:
    """z → −z, w → −w.

    Examples
    --------
    >>> import torch
    >>> u = torch.randn(3, 4, 5, 6)
    >>> bool(torch.equal(reflect_z(reflect_z(u)), u))
    True
    """
    sign = velocity.new_tensor([1.0, 1.0, -1.0])[:, None, None, None]
    return sign * velocity.flip(-1).roll(1, -1)


def reflect_y(velocity: Float[Tensor, "*batch 3 x y z"]) -> Float[Tensor, "*batch 3 x y z"]:
    """y → −y, v → −v: the lower wall becomes the upper one."""
    sign = velocity.new_tensor([1.0, -1.0, 1.0])[:, None, None, None]
    return sign * velocity.flip(-2)
