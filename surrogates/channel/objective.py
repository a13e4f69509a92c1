"""What emulators of channel flow are trained on: single steps from noisy or own states."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.reflections import reflect_y, reflect_z

__all__ = ["StepObjective"]


class StepObjective:
    r"""Squared error of a step, in units of what the network has to add.

        loss = mean over samples, volume and components of |u' − u_true|² / σ_Δ²

    Where the training starts (moved structures, or persistence) scores about 1. The state that is
    stepped is the data's with noise on it, or, with `unroll` > 1, the model's own after unroll − 1
    steps without gradient (push-forward), so that the model learns to return from where its errors
    lead. Samples are shifted along x and z and reflected in z, and in y where the grid allows it,
    at random: symmetries of the flow.

    Parameters
    ----------
    flows : (runs, time, 3, x, y, z), one frame a step.
    grid : where they live.
    unroll : steps from the start of a window to where the loss is taken.
    batch_size : windows a gradient step.
    noise : standard deviation of white noise on the start, as a share of the fluctuations' rms; it
        passes through the model's constraints first.

    Raises
    ------
    DataError : runs shorter than a window, another grid, non-finite data, negative noise.
    """

    def __init__(
        self,
        flows: Float[Tensor, "runs time 3 x y z"],
        grid: ChannelGrid,
        *,
        unroll: int = 1,
        batch_size: int = 4,
        noise: float = 0.0,
    ):
        if unroll < 1 or batch_size < 1 or noise < 0:
            raise DataError(
                f"unroll = {unroll} and batch_size = {batch_size} must be at least 1, noise = "
                f"{noise} at least 0."
            )
        if flows.shape[1] <= unroll:
            raise DataError(
                f"runs of {flows.shape[1]} frames are shorter than a window of {unroll} + 1. "
                "Simulate longer or unroll less."
            )
        if tuple(flows.shape[2:]) != (3, *grid.shape):
            raise DataError(
                f"flows on {tuple(flows.shape[2:])}; the model is on (3, {grid.shape})."
            )
        if not torch.isfinite(flows).all():
            raise DataError("the training flows hold non-finite values.")
        self.flows, self.grid = flows, grid
        self.unroll, self.batch_size, self.noise = unroll, batch_size, noise

    def draw(self, generator: torch.Generator) -> Float[Tensor, "batch 2 3 x y z"]:
        """Starts and ends of windows, of random runs, times and symmetries."""
        runs, times = self.flows.shape[:2]
        nx, _, nz = self.grid.shape
        windows = []
        for _ in range(self.batch_size):
            run, start, along, across, mirror, turn = (
                int(torch.randint(n, (1,), generator=generator))
                for n in (runs, times - self.unroll, nx, nz, 2, 2)
            )
            window = self.flows[run, [start, start + self.unroll]].roll((along, across), (2, 4))
            if mirror:
                window = reflect_z(window)
            if turn and self.grid.is_symmetric:
                window = reflect_y(window)
            windows.append(window)
        return torch.stack(windows)

    def __call__(self, model: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss on a fresh batch."""
        windows = self.draw(generator)
        kick = torch.randn(windows[:, 0].shape, generator=generator) if self.noise else None
        device = model.mean.device
        start, truth = windows.to(device).unbind(1)
        state = start
        if kick is not None:
            state = start + self.noise * model.scale * kick.to(device)
            if model.constraints is not None:
                state = model.constraints(state, start)
        with torch.no_grad():
            for _ in range(self.unroll - 1):
                state = model(state)
        error = ((model(state) - truth) / model.change_scale).square()
        return {"loss": self.grid.mean(error).mean()}
