"""Message passing on graphs whose edges carry features of their own."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["Interaction", "silu_mlp"]


def silu_mlp(n_in: int, width: int, n_out: int | None = None) -> nn.Sequential:
    """Linear, SiLU, linear without bias; then a layer norm unless `n_out` says it is a read-out."""
    layers: list[nn.Module] = [
        nn.Linear(n_in, width),
        nn.SiLU(),
        nn.Linear(width, n_out or width, bias=False),
    ]
    return nn.Sequential(*layers, *([nn.LayerNorm(width)] if n_out is None else []))


class Interaction(nn.Module):
    r"""One round of messages from sender to receiver nodes, along edges with features.

        e'_k = MLP_e(e_k, s_{i(k)}, r_{j(k)})
        r'_j = r_j + MLP_r(r_j, mean over k to j of e'_k),   e_k ← e_k + e'_k

    The first layer of MLP_e is applied to senders and receivers before they are gathered on the
    edges, which are several times more: the same sums at a fraction of the work.

    Parameters
    ----------
    width : features of nodes and edges.
    index : (2, edges), numbers of sender and receiver.

    References
    ----------
    Battaglia et al., "Interaction networks", NeurIPS 2016; Lam et al., "Learning skillful
    medium-range global weather forecasting", Science 2023.

    Examples
    --------
    >>> import torch
    >>> layer = Interaction(4, torch.tensor([[0, 1, 1], [0, 0, 1]]))
    >>> nodes, edges = layer(torch.ones(1, 2, 4), torch.ones(1, 2, 4), torch.ones(1, 3, 4))
    >>> nodes.shape, edges.shape
    (torch.Size([1, 2, 4]), torch.Size([1, 3, 4]))
    """

    index: Tensor

    def __init__(self, width: int, index: Int[Tensor, "2 edges"]):
        super().__init__()
        self.width = width
        self.edge = silu_mlp(3 * width, width)
        self.node = silu_mlp(2 * width, width)
        self.register_buffer("index", index, persistent=False)

    def forward(
        self,
        senders: Float[Tensor, "batch senders width"],
        receivers: Float[Tensor, "batch receivers width"],
        edges: Float[Tensor, "#batch edges width"],
    ) -> tuple[Float[Tensor, "batch receivers width"], Float[Tensor, "batch edges width"]]:
        """Receivers and edges after the round."""
        from torch_geometric.utils import scatter  # a second of imports, paid only by those in need

        first: nn.Linear = self.edge[0]  # type: ignore[assignment]
        of_edge, of_sender, of_receiver = first.weight.split(self.width, dim=1)
        mixed = (
            nn.functional.linear(edges, of_edge, first.bias)
            + nn.functional.linear(senders, of_sender).index_select(-2, self.index[0])
            + nn.functional.linear(receivers, of_receiver).index_select(-2, self.index[1])
        )
        messages = self.edge[1:](mixed)
        mean = scatter(messages, self.index[1], dim=-2, dim_size=receivers.shape[-2], reduce="mean")
        changed = receivers + self.node(torch.cat([receivers, mean], dim=-1))
        return changed, edges + messages
