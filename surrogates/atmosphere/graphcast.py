"""GraphCast: message passing on a multi-scale icosahedral mesh."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.atmosphere.icosphere import (
    edge_features,
    grid_points,
    grid_to_mesh,
    icosphere,
    mesh_to_grid,
)
from pushforward.surrogates.atmosphere.network import (
    PAPER_GRID,
    GridNetwork,
    check_sizes,
    paper_channels,
    start_small,
)
from pushforward.surrogates.blocks import Interaction, latitude_quadrature, seeded, silu_mlp

__all__ = ["GraphCast"]


class GraphCast(GridNetwork):
    """Grid to mesh, rounds of messages on the edges of all refinements at once, mesh to grid.

    Nodes know their area, the cosine of their colatitude, and cosine and sine of their longitude;
    edges their length and where the sender lies as seen from the receiver. Every grid cell is
    joined to the mesh, also where the published search radius would miss it.

    Parameters
    ----------
    channels_in, channels_out, grid : see `GridNetwork`.
    width : features of nodes and edges.
    depth : rounds on the mesh.
    refinements : of the icosahedron; 3 gives 642 nodes.
    radius : of the search from grid to mesh, in longest finest edges.
    seed : of the initial weights.

    References
    ----------
    Lam et al., "Learning skillful medium-range global weather forecasting", Science 2023; sizes:
    Benson et al., JAMES 2025.

    Examples
    --------
    >>> import torch
    >>> net = GraphCast(7, 3, grid=(8, 16), width=8, depth=1, refinements=1)
    >>> net(torch.zeros(2, 7, 8, 16)).shape
    torch.Size([2, 3, 8, 16])
    """

    grid_static: Tensor
    mesh_static: Tensor
    mesh_edges: Tensor
    up_edges: Tensor
    down_edges: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        grid: Sequence[int],
        width: int = 32,
        depth: int = 4,
        refinements: int = 2,
        radius: float = 0.75,
        seed: int = 0,
    ):
        super().__init__(channels_in, channels_out, grid=grid)
        check_sizes(width=width, depth=depth)
        self.options = {
            "width": width,
            "depth": depth,
            "refinements": refinements,
            "radius": radius,
            "seed": seed,
        }
        mesh, points = icosphere(refinements), grid_points(*self.grid)
        up, down = grid_to_mesh(points, mesh, radius=radius), mesh_to_grid(points, mesh)
        between = edge_features(mesh.nodes[mesh.edges[0]], mesh.nodes[mesh.edges[1]])
        statics = {
            "grid_static": _node_features(points, _cell_areas(*self.grid)),
            "mesh_static": _node_features(mesh.nodes, mesh.areas),
            "mesh_edges": np.insert(between, 1, mesh.dual, axis=1),
            "up_edges": edge_features(points[up[0]], mesh.nodes[up[1]]),
            "down_edges": edge_features(mesh.nodes[down[0]], points[down[1]]),
        }
        for name, table in statics.items():
            tensor = torch.tensor(table, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)
        up_index, mesh_index, down_index = (
            torch.from_numpy(np.ascontiguousarray(e)).long() for e in (up, mesh.edges, down)
        )
        with seeded(seed):
            self.embed_grid = silu_mlp(channels_in + 4, width)
            self.embed_mesh = silu_mlp(4, width)
            self.embed_edges = nn.ModuleDict(
                {"up": silu_mlp(4, width), "mesh": silu_mlp(5, width), "down": silu_mlp(4, width)}
            )
            self.up = Interaction(width, up_index)
            self.grid_own = silu_mlp(width, width)
            self.rounds = nn.ModuleList(Interaction(width, mesh_index) for _ in range(depth))
            self.down = Interaction(width, down_index)
            self.read_out = silu_mlp(width, width, channels_out)
        start_small(self.read_out[-1])

    @classmethod
    def paper(cls, levels: int = 10, *, grid: Sequence[int] = PAPER_GRID) -> "GraphCast":
        """The published size M with refinements 0 to 3."""
        return cls(paper_channels(levels), levels, grid=grid, width=256, depth=8, refinements=3)

    def forward(
        self, inputs: Float[Tensor, "n c lat lon"], *, condition: None = None
    ) -> Float[Tensor, "n out lat lon"]:
        """Channels out, on the same grid."""
        self.check(inputs)
        cells = inputs.flatten(2).transpose(1, 2)
        static = self.grid_static.expand(len(cells), -1, -1).to(cells.dtype)
        cells = self.embed_grid(torch.cat([cells, static], dim=-1))
        nodes = self.embed_mesh(self.mesh_static).expand(len(cells), -1, -1)
        edges = {
            "up": self.embed_edges["up"](self.up_edges)[None],
            "mesh": self.embed_edges["mesh"](self.mesh_edges)[None],
            "down": self.embed_edges["down"](self.down_edges)[None],
        }
        nodes, _ = self.up(cells, nodes, edges["up"])
        cells = cells + self.grid_own(cells)
        between = edges["mesh"]
        for layer in self.rounds:
            nodes, between = layer(nodes, nodes, between)
        cells, _ = self.down(nodes, cells, edges["down"])
        return self.read_out(cells).transpose(1, 2).unflatten(2, self.grid)


def _node_features(points: np.ndarray, areas: np.ndarray) -> Float[np.ndarray, "nodes 4"]:
    """Area relative to the mean, cosine of the colatitude, cosine and sine of the longitude."""
    lon = np.arctan2(points[:, 1], points[:, 0])
    return np.stack([areas / areas.mean(), points[:, 2], np.cos(lon), np.sin(lon)], 1)


def _cell_areas(n_lat: int, n_lon: int) -> Float[np.ndarray, " cells"]:
    _, weights = latitude_quadrature(n_lat)
    return np.repeat(weights, n_lon)
