"""Dropping branches and entries in training, from a generator that the caller hands over."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Drop", "draw_drops_from"]


class Drop(nn.Module):
    """Zero entries, or whole samples, with a probability; scale the rest to keep the mean.

        y = x · keep / (1 − p),   keep = 1 with probability 1 − p

    Draws come from the generator set by `draw_drops_from`, so that a resumed training equals an
    uninterrupted one. Without a generator, or in evaluation, nothing is dropped.

    Parameters
    ----------
    probability : p, of each entry or sample.
    whole_samples : drop a residual branch of a whole sample (stochastic depth) instead of entries.

    Examples
    --------
    >>> import torch
    >>> drop = Drop(0.5).train()
    >>> draw_drops_from(drop, torch.Generator().manual_seed(0))
    >>> sorted(set(drop(torch.ones(50)).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, probability: float, *, whole_samples: bool = False):
        super().__init__()
        self.probability, self.whole_samples = probability, whole_samples
        self.generator: torch.Generator | None = None

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """x, thinned out in training."""
        if not self.training or self.probability == 0 or self.generator is None:
            return x
        shape = (len(x), *[1] * (x.ndim - 1)) if self.whole_samples else x.shape
        keep = torch.rand(shape, generator=self.generator) >= self.probability
        return x * keep.to(x) / (1 - self.probability)


def draw_drops_from(model: nn.Module, generator: torch.Generator | None) -> None:
    """Hand the generator of a training step to every `Drop` of a model."""
    for module in model.modules():
        if isinstance(module, Drop):
            module.generator = generator
