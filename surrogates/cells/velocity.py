"""The velocity network of a flow between populations."""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.cells.fourier import FourierFeatures, time_features

__all__ = ["VelocityNetwork"]


class VelocityNetwork(nn.Module):
    r"""v(x, t | c): a SELU network of the point, the time and a context vector.

        h₀ = selu(W₀ [c, τ(t), ψ(x), x]),   h_{i+1} = selu(W_i h_i + b_i + h_i),   v = W_L h_L

    τ are sines and cosines of t, ψ frozen Fourier features. Without `skips` the "+ h_i" falls away
    (the letters network of the released code). W_L starts at zero: training starts from "nothing
    moves".

    Parameters
    ----------
    dim : d, coordinates of a point.
    context : size of c.
    width, layers : of the hidden layers.
    skips : add each layer's input to its output, before the SELU.
    n_time : time features.
    fourier, fourier_scale : frequencies of ψ and their standard deviation.
    generator : of the initial weights.

    References
    ----------
    Atanackovic et al., "Meta Flow Matching", ICLR 2025; Klambauer et al., 2017 (SELU).

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.velocity import VelocityNetwork
    >>> g = torch.Generator().manual_seed(0)
    >>> net = VelocityNetwork(2, 3, width=8, layers=2, skips=True, n_time=4, fourier=4,
    ...                       fourier_scale=0.2, generator=g)
    >>> net(torch.ones(5, 2), torch.zeros(5), torch.zeros(5, 3)).abs().sum().item()
    0.0
    """

    def __init__(
        self,
        dim: int,
        context: int,
        *,
        width: int,
        layers: int,
        skips: bool,
        n_time: int,
        fourier: int,
        fourier_scale: float,
        generator: torch.Generator,
    ):
        super().__init__()
        self.n_time, self.skips = n_time, skips
        self.features = FourierFeatures(dim, fourier, scale=fourier_scale, generator=generator)
        sizes = [context + n_time + 2 * fourier + dim, *[width] * layers]
        linear = [nn.utils.skip_init(nn.Linear, a, b) for a, b in itertools.pairwise(sizes)]
        with torch.no_grad():
            for layer in linear:  # LeCun's law keeps the variance that SELU is made for
                bound = math.sqrt(3 / layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()
        self.layers = nn.ModuleList(linear)
        self.last = nn.utils.skip_init(nn.Linear, width, dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def time(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch n_time"]:
        """Features of the time."""
        return time_features(t, self.n_time)

    def forward(
        self,
        x: Float[Tensor, "*batch d"],
        t: Float[Tensor, "*batch"],
        context: Float[Tensor, "*batch c"],
    ) -> Float[Tensor, "*batch d"]:
        """Velocities of the points."""
        h = torch.cat((context, self.time(t), self.features(x), x), -1)
        for i, layer in enumerate(self.layers):
            new = layer(h)
            h = nn.functional.selu(new + h if self.skips and i else new)
        return self.last(h)
