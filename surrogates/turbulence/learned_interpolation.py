"""Learned interpolation: the velocity at hand decides how it is interpolated to the faces."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.turbulence.flow import CoarseFlow
from pushforward.surrogates.turbulence.temporal_stencil import TemporalStencil
from pushforward.surrogates.turbulence.tower import Precision

__all__ = ["LearnedInterpolation"]


class LearnedInterpolation(TemporalStencil):
    r"""A temporal stencil without a past: one frame in, the weights of one step out.

        v' = step(v; a0 + Nᵀ network(v))

    Parameters
    ----------
    flow, hidden, layers, head, order, input_scale, head_gain, precision, seed : see
        `TemporalStencil`.
    bundle : steps for each call of the network; 1 in the paper.

    References
    ----------
    Kochkov et al., "Machine learning-accelerated computational fluid dynamics", PNAS 2021.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.turbulence import CoarseFlow, LearnedInterpolation
    >>> model = LearnedInterpolation(CoarseFlow((16, 16), dt=0.01), hidden=4, layers=1)
    >>> model(torch.zeros(2, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    def __init__(
        self,
        flow: CoarseFlow | Mapping[str, Any],
        *,
        bundle: int = 1,
        hidden: int = 32,
        layers: int = 6,
        head: int = 1,
        order: int = 1,
        input_scale: float = 0.2,
        head_gain: float = 0.0,
        precision: Precision = "float32",
        seed: int = 0,
    ):
        super().__init__(
            flow,
            frames=1,
            memory="raw",
            bundle=bundle,
            hidden=hidden,
            layers=layers,
            head=head,
            order=order,
            input_scale=input_scale,
            head_gain=head_gain,
            precision=precision,
            seed=seed,
        )

    @classmethod
    def paper(
        cls, flow: CoarseFlow | None = None, *, hidden: int = 64, seed: int = 0
    ) -> "LearnedInterpolation":
        """The published size, 255,096 parameters; `hidden=256` is the temporal-stencil paper's
        re-training, 3,231,864."""
        flow = CoarseFlow((64, 64), dt=0.007012483601762931) if flow is None else flow
        return cls(flow, hidden=hidden, head=3, head_gain=1.0, seed=seed)

    def configuration(self) -> dict[str, Any]:
        """Flow and sizes."""
        kept = {k: v for k, v in self.options.items() if k not in ("memory", "features")}
        return {"flow": self.flow.plain(), **kept}

    def forward(
        self, inputs: Float[Tensor, "*batch 2 x y"], *, condition: CoarseFlow | None = None
    ) -> Float[Tensor, "*batch 2 x y"]:
        """The velocity one step on."""
        return self.rollout(inputs.unsqueeze(-4), 1, condition=condition).squeeze(-4)
