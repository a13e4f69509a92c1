"""An embedding of drugs by what they did: an oracle for any drug held out."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.descriptors import DescriptorTable
from pushforward.surrogates.ot import solve_sample
from pushforward.surrogates.training import stream

__all__ = ["mode_of_action"]


def mode_of_action(
    treated: Mapping[str, Float[Tensor, "_ d"]],
    *,
    n_components: int = 10,
    eps: float = 0.1,
    batch_size: int = 512,
    seed: int = 0,
) -> DescriptorTable:
    """Conditions placed so that their distances are those between their treated cells.

    For every pair of conditions the entropic Wasserstein distance (Euclidean cost, OT_ε with the
    KL term) between one batch of treated cells each, then metric multidimensional scaling
    (SMACOF) of these distances, then one min-max scaling of all coordinates to [0, 1], as in the
    released conditional-Monge code (code). The table is marked as an oracle: to place a drug one
    must have measured its outcome.

    Parameters
    ----------
    treated : treated cells of each condition (or drug) by its label.
    n_components : dimension of the embedding, fewer than the number of conditions.
    eps : entropic strength, absolute, in the unit of the cells.
    batch_size : cells drawn of each condition, without replacement; all if it has fewer.
    seed : of the draw.

    Raises
    ------
    DataError : fewer than 3 conditions, n_components out of range, an empty condition.

    References
    ----------
    de Leeuw, "Applications of convex analysis to multidimensional scaling", 1977 (SMACOF).
    """
    if len(treated) < 3 or not 1 <= n_components < len(treated):
        raise DataError(
            f"{len(treated)} conditions and n_components = {n_components}; expected at least 3 "
            "conditions and fewer components than conditions."
        )
    clouds = []
    for name, cloud in treated.items():
        if not len(cloud):
            raise DataError(f"condition {name!r} has no treated cell, so no mode of action.")
        order = torch.randperm(len(cloud), generator=stream(seed, "mode of action", name))
        clouds.append(cloud[order[:batch_size].to(cloud.device)])
    distances = np.zeros((len(clouds), len(clouds)))
    for i, x in enumerate(clouds):
        for j in range(i):
            found = solve_sample(x, clouds[j], cost="euclidean", eps=eps, tol=1e-3, warn=False)
            distances[i, j] = distances[j, i] = max(found.value.item(), 0.0)
    points = smacof(distances, n_components)
    low, high = points.min(), points.max()
    points = (points - low) / (high - low if high > low else 1.0)
    return DescriptorTable(
        tuple(treated),
        tuple(f"mode_{k}" for k in range(n_components)),
        tuple(map(tuple, points.tolist())),
        oracle=True,
    )


def smacof(
    distances: Float[ndarray, "n n"],
    n_components: int,
    *,
    max_iter: int = 1000,
    tol: float = 1e-9,
) -> Float[ndarray, "n k"]:
    """Points whose Euclidean distances fit the given ones: stress majorisation.

        X ← B(X) X / n,   B_ij = −δ_ij/|x_i − x_j| off the diagonal, rows summing to 0

    Starts from classical scaling (eigenvectors of the doubly centred squared distances), so that
    distances that are Euclidean are met at once. The stress never rises.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [3.0]])
    >>> d = np.abs(points - points.T)
    >>> x = smacof(d, 1)
    >>> bool(np.allclose(np.abs(x - x.T), d))
    True
    """
    n = len(distances)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    leading = np.argsort(-values, kind="stable")[:n_components]
    x = vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0.0))
    before = np.inf
    for _ in range(max_iter):
        apart = np.linalg.norm(x[:, None] - x[None], axis=-1)
        stress = ((apart - distances) ** 2).sum() / 2
        if before - stress <= tol * max(stress, tol):
            break
        before = stress
        b = -np.divide(distances, apart, out=np.zeros_like(apart), where=apart > 0)
        b[np.arange(n), np.arange(n)] = 0.0
        b[np.arange(n), np.arange(n)] = -b.sum(1)
        x = b @ x / n
    return x
