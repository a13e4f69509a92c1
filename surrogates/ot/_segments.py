"""Groups of different sizes as one batch."""

import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._checks import check_floating

__all__ = ["pad_segments"]


def pad_segments(
    x: Num[Tensor, "n d"],
    labels: Shaped[Tensor, "n_labels"],
    *,
    groups: Shaped[Tensor, "g"] | None = None,
) -> tuple[Float[Tensor, "g size d"], Float[Tensor, "g size"], Shaped[Tensor, "g"]]:
    """Split points by label into a padded batch with weights, for every solver of this package.

    Short groups are filled up with copies of their first point at weight 0. An atom of weight 0
    takes no part in any solver, so that the padding changes no value, plan or gradient.

    Parameters
    ----------
    x : points, (n, d).
    labels : group of each point, (n,).
    groups : labels to return, in this order, (g,); default: those that occur, sorted. Pass the
        groups of one side to split the other side alike.

    Returns
    -------
    points (g, size, d), weights (g, size) that sum to 1 in each group, and groups (g,). Gradients
    reach x.

    Raises
    ------
    DataError : a group without points, labels of the wrong length.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [2.0], [3.0]])
    >>> points, weights, groups = pad_segments(x, torch.tensor([7, 4, 7]))
    >>> points[:, :, 0].tolist(), weights.tolist(), groups.tolist()
    ([[2.0, 2.0], [1.0, 3.0]], [[1.0, 0.0], [0.5, 0.5]], [4, 7])
    """
    check_floating(x, "x")
    if labels.shape != x.shape[:1]:
        raise DataError(
            f"labels has shape {tuple(labels.shape)}; expected ({len(x)},), one for each point."
        )
    groups = labels.unique() if groups is None else groups
    member = labels.unsqueeze(0) == groups.unsqueeze(1)
    counts = member.sum(1)
    if len(groups) == 0 or (counts == 0).any():
        empty = groups[counts == 0].tolist()
        raise DataError(
            f"groups {empty} hold no points; expected at least one each. Leave them out of groups."
        )
    # Members first, in their own order; the slots beyond a group's count repeat its first point.
    order = member.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    size = int(counts.max())
    inside = torch.arange(size, device=x.device) < counts.unsqueeze(1)
    index = torch.where(inside, order[:, :size], order[:, :1])
    weights = inside.to(x.dtype) / counts.unsqueeze(1)
    return x[index], weights, groups
