"""A population as one vector: a graph network over its nearest neighbours, averaged."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pushforward.simulators.errors import DataError

__all__ = ["GraphEmbedding", "knn_graph"]

BLOCK = 2048  # rows of distances held at once


def knn_graph(x: Float[Tensor, "p n d"], k: int) -> Int[Tensor, "2 edges"]:
    r"""Edges j → i from the k nearest neighbours j of every cell i, within its own population.

    Cell i of population q is node q n + i. There are no self-edges, and where a population has
    fewer than k + 1 cells every other cell is a neighbour: k is cut to n − 1.

    Parameters
    ----------
    x : (populations, cells, coordinates).
    k : neighbours, at least 0; 0 gives a graph without edges.

    Returns
    -------
    (2, p n min(k, n − 1)): row 0 the neighbours, row 1 the cells they belong to.

    Raises
    ------
    DataError : negative k, or coordinates that are not finite.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.population_graph import knn_graph
    >>> knn_graph(torch.tensor([[[0.0], [1.0], [3.0]]]), 1).tolist()
    [[1, 0, 1], [0, 1, 2]]
    """
    if k < 0:
        raise DataError(f"k = {k} neighbours; expected 0 or more.")
    bad = int((~torch.isfinite(x)).any(-1).sum())
    if bad:
        raise DataError(
            f"{bad} cells hold NaN or infinity, so they have no neighbours. Remove them first."
        )
    p, n, _ = x.shape
    k = min(k, n - 1)
    if k == 0:
        return torch.empty(2, 0, dtype=torch.long, device=x.device)
    first = torch.arange(p, device=x.device)[:, None, None] * n
    near = []
    for start in range(0, n, BLOCK):
        distance = torch.cdist(x[:, start : start + BLOCK], x)
        rows = torch.arange(distance.shape[1], device=x.device)
        distance[:, rows, start + rows] = torch.inf
        near.append(distance.topk(k, dim=-1, largest=False).indices)
    neighbours = torch.cat(near, 1) + first
    cells = (torch.arange(n, device=x.device)[None, :, None] + first).expand_as(neighbours)
    return torch.stack((neighbours.reshape(-1), cells.reshape(-1)))


class GraphEmbedding(nn.Module):
    r"""φ(X) = h/|h|,   h = mean_i GCN(X, kNN(X))_i: the population embedding of meta flow matching.

        GCN layer:  H ← relu( D^{-1/2} (A + I) D^{-1/2} H W + b ),   no relu after the last

    D counts the in-edges and the self-edge. k = 0 leaves only the self-edges: a network applied to
    each cell and averaged, DeepSets. The result does not depend on the order of the cells.

    Parameters
    ----------
    dim : d, coordinates of a cell.
    width : size of the embedding and of the hidden layers.
    layers : graph convolutions, at least 1.
    neighbours : k of the graph.
    generator : of the initial weights.

    Raises
    ------
    DataError : fewer than 2 cells in a population: it has no shape to embed.

    References
    ----------
    Atanackovic et al., "Meta Flow Matching", ICLR 2025; Kipf and Welling, ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells.population_graph import GraphEmbedding
    >>> g = torch.Generator().manual_seed(0)
    >>> embed = GraphEmbedding(2, width=8, layers=2, neighbours=5, generator=g)
    >>> x = torch.randn(3, 20, 2, generator=g)
    >>> embed(x).norm(dim=-1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(
        self, dim: int, *, width: int, layers: int, neighbours: int, generator: torch.Generator
    ):
        from torch_geometric.nn import GCNConv  # a second of imports, paid only by those who use it

        super().__init__()
        self.neighbours = neighbours
        with torch.random.fork_rng():  # torch-geometric draws from the global state, undone here
            convolutions = [GCNConv(dim if i == 0 else width, width) for i in range(layers)]
        for layer in convolutions:
            nn.init.xavier_uniform_(layer.lin.weight, generator=generator)
        self.layers = nn.ModuleList(convolutions)

    def forward(self, cells: Float[Tensor, "p n d"]) -> Float[Tensor, "p width"]:
        """Unit vectors, one for each population."""
        check_population(cells)
        p, n, d = cells.shape
        edges = knn_graph(cells, self.neighbours)
        h = cells.reshape(p * n, d)
        for i, layer in enumerate(self.layers):
            h = layer(torch.relu(h) if i else h, edges)
        return nn.functional.normalize(h.reshape(p, n, -1).mean(1), dim=-1)


def check_population(cells: Tensor) -> None:
    """Refuse populations that are too small to be told from one another."""
    if cells.ndim != 3 or cells.shape[1] < 2:
        raise DataError(
            f"populations of shape {tuple(cells.shape)}; expected (populations, cells, "
            "coordinates) with at least 2 cells each: one cell has no shape to embed."
        )
