"""A population as one vector and a set of tokens: attention over its cells."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.blocks import MLP
from pushforward.surrogates.cells.fourier import FourierFeatures
from pushforward.surrogates.cells.population_graph import check_population

__all__ = ["SetEmbedding", "TokenReader"]

LEAST = -60.0  # logarithm of a weight that is nothing; exponentials that underflow are slow


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
    r"""What the population looks like around some points: attention that falls with distance.

        w_ij = softmax_j( q_i·k_j/√w − |x_i − c_j|²/(2 ℓ²) ),
        out_i = [ W Σ_j w_ij v_j,  Σ_j w_ij c_j − x_i,  log(1 − log ρ_i) ],
        ρ_i = mean_j exp(−|x_i − c_j|²/(2 ℓ²))

    for each head, whose length ℓ is learned from a start between 0.1 and 0.8 (the cells have
    spread 1). The second part is a learned mean shift, towards denser ground; the third tells the
    density ρ, and grows so slowly that it cannot blow a flow up far from all cells. Both are
    local, so that a shape never seen is read by its pieces.

    Parameters
    ----------
    dim : d, coordinates of a point.
    n_query : features of a point.
    width : size of tokens.
    n_out : size of the mixed values.
    generator : of the initial weights.
    """

    HEADS = 4

    def __init__(self, dim: int, n_query: int, width: int, n_out: int, generator: torch.Generator):
        super().__init__()
        self.inner = -(-n_out // self.HEADS) * self.HEADS
        self.query = MLP(n_query, self.inner, hidden=(), generator=generator)
        self.key_value = MLP(width, 2 * self.inner, hidden=(), generator=generator)
        self.out = MLP(self.inner, n_out, hidden=(), generator=generator)
        self.log_length = nn.Parameter(torch.logspace(-1, -0.1, self.HEADS).log())
        self.n_out = n_out + self.HEADS * (dim + 1)

    def forward(
        self,
        points: Float[Tensor, "p m d"],
        features: Float[Tensor, "p m q"],
        cells: Float[Tensor, "p n d"],
        tokens: Float[Tensor, "p n width"],
    ) -> Float[Tensor, "p m out"]:
        """Features of each point, from its own population's cells and their tokens."""
        squared = torch.cdist(points, cells).square()[:, None]
        rate = -0.5 * (-2 * self.log_length).exp()[:, None, None]
        fall = (squared * rate).clamp_min(LEAST)
        key, value = self.key_value(tokens).chunk(2, -1)
        q, k, v = (
            z.unflatten(-1, (self.HEADS, -1)).transpose(1, 2)
            for z in (self.query(features), key, value)
        )
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5 + fall, -1)
        mixed = (weights @ v).transpose(1, 2).flatten(-2)
        shift = (weights @ cells[:, None] - points[:, None]).transpose(1, 2).flatten(-2)
        rarity = torch.log1p(math.log(cells.shape[1]) - torch.logsumexp(fall, -1))
        return torch.cat((self.out(mixed), shift, rarity.transpose(1, 2)), -1)


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
