"""Learned correction: the plain coarse step, and a network that mends its result."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.turbulence.flow import CoarseFlow
from pushforward.surrogates.turbulence.model import CoarseSurrogate
from pushforward.surrogates.turbulence.tower import PeriodicTower, Precision

__all__ = ["LearnedCorrection"]


class LearnedCorrection(CoarseSurrogate):
    r"""A coarse solver's step plus what a network adds to it, made free of divergence.

        v' = S(v) + dt P network(v, S(v))

    P is the projection: the published form lets the correction diverge, which the next step's
    projection undoes; here every returned velocity is free of divergence. Momentum is not kept.

    Parameters
    ----------
    flow : see `CoarseSurrogate`.
    hidden, layers, head, precision : see `PeriodicTower`.
    input_scale : factor on the network's input; replaced by `calibrate`.
    seed : of the initial weights; the last layer starts at zero, so that training starts from S.

    References
    ----------
    Kochkov et al., "Machine learning-accelerated computational fluid dynamics", PNAS 2021.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.turbulence import CoarseFlow, LearnedCorrection
    >>> model = LearnedCorrection(CoarseFlow((16, 16), dt=0.01), hidden=4, layers=1)
    >>> model(torch.zeros(2, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    scale: Tensor

    def __init__(
        self,
        flow: CoarseFlow | Mapping[str, Any],
        *,
        hidden: int = 32,
        layers: int = 6,
        head: int = 3,
        input_scale: float = 0.2,
        precision: Precision = "float32",
        seed: int = 0,
    ):
        super().__init__(flow, frames=1)
        self.options = {
            "hidden": hidden,
            "layers": layers,
            "head": head,
            "input_scale": input_scale,
            "precision": precision,
            "seed": seed,
        }
        self.register_buffer("scale", torch.tensor(float(input_scale)))
        self.network = PeriodicTower(
            4,
            hidden,
            2,
            layers=layers,
            head=head,
            head_gain=0.0,
            precision=precision,
            generator=torch.Generator().manual_seed(seed),
        )

    def configuration(self) -> dict[str, Any]:
        """Flow and sizes; the scale travels with the weights."""
        return {"flow": self.flow.plain(), **self.options}

    def calibrate(self, history: Float[Tensor, "n frames 2 x y"]) -> None:
        """Scale the velocity to unit mean square over some training histories."""
        self.scale.copy_(1 / history.square().mean().sqrt().clamp_min(1e-12))

    def forward(
        self, inputs: Float[Tensor, "*batch 2 x y"], *, condition: CoarseFlow | None = None
    ) -> Float[Tensor, "*batch 2 x y"]:
        """The velocity one step on."""
        return self.rollout(inputs.unsqueeze(-4), 1, condition=condition).squeeze(-4)

    def march(
        self, history: Float[Tensor, "n frames 2 x y"], flow: CoarseFlow, steps: int, every: int
    ) -> Float[Tensor, "n kept 2 x y"]:
        """See `CoarseSurrogate`."""
        velocity, kept = history[:, -1], []
        for done in range(1, steps + 1):
            plain = self.advance(velocity, flow)
            correction = self.network(self.scale * torch.cat([velocity, plain], dim=1))
            velocity = plain + flow.dt * flow.project(correction)
            if done % every == 0:
                kept.append(velocity)
        return torch.stack(kept, dim=1)
