"""Training by unrolled roll-outs, short ones first."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.training.stage import Stage
from pushforward.surrogates.turbulence.flow import CoarseFlow

__all__ = ["RolloutObjective", "Stage"]


class RolloutObjective:
    r"""Mean squared error of a roll-out against the down-sampled reference.

        loss = mean over flows, steps 1 … unroll, cells and components of |v − v_ref|² / var(v_ref)

    Every step counts; the gradient runs through the whole roll-out. A batch is drawn from random
    flows and start times. Where the flow's forcing allows it (k h a multiple of π/n, as in the
    data sets), windows are also turned by half a turn and mirrored in x with a shift by half a
    wave, at random: symmetries of the equations and of the reference, so new training flows at
    no cost.

    Parameters
    ----------
    trajectories : (flows, time, 2, x, y), one frame a time step.
    flow : their flow.
    frames : of history for each window.
    unroll : time steps of a roll-out.
    batch_size : windows a gradient step.

    Raises
    ------
    DataError : trajectories shorter than a window, another grid, or non-finite.
    """

    def __init__(
        self,
        trajectories: Float[Tensor, "flows time 2 x y"],
        flow: CoarseFlow,
        *,
        frames: int,
        unroll: int,
        batch_size: int,
    ):
        self.window = frames + unroll
        if trajectories.shape[1] < self.window:
            raise DataError(
                f"trajectories of {trajectories.shape[1]} frames are shorter than a window of "
                f"{frames} + {unroll}. Simulate longer or unroll less."
            )
        if tuple(trajectories.shape[2:]) != (2, *flow.shape):
            raise DataError(
                f"trajectories on {tuple(trajectories.shape[2:])}; the flow is on (2, "
                f"{flow.shape[0]}, {flow.shape[1]})."
            )
        if not torch.isfinite(trajectories).all():
            raise DataError("the training trajectories hold non-finite values.")
        self.trajectories, self.flow = trajectories, flow
        self.frames, self.unroll, self.batch_size = frames, unroll, batch_size
        self.variance = trajectories.var().item()

    def draw(self, generator: torch.Generator) -> Float[Tensor, "batch window 2 x y"]:
        """Windows of random flows, times and symmetries."""
        flows, times = self.trajectories.shape[:2]
        shape = (self.batch_size,)
        flow = torch.randint(flows, shape, generator=generator)
        start = torch.randint(times - self.window + 1, shape, generator=generator)
        turn, mirror = torch.randint(2, (2, self.batch_size), generator=generator).bool()
        windows = self.trajectories[flow[:, None], start[:, None] + torch.arange(self.window)]
        windows = torch.where(turn[:, None, None, None, None], half_turn(windows), windows)
        shift = _half_wave(self.flow)
        if shift is None:
            return windows
        mirrored = mirror_x(windows).roll(shift, -1)
        return torch.where(mirror[:, None, None, None, None], mirrored, windows)

    def __call__(self, model: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss on a fresh batch."""
        windows = self.draw(generator).to(next(model.parameters()).device)
        given, wanted = windows.split([self.frames, self.unroll], dim=1)
        predicted = model.rollout(given, self.unroll, condition=self.flow)
        error = (predicted - wanted).square().mean((0, 2, 3, 4)) / self.variance
        return {"loss": error.mean(), "last_step": error[-1]}


def half_turn(velocity: Float[Tensor, "*batch 2 x y"]) -> Float[Tensor, "*batch 2 x y"]:
    """Turn a staggered velocity by 180 degrees: (x, y) → (−x, −y), v → −v.

    Examples
    --------
    >>> import torch
    >>> v = torch.randn(2, 4, 6)
    >>> bool(torch.equal(half_turn(half_turn(v)), v))
    True
    """
    return -_reverse(_reverse(velocity, -2), -1)


def mirror_x(velocity: Float[Tensor, "*batch 2 x y"]) -> Float[Tensor, "*batch 2 x y"]:
    """Mirror a staggered velocity: x → −x, u → −u."""
    sign = velocity.new_tensor([-1.0, 1.0])[:, None, None]
    return sign * _reverse(velocity, -2)


def _reverse(velocity: Float[Tensor, "*batch 2 x y"], axis: int) -> Float[Tensor, "*batch 2 x y"]:
    """Reverse an axis about the origin: faces normal to it change places, centres only flip."""
    flipped = velocity.flip(axis)
    normal = 0 if axis == -2 else 1
    parts = list(flipped.unbind(-3))
    parts[normal] = parts[normal].roll(-1, axis)
    return torch.stack(parts, -3)


def _half_wave(flow: CoarseFlow) -> int | None:
    """Cells in half a wave of the forcing; 0 without forcing; None if they are not whole."""
    if flow.amplitude == 0:
        return 0
    cells = torch.pi / flow.wavenumber / flow.spacing
    return round(cells) if abs(cells - round(cells)) < 1e-6 else None
