"""The rows every learned map stands beside: nothing, the mean shift, other patients' cells."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["Populations", "identity", "mean_shift", "pasted"]

Populations = Mapping[str, tuple[Tensor, Tensor]]
"""Control and treated cells, (n, d) and (m, d), of each population."""


def identity(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Do nothing: predict that the treatment has no effect, T(x) = x.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import identity
    >>> identity(torch.zeros(1, 2))
    tensor([[0., 0.]])
    """
    return x


def mean_shift(x: Float[Tensor, "n d"], populations: Populations) -> Float[Tensor, "n d"]:
    """Add the mean effect of the training populations.

        T(x) = x + (1/P) Σ_p (mean(treated_p) − mean(control_p))

    Every population counts the same, whatever its number of cells.

    Parameters
    ----------
    x : control cells to be moved.
    populations : training populations by name, each (control, treated).

    Raises
    ------
    DataError : no population given.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import mean_shift
    >>> training = {"a": (torch.zeros(3, 1), torch.full((4, 1), 2.0))}
    >>> mean_shift(torch.ones(2, 1), training)
    tensor([[3.],
            [3.]])
    """
    if not populations:
        raise DataError("mean_shift needs at least one training population.")
    effects = [treated.mean(0) - control.mean(0) for control, treated in populations.values()]
    return x + torch.stack(effects).mean(0)


def pasted(n: int, populations: Populations, *, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Answer with treated cells of the training populations, drawn evenly from all of them.

    The row that shows how much of a score is the patient and how much the treatment: it knows the
    treated state but nothing of the population asked about.

    Parameters
    ----------
    n : number of cells wanted.
    populations : training populations by name, each (control, treated).
    generator : of the draw (CPU).

    Raises
    ------
    DataError : no population given.
    """
    if not populations:
        raise DataError("pasted needs at least one training population.")
    clouds = [treated for _, treated in populations.values()]
    parts = []
    for i, cloud in enumerate(clouds):
        wanted = n // len(clouds) + (i < n % len(clouds))
        order = torch.randperm(len(cloud), generator=generator).to(cloud.device)
        parts.append(cloud[order[torch.arange(wanted, device=cloud.device) % len(cloud)]])
    return torch.cat(parts)
