"""Noise that lies near the data it is paired with, plain and without change of its law."""

import numpy as np
import torch
from jaxtyping import Float, Num
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._checks import check_floating

__all__ = ["nearest_noise"]


def nearest_noise(
    x: Num[Tensor, "n *shape"],
    *,
    k: int = 4,
    corrected: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n *shape"]:
    """Gaussian noise for each data point, the nearest of k candidates.

    Plain: k fresh noises per point, the nearest is kept: O(n k d). *The law of the chosen noise is
    not N(0, I)*: with data of standard deviation 0.5 its mean square per coordinate is 0.41 in
    d = 2 and 0.84 in d = 50 for k = 4, 0.98 in d = 3072. A sampler that starts from N(0, I) then
    starts outside of what was trained, visibly so in low dimension.

    Corrected: one pool of n noises, each used exactly once. Point i may choose among noise i and
    k - 1 others drawn at random; the choice is the cheapest matching. The batch of noises is
    exactly a batch of N(0, I).

    Parameters
    ----------
    x : data, (n, *shape).
    k : candidates per point; 1 gives independent noise. Plain: 4 for flow matching.
    corrected : keep the law of the noise.
    generator : source of randomness, on the device of x; default: torch's default generator.

    Returns
    -------
    Noise in the order of x, (n, *shape).

    Raises
    ------
    DataError : k < 1, integer data.

    References
    ----------
    Li et al., Improved immiscible diffusion, 2026. The corrected form is ours.

    Examples
    --------
    >>> import torch
    >>> x = 0.5 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> near = nearest_noise(x, k=4, generator=torch.Generator().manual_seed(1))
    >>> kept = nearest_noise(x, k=4, corrected=True, generator=torch.Generator().manual_seed(1))
    >>> near.square().mean().item() < 0.5 < 0.9 < kept.square().mean().item()
    True
    """
    check_floating(x, "x")
    if k < 1:
        raise DataError(f"k = {k}; expected at least 1 candidate.")
    n = len(x)
    flat = x.detach().reshape(n, -1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=x.device, dtype=x.dtype)

    if not corrected:
        noise = draw(n, k, flat.shape[1])
        nearest = (noise - flat.unsqueeze(1)).square().sum(-1).argmin(-1)
        return noise[torch.arange(n, device=x.device), nearest].reshape(x.shape)
    noise = draw(n, flat.shape[1])
    others = torch.randint(n, (n, min(k, n) - 1), generator=generator, device=x.device)
    index = torch.cat([torch.arange(n, device=x.device).unsqueeze(1), others], 1)
    return noise[_match(flat, noise, index)].reshape(x.shape)


def _match(x: Tensor, noise: Tensor, index: Tensor) -> Tensor:
    """Cheapest one-to-one choice among the candidates; noise i for point i is always possible."""
    n, k = index.shape
    distance = (noise[index] - x.unsqueeze(1)).square().sum(-1)
    # The sparse matching needs weights > 0; a common constant changes no choice.
    weight = (distance - distance.min() + 1.0).double().cpu().numpy().ravel()
    rows, columns = np.repeat(np.arange(n), k), index.cpu().numpy().ravel()
    _, first = np.unique(rows * n + columns, return_index=True)
    graph = csr_array((weight[first], (rows[first], columns[first])), shape=(n, n))
    row, column = min_weight_full_bipartite_matching(graph)
    chosen = np.empty(n, dtype=np.int64)
    chosen[row] = column
    return torch.from_numpy(chosen).to(x.device)
