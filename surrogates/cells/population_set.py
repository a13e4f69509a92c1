"""A population as one vector and a set of tokens: attention over its cells."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.blocks import MLP
from pushforward.surrogates.cells.fourier import FourierFeatures
from pushforward.surrogates.cells.population_graph import check_population

__all__ = ["SetEmbedding", "TokenReader"]


class SetEmbedding(nn.Module):
    r"""A set transformer: cells attend to each other through a few inducing points.

        H₀ = MLP[x, ψ(x)],   I ← attend(I, H₀),   H = H₀ + attend(H₀, I),   φ = mean_i H_i / |·|

    ψ are frozen Fourier features. H are the tokens, one a cell; `TokenReader` lets a point ask
    them what the population looks like around it. The cost is linear in the number of cells.

    Parameters
    ----------
    dim : d, coordinates of a cell.
    width : size of tokens and embedding.
    inducing : number of inducing points.
    fourier : number of frequencies of ψ.
    fourier_scale : standard deviation of their entries.
    generator : of the initial weights.

    References
    ----------
    Lee et al., "Set Transformer", ICML 2019 (induced set attention, mean pooling).

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.population_set import SetEmbedding
    >>> g = torch.Generator().manual_seed(0)
    >>> embed = SetEmbedding(2, width=8, inducing=4, fourier=8, fourier_scale=0.2, generator=g)
    >>> vector, tokens = embed(torch.randn(3, 20, 2, generator=g))
    >>> vector.shape, tokens.shape
    (torch.Size([3, 8]), torch.Size([3, 20, 8]))
    """

    def __init__(
        self,
        dim: int,
        *,
        width: int,
        inducing: int,
        fourier: int,
        fourier_scale: float,
        generator: torch.Generator,
    ):
        super().__init__()
        self.features = FourierFeatures(dim, fourier, scale=fourier_scale, generator=generator)
        self.entry = MLP(dim + 2 * fourier, width, hidden=(width,), generator=generator)
        points = torch.randn(inducing, width, generator=generator) / width**0.5
        self.inducing = nn.Parameter(points)
        self.gather = _Attention(width, width, width, generator)
        self.spread = _Attention(width, width, width, generator)

    def forward(
        self, cells: Float[Tensor, "p n d"]
    ) -> tuple[Float[Tensor, "p width"], Float[Tensor, "p n width"]]:
        """Unit vectors, and tokens in the order of the cells."""
        check_population(cells)
        h = self.entry(torch.cat((cells, self.features(cells)), -1))
        induced = self.gather(self.inducing.expand(len(cells), -1, -1), h)
        tokens = h + self.spread(h, induced)
        return nn.functional.normalize(tokens.mean(1), dim=-1), tokens


class TokenReader(nn.Module):
    """What the population's tokens say at some points: one layer of cross-attention.

    Queries are made from the point's features, so that a head can act as a kernel around the
    point and see the population's local density.

    Parameters
    ----------
    n_query : features of a point.
    width : size of tokens.
    n_out : features given to each point.
    generator : of the initial weights.
    """

    def __init__(self, n_query: int, width: int, n_out: int, generator: torch.Generator):
        super().__init__()
        self.attend = _Attention(n_query, width, n_out, generator)

    def forward(
        self, points: Float[Tensor, "p m q"], tokens: Float[Tensor, "p n width"]
    ) -> Float[Tensor, "p m out"]:
        """Features of each point, from its own population's tokens."""
        return self.attend(points, tokens)


class _Attention(nn.Module):
    """softmax(q kᵀ/√w) v with 4 heads, queries and tokens of different sizes."""

    HEADS = 4

    def __init__(self, n_query: int, n_token: int, n_out: int, generator: torch.Generator):
        super().__init__()
        inner = -(-n_out // self.HEADS) * self.HEADS
        self.query = MLP(n_query, inner, hidden=(), generator=generator)
        self.key_value = MLP(n_token, 2 * inner, hidden=(), generator=generator)
        self.out = MLP(inner, n_out, hidden=(), generator=generator)

    def forward(self, points: Tensor, tokens: Tensor) -> Tensor:
        key, value = self.key_value(tokens).chunk(2, -1)
        heads = [
            z.unflatten(-1, (self.HEADS, -1)).transpose(1, 2)
            for z in (self.query(points), key, value)
        ]
        mixed = nn.functional.scaled_dot_product_attention(*heads)
        return self.out(mixed.transpose(1, 2).flatten(-2))
