"""Interpolation stencils whose accuracy no network output can break."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["NullSpaceStencil", "face_stencils", "stencil_moments"]

SHIFTS = (-1, 0, 1, 2)
"""Cells of a 4x4 patch relative to the cell that owns the face, along either axis."""


def stencil_moments(
    positions: Float[np.ndarray, "points axes"], order: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Constraints A a = b that make a stencil exact for cell means of polynomials.

        sum_s a_s ∏_d [(x_sd + 1/2)^{m_d+1} − (x_sd − 1/2)^{m_d+1}]/(m_d + 1)
            = the same mean over a unit cell centred at the target,   |m| ≤ order − 1

    Order 1 is one row: the weights sum to one. Order 2 adds that linear fields are reproduced.

    Parameters
    ----------
    positions : centres of the stencil's cells relative to the target, in cells.
    order : of accuracy, at least 1.

    Returns
    -------
    (A, b) : (rows, points) and (rows,).

    Raises
    ------
    DataError : an order below 1, or so high that no stencil of these points has it.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = stencil_moments(np.array([[-0.5], [0.5]]), order=2)
    >>> np.linalg.solve(a, b)
    array([0.5, 0.5])
    """
    points, axes = positions.shape
    if order < 1:
        raise DataError(f"order = {order} must be at least 1.")
    powers = [m for m in np.ndindex(*(order,) * axes) if sum(m) < order]

    def mean(x: np.ndarray, power: int) -> np.ndarray:
        return ((x + 0.5) ** (power + 1) - (x - 0.5) ** (power + 1)) / (power + 1)

    def row(x: np.ndarray, exponents: tuple[int, ...]) -> np.ndarray:
        return np.prod([mean(x[:, d], m) for d, m in enumerate(exponents)], axis=0)

    matrix = np.stack([row(positions, m) for m in powers])
    target = np.concatenate([row(np.zeros((1, axes)), m) for m in powers])
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0]
    if not np.allclose(matrix @ solution, target, atol=1e-9):
        raise DataError(
            f"order = {order} asks for {len(powers)} conditions that {points} points cannot meet. "
            "Lower the order or widen the stencil."
        )
    return matrix, target


@dataclass(frozen=True)
class NullSpaceStencil:
    """All stencils of an order of accuracy: a = a0 + Nᵀ z for any z.

    Parameters
    ----------
    base : a0, (points,), the plain scheme.
    null : N, (free, points), orthonormal rows that span the null space of the constraints. It is
        defined only up to a rotation, which libraries choose differently: keep it with the
        weights that were trained with it.

    References
    ----------
    Bar-Sinai et al., "Learning data-driven discretizations for partial differential equations",
    PNAS 2019; used by Kochkov et al., PNAS 2021.

    Examples
    --------
    >>> import torch
    >>> stencil = face_stencils(order=1)[0]
    >>> stencil.free
    15
    >>> float(stencil.weights(torch.randn(15, dtype=torch.float64)).sum().round(decimals=12))
    1.0
    """

    base: Float[Tensor, " points"]
    null: Float[Tensor, "free points"]

    @classmethod
    def make(
        cls, positions: Float[np.ndarray, "points axes"], base: Sequence[float], order: int
    ) -> "NullSpaceStencil":
        """The stencils of an order through some points, around a plain scheme of that order.

        Raises
        ------
        DataError : the plain scheme itself is not of that order.
        """
        matrix, target = stencil_moments(positions, order)
        plain = np.asarray(base, dtype=np.float64)
        if not np.allclose(matrix @ plain, target, atol=1e-9):
            raise DataError(f"the base stencil is not of order {order}.")
        rank = np.linalg.matrix_rank(matrix)
        null = np.linalg.svd(matrix)[2][rank:]
        return cls(torch.from_numpy(plain), torch.from_numpy(np.ascontiguousarray(null)))

    @property
    def free(self) -> int:
        """Numbers that the network may choose."""
        return self.null.shape[0]

    def weights(self, logits: Float[Tensor, "*batch free"]) -> Float[Tensor, "*batch points"]:
        """a0 + Nᵀ z."""
        return self.base.to(logits) + logits @ self.null.to(logits)


def face_stencils(order: int) -> tuple[NullSpaceStencil, NullSpaceStencil]:
    """Stencils of a 4x4 patch for a face half a cell ahead along x, and one along y.

    Patch points are row-major over shifts −1, 0, 1, 2 along x and y. Along the axis of the face
    they lie at −3/2, −1/2, 1/2, 3/2 cells from it, along the other at −1, 0, 1, 2. The plain
    scheme is the mean of the two cells beside the face.
    """
    made = []
    for axis in (0, 1):
        grid = np.stack(np.meshgrid(SHIFTS, SHIFTS, indexing="ij"), axis=-1).reshape(-1, 2)
        positions = grid.astype(np.float64)
        positions[:, axis] -= 0.5
        beside = (np.abs(positions[:, axis]) == 0.5) & (positions[:, 1 - axis] == 0)
        made.append(NullSpaceStencil.make(positions, (beside / 2).tolist(), order))
    return made[0], made[1]
