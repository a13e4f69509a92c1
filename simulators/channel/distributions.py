"""How velocity is distributed at a few distances from the wall."""

from collections.abc import Sequence

import torch
import xarray as xr
from torch import Tensor

from pushforward.simulators.channel.blocks import BlockSums, mean_and_error
from pushforward.simulators.channel.filtering import CoarseView
from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.errors import DataError

__all__ = ["VelocityDistributions"]

REACH = 6.0  # root mean squares of the first sample to either side of its mean
COMPONENTS = ("u", "v", "w")


class VelocityDistributions:
    """Histograms of u, v, w at given distances from both walls, summed while the flow runs.

    The bins are fixed by the first sample: six of its root mean squares to either side of its
    mean; what lies beyond counts in the last bin. The upper wall's v is turned round, so that
    positive v leaves the wall on both.

    Parameters
    ----------
    flow : the solver whose states will be handed in.
    distances : from the wall, in half heights, above 0 and up to 1.
    block_time : length of a block, in the time units of the flow.
    bins : 201 as in the Moser-Kim-Mansour data base.

    Raises
    ------
    DataError : distances outside the half channel, fewer than 3 bins, a block length that is not
        positive, a first sample without motion; `densities` without samples.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> from pushforward.simulators.channel import perturbed
    >>> seen = VelocityDistributions(flow, [0.5], block_time=1.0, bins=11)
    >>> seen.update(perturbed(flow, seed=0))
    >>> found = seen.densities()
    >>> round(float((found["density"] * found["bin_width"]).sum("bin")[0, 0]), 12)
    1.0
    """

    def __init__(
        self,
        flow: ChannelFlow,
        distances: Sequence[float],
        *,
        block_time: float | int,
        bins: int = 201,
    ) -> None:
        at = torch.as_tensor(list(distances), dtype=torch.float64)
        if at.numel() == 0 or not bool(((at > 0) & (at <= 1)).all()):
            raise DataError(
                f"distances = {list(distances)}; expected at least one above 0 and up to 1, in "
                "half heights from the wall. Divide y+ by Re_tau."
            )
        if bins < 3:
            raise DataError(f"bins = {bins}; at least 3.")
        self.flow, self.distances, self.bins = flow, at, bins
        self.sums = BlockSums(block_time)
        planes = (flow.shape[0], flow.shape[2])
        self._lower, self._upper = (
            CoarseView(flow, planes, at - 1),
            CoarseView(flow, planes, 1 - at),
        )
        self._low: Tensor | None = None
        self._width: Tensor | None = None

    def update(self, state: ChannelState) -> None:
        """Add one state (no batch axis)."""
        turned = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64, device=self.flow.device)
        upper = self._upper(state) * turned[:, None, None, None]
        values = torch.cat((self._lower(state), upper), dim=-1).movedim(-2, 1).flatten(2)
        if self._low is None or self._width is None:
            mean, rms = values.mean(-1), values.std(-1, correction=0)
            if not bool((rms > 0).all()):
                raise DataError(
                    "the first sample does not vary on every plane: its bins would be empty. Hand "
                    "in states of a turbulent flow."
                )
            self._low, self._width = mean - REACH * rms, 2 * REACH * rms / self.bins
        index = ((values - self._low[..., None]) / self._width[..., None]).long()
        counts = torch.zeros(*values.shape[:2], self.bins, dtype=torch.float64)
        index = index.clamp_(0, self.bins - 1).cpu()
        counts.scatter_add_(-1, index, torch.ones_like(index, dtype=torch.float64))
        self.sums.add(
            state.time,
            share=counts / values.shape[-1],
            mean=values.mean(-1),
            friction=self.flow.friction_velocity(state).square(),
        )

    def densities(self) -> xr.Dataset:
        """Probability densities of the fluctuations in wall units, with errors over blocks.

        Returns
        -------
        Dataset over `component` (u, v, w), `y` (half heights) and `bin`: `velocity` (centre of the
        bin less the mean, over u_τ), `bin_width`, `density` (times bin_width it sums to 1),
        `density_error`; attributes `re_tau, u_tau, n_samples, n_blocks`.
        """
        blocks = self.sums.means()
        if self._low is None or self._width is None:
            raise DataError("no samples yet; call update(state) first.")
        u_tau = float(torch.stack([b["friction"] for b in blocks]).mean().sqrt())
        mean = torch.stack([b["mean"] for b in blocks]).mean(0)
        centre = self._low[..., None] + self._width[..., None] * (torch.arange(self.bins) + 0.5)
        width = (self._width / u_tau).cpu()
        density, error = mean_and_error([(b["share"] / width[..., None]).numpy() for b in blocks])
        dims = ("component", "y", "bin")
        return xr.Dataset(
            {
                "velocity": (dims, ((centre - mean[..., None]) / u_tau).cpu().numpy()),
                "bin_width": (dims[:2], width.numpy()),
                "density": (dims, density),
                "density_error": (dims, error),
            },
            {"component": list(COMPONENTS), "y": self.distances.numpy()},
            {
                "re_tau": u_tau / self.flow.viscosity,
                "u_tau": u_tau,
                "n_samples": self.sums.samples,
                "n_blocks": len(blocks),
            },
        )
