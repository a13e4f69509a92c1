"""What every prediction of channel flow must satisfy, imposed exactly."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.projection import DivergenceFree

__all__ = ["ChannelConstraints"]


class ChannelConstraints(nn.Module):
    r"""No slip, no divergence, and the mass flux of the field before, in this order.

        u° = P u*                          (`DivergenceFree`; with no_slip alone: walls set to 0)
        u' = u° + (Q − Q°) 3/4 (1 − y²) e_x,    Q = ∫ U dy of the previous field, Q° that of u°

    The parabola has no divergence, no slip and unit flux, so each step leaves what the one before
    it did. Differentiable; used in training and in roll-outs alike.

    Parameters
    ----------
    grid : where the velocities live.
    no_slip, divergence_free, mass_flux : which of them; divergence_free includes no_slip.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelConstraints, ChannelGrid
    >>> grid = ChannelGrid.chebyshev((8, 9, 8), (6.0, 2.0))
    >>> before, after = torch.randn(2, 1, 3, 8, 9, 8, dtype=torch.float64)
    >>> fixed = ChannelConstraints(grid)(after, before)
    >>> bool((grid.mean(fixed[:, 0]) - grid.mean(before[:, 0])).abs() < 1e-12)
    True
    """

    parabola: Tensor
    weights: Tensor

    def __init__(
        self,
        grid: ChannelGrid,
        *,
        no_slip: bool = True,
        divergence_free: bool = True,
        mass_flux: bool = True,
    ):
        super().__init__()
        self.options = {
            "no_slip": no_slip,
            "divergence_free": divergence_free,
            "mass_flux": mass_flux,
        }
        self.project = DivergenceFree(grid) if divergence_free else None
        y = torch.tensor(grid.y, dtype=torch.float64)
        y[[0, -1]] = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        parabola = 1 - y.square()
        self.register_buffer("parabola", parabola / (grid.weights @ parabola), persistent=False)
        self.register_buffer("weights", grid.weights, persistent=False)

    def configuration(self) -> dict[str, Any]:
        """The switches."""
        return dict(self.options)

    def forward(
        self, predicted: Float[Tensor, "n 3 x y z"], previous: Float[Tensor, "n 3 x y z"]
    ) -> Float[Tensor, "n 3 x y z"]:
        """The prediction, made admissible."""
        if self.project is not None:
            predicted = self.project(predicted)
        elif self.options["no_slip"]:
            inner = torch.ones_like(self.weights)
            inner[[0, -1]] = 0
            predicted = predicted * inner.to(predicted)[:, None]
        if not self.options["mass_flux"]:
            return predicted
        missing = self._flux(previous) - self._flux(predicted)
        profile = (missing[:, None] * self.parabola).to(predicted)
        along = predicted[:, :1] + profile[:, None, None, :, None]
        return torch.cat((along, predicted[:, 1:]), 1)

    def _flux(self, velocity: Tensor) -> Tensor:
        return velocity[:, 0].double().mean((-3, -1)) @ self.weights
