"""The multilayer perceptron, initialised from an explicit generator."""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    r"""Linear layers with GELU between them.

        h₀ = x,   h_{i+1} = gelu(W_i h_i + b_i),   y = W_L h_L + b_L

    Weights and biases are uniform on ±1/√fan_in (PyTorch's own law for linear layers), drawn from
    the generator given, not from the global state.

    Parameters
    ----------
    n_in, n_out : sizes of x and y.
    hidden : widths of the hidden layers; empty gives one affine map.
    generator : of the initial weights.
    zero_last : start with y = 0, so that a residual map starts at the identity.

    Examples
    --------
    >>> net = MLP(3, 2, hidden=(8,), generator=torch.Generator().manual_seed(0), zero_last=True)
    >>> net(torch.ones(5, 3)).abs().sum().item()
    0.0
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        hidden: Sequence[int] = (64, 64),
        generator: torch.Generator,
        zero_last: bool = False,
    ):
        super().__init__()
        widths = [n_in, *hidden, n_out]
        layers = [nn.utils.skip_init(nn.Linear, a, b) for a, b in itertools.pairwise(widths)]
        with torch.no_grad():
            for layer in layers:
                bound = 1 / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
            if zero_last:
                layers[-1].weight.zero_()
                layers[-1].bias.zero_()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        """y for a batch of x."""
        for layer in self.layers[:-1]:
            x = nn.functional.gelu(layer(x))
        return self.layers[-1](x)
