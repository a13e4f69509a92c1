"""Learned interpolation from past frames: temporal stencil modelling."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.turbulence.flow import CoarseFlow
from pushforward.surrogates.turbulence.memory import FrameMemory, HippoFrames, Memory
from pushforward.surrogates.turbulence.model import CoarseSurrogate
from pushforward.surrogates.turbulence.stencil import face_stencils
from pushforward.surrogates.turbulence.tower import PeriodicTower, Precision

__all__ = ["TemporalStencil"]

INTERPOLATIONS = 8  # 2 components x (carries, is carried) x 2 axes


class TemporalStencil(CoarseSurrogate):
    r"""A network turns the past of every cell into the interpolation weights of coming steps.

        z_1, …, z_B = network(memory of v_t, v_{t−1}, …),     weights_b = a0 + Nᵀ z_b
        v_{t+b} = step(v_{t+b−1}; weights_b),                 b = 1 … B

    The weights of each of the 8 interpolations sum to one for any z, and z = 0 is the plain scheme.
    The network is called at step 0 and after every B steps; the patches that the weights combine
    always come from the current velocity. (The papers' released code starts with B steps of z = 0
    and uses every fourth set twice, a period of 5; here the equations are followed.) Predicted
    frames are fed to the memory like given ones.

    Parameters
    ----------
    flow : see `CoarseSurrogate`.
    frames : past frames given at the start.
    memory : raw, lagt, legt or legs: the frames themselves, or HiPPO coefficients of them.
    features : N, coefficients for each component; unused by raw. legt with few coefficients
        resolves a window of smooth frames best for its cost; it is the default.
    bundle : B.
    hidden, layers, head : see `PeriodicTower`. The defaults are lean: minutes of training on a
        CPU. `paper` gives the published sizes.
    order : of accuracy that no output can break, 1 or 2.
    input_scale : factor on the features; replaced feature by feature by `calibrate`.
    head_gain : factor on the last layer's initial weights. 0 starts from the plain scheme, which
        short trainings profit from.
    precision : of the hidden layers; see `PeriodicTower`.
    seed : of the initial weights.

    Raises
    ------
    DataError : sizes that make no sense; see `CoarseSurrogate` for inputs.

    References
    ----------
    Sun, Yang and Yoo, "A Neural PDE Solver with Temporal Stencil Modeling", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.turbulence import CoarseFlow, TemporalStencil
    >>> model = TemporalStencil(CoarseFlow((16, 16), dt=0.01), frames=4, hidden=4, layers=1)
    >>> history = torch.zeros(3, 4, 2, 16, 16)
    >>> model(history).shape, model.rollout(history, 10).shape
    (torch.Size([3, 4, 2, 16, 16]), torch.Size([3, 10, 2, 16, 16]))
    """

    scale: Tensor
    base: Tensor
    null: Tensor

    def __init__(
        self,
        flow: CoarseFlow | Mapping[str, Any],
        *,
        frames: int = 16,
        memory: str = "legt",
        features: int = 6,
        bundle: int = 4,
        hidden: int = 32,
        layers: int = 6,
        head: int = 1,
        order: int = 1,
        input_scale: float = 0.1,
        head_gain: float = 0.0,
        precision: Precision = "float32",
        seed: int = 0,
    ):
        super().__init__(flow, frames=frames)
        if bundle < 1:
            raise DataError(f"bundle = {bundle} must be at least 1.")
        self.options = {
            "memory": memory,
            "features": features,
            "bundle": bundle,
            "hidden": hidden,
            "layers": layers,
            "head": head,
            "order": order,
            "input_scale": input_scale,
            "head_gain": head_gain,
            "precision": precision,
            "seed": seed,
        }
        self.bundle = bundle
        self.memory: FrameMemory | HippoFrames
        if memory == "raw":
            self.memory = FrameMemory(frames)
        else:
            self.memory = HippoFrames(memory, features, length=float(frames))
        stencils = face_stencils(order) * (INTERPOLATIONS // 2)
        self.register_buffer("base", torch.cat([s.base for s in stencils]).float())
        self.register_buffer("null", torch.block_diag(*(s.null.T for s in stencils)).float())
        self.register_buffer("scale", torch.full((self.memory.channels, 1, 1), float(input_scale)))
        self.network = PeriodicTower(
            self.memory.channels,
            hidden,
            bundle * self.null.shape[1],
            layers=layers,
            head=head,
            head_gain=head_gain,
            precision=precision,
            generator=torch.Generator().manual_seed(seed),
        )

    @classmethod
    def paper(cls, flow: CoarseFlow | None = None, *, seed: int = 0) -> "TemporalStencil":
        """The published size: 32 frames in 256 Laguerre coefficients, 256 channels, 4 steps a call.

        5,236,704 parameters.
        """
        flow = CoarseFlow((64, 64), dt=0.007012483601762931) if flow is None else flow
        return cls(
            flow,
            frames=32,
            memory="lagt",
            features=256,
            bundle=4,
            hidden=256,
            head=3,
            head_gain=1.0,
            seed=seed,
        )

    def configuration(self) -> dict[str, Any]:
        """Flow and sizes; scales, plain scheme and null space travel with the weights."""
        return {"flow": self.flow.plain(), "frames": self.frames, **self.options}

    def calibrate(self, history: Float[Tensor, "n frames 2 x y"]) -> None:
        """Scale every feature to unit mean square over some training histories."""
        features = self.memory.features(self.memory.begin(history[:, -self.frames :]))
        spread = features.square().mean((0, 2, 3)).sqrt()
        self.scale.copy_(1 / spread.clamp_min(1e-12)[:, None, None])

    def weights(self, memory: Memory) -> Iterator[Float[Tensor, "n 128 x y"]]:
        """Interpolation weights of the coming steps, one set at a time, ordered as `interpolate`.

        The constraints are folded into the head: (a0 + Nᵀ b) + (Nᵀ W) h costs no more than W h.
        """
        hidden = self.network.trunk(self.memory.features(memory) * self.scale)
        weights, biases = self.network.last
        for weight, bias in zip(weights.chunk(self.bundle), biases.chunk(self.bundle), strict=True):
            folded = (self.null @ weight.flatten(1)).unflatten(1, weight.shape[1:])
            yield self.network.head(hidden, folded, torch.addmv(self.base, self.null, bias))

    def forward(
        self,
        inputs: Float[Tensor, "*batch frames 2 x y"],
        *,
        condition: CoarseFlow | None = None,
    ) -> Float[Tensor, "*batch bundle 2 x y"]:
        """The next `bundle` velocities."""
        return self.rollout(inputs, self.bundle, condition=condition)

    def march(
        self, history: Float[Tensor, "n frames 2 x y"], flow: CoarseFlow, steps: int, every: int
    ) -> Float[Tensor, "n kept 2 x y"]:
        """See `CoarseSurrogate`."""
        memory, velocity, kept, done = self.memory.begin(history), history[:, -1], [], 0
        while done < steps:
            bundle = []
            for weights in islice(self.weights(memory), steps - done):
                velocity = self.advance(velocity, flow, weights)
                bundle.append(velocity)
                done += 1
                if done % every == 0:
                    kept.append(velocity)
            if done < steps:
                memory = self.memory.feed(memory, torch.stack(bundle, dim=1))
        return torch.stack(kept, dim=1)
