"""What the learned models of coarse turbulence share: a step, a roll-out, checks of the input."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.turbulence.advection import advection
from pushforward.surrogates.turbulence.flow import CoarseFlow

__all__ = ["CoarseSurrogate"]


class CoarseSurrogate(Surrogate):
    r"""A learned model of a coarse velocity: some past frames in, coming frames out.

    Every subclass ends its step with the solver's own projection and implicit diffusion,
    so that what it returns is free of divergence to rounding, whatever was learned:

        v* = v + dt (A(v) + f − γ v),    v' = (1 − ν dt ∇²)^{-1} P v*

    Parameters
    ----------
    flow : the flow it is trained on, or its plain values. Another flow of the same spacing and
        time step may be given as `condition` later: other viscosity, forcing, or a larger domain.
    frames : past frames that it needs.
    """

    def __init__(self, flow: CoarseFlow | Mapping[str, Any], *, frames: int):
        super().__init__()
        if frames < 1:
            raise DataError(f"frames = {frames} must be at least 1.")
        self.flow, self.frames = CoarseFlow.of(flow), frames

    def march(
        self, history: Float[Tensor, "n frames 2 x y"], flow: CoarseFlow, steps: int, every: int
    ) -> Float[Tensor, "n kept 2 x y"]:
        """The roll-out itself, after the checks."""
        raise NotImplementedError

    def calibrate(self, history: Float[Tensor, "n frames 2 x y"]) -> None:
        """Set the scales of the network's inputs from some training histories."""
        raise NotImplementedError

    def rollout(
        self,
        history: Float[Tensor, "*batch frames 2 x y"],
        steps: int,
        *,
        condition: CoarseFlow | None = None,
        every: int = 1,
    ) -> Float[Tensor, "*batch kept 2 x y"]:
        """Go on from some frames.

        Parameters
        ----------
        history : consecutive velocities, one a time step, oldest first; u at offset (1, 1/2), v at
            (1/2, 1). The last `frames` of them are used.
        steps : time steps to go.
        condition : the flow, if it is not the one of training.
        every : keep every so many steps.

        Returns
        -------
        (*batch, steps // every, 2, x, y). A flow that blows up goes on as inf and NaN, and leaves
        the others of the batch alone.

        Raises
        ------
        DataError : too few frames, non-finite velocity, another grid, spacing or time step.
        """
        flow = self.checked(history, condition)
        if steps < 1 or every < 1:
            raise DataError(f"steps = {steps} and every = {every} must be at least 1.")
        batch = history.shape[:-4]
        recent = history[..., -self.frames :, :, :, :]
        kept = self.march(recent.reshape(-1, *recent.shape[-4:]), flow, steps, every)
        return kept.reshape(*batch, *kept.shape[1:])

    def checked(
        self, history: Float[Tensor, "*batch time 2 x y"], condition: CoarseFlow | None
    ) -> CoarseFlow:
        """The flow to step, once it and the velocities are seen to fit this model."""
        flow = self.flow if condition is None else condition
        if abs(flow.spacing / self.flow.spacing - 1) > 1e-6 or flow.dt != self.flow.dt:
            raise DataError(
                f"the model was made for spacing {self.flow.spacing:.6g} and dt "
                f"{self.flow.dt:.6g}; the flow has {flow.spacing:.6g} and {flow.dt:.6g}. Keep both "
                "and change the number of cells with the domain."
            )
        if history.ndim < 4 or tuple(history.shape[-3:]) != (2, *flow.shape):
            raise DataError(
                f"velocities of shape {tuple(history.shape)}; expected (..., time, 2, "
                f"{flow.shape[0]}, {flow.shape[1]}). Down-sample to that grid first."
            )
        if history.shape[-4] < self.frames:
            raise DataError(
                f"{history.shape[-4]} frames given; {type(self).__name__} needs {self.frames} "
                f"consecutive ones, {flow.dt:.6g} time units apart."
            )
        bad = ~torch.isfinite(history)
        if bad.any():
            first = tuple(bad.nonzero()[0].tolist())
            raise DataError(f"the velocity is not finite, first at index {first}.")
        return flow

    @staticmethod
    def advance(
        velocity: Float[Tensor, "n 2 x y"],
        flow: CoarseFlow,
        weights: Float[Tensor, "n 128 x y"] | None = None,
    ) -> Float[Tensor, "n 2 x y"]:
        """One step of the solver with interpolation weights; None: the plain scheme."""
        change = advection(velocity, weights, flow.spacing) + flow.force(velocity)
        if flow.drag:
            change = change - flow.drag * velocity
        return flow.relax(velocity + flow.dt * change)
