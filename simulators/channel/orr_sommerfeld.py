"""The Orr-Sommerfeld problem: how small waves grow or decay on laminar channel flow."""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.channel.chebyshev import Chebyshev
from pushforward.simulators.errors import DataError

__all__ = ["OrrSommerfeldMode", "orr_sommerfeld"]


class OrrSommerfeldMode(NamedTuple):
    """The least stable mode v(y) e^{i(αx - ωt)}: ω, the points and v̂ (largest |v̂| is 1)."""

    omega: complex
    y: Float[Tensor, " n"]
    v: Complex[Tensor, " n"]


def orr_sommerfeld(
    reynolds: float | int, alpha: float | int, *, beta: float | int = 0.0, n: int = 129
) -> OrrSommerfeldMode:
    """The least stable wave on U = 1 - y² at Re = U_c h/ν.

    (U - ω/α)(D² - k²)v - U''v = (D² - k²)² v/(iαRe),   v = Dv = 0 at y = ±1,  k² = α² + β².

    The walls' four conditions are built in by writing v = (1 - y²) q with q = 0 at the walls, so
    the fourth derivative is clamped without rows to replace and no spurious modes arise.

    Parameters
    ----------
    reynolds : on the half height and the laminar centreline velocity.
    alpha, beta : streamwise and spanwise wavenumbers, in 1/h; alpha is not 0.
    n : Chebyshev points; 129 gives ten digits at Re up to 10⁴.

    Returns
    -------
    OrrSommerfeldMode; the imaginary part of `omega` is the growth rate.

    Raises
    ------
    DataError : a Reynolds number that is not positive, or alpha = 0.

    Source: Orszag, *Accurate solution of the Orr-Sommerfeld stability equation*, J. Fluid Mech. 50,
    1971.

    Examples
    --------
    >>> mode = orr_sommerfeld(10000, 1.0)
    >>> f"{mode.omega:.8f}"
    '0.23752649+0.00373967j'
    """
    if not reynolds > 0 or alpha == 0:
        raise DataError(
            f"reynolds = {reynolds}, alpha = {alpha}; expected a positive Reynolds number and a "
            "streamwise wavenumber that is not 0."
        )
    grid = Chebyshev(n)
    y, d = grid.points.numpy(), grid.first.numpy()
    d2 = d @ d
    # (1 - y²) q'''' - 8 y q''' - 12 q'' is the fourth derivative of (1 - y²) q.
    inside = slice(1, -1)
    shape = np.zeros(n)
    shape[inside] = 1 / (1 - y[inside] ** 2)
    fourth = (np.diag(1 - y**2) @ d2 @ d2 - 8 * np.diag(y) @ d2 @ d - 12 * d2) @ np.diag(shape)
    d4, d2, eye = fourth[inside, inside], d2[inside, inside], np.eye(n - 2)
    k2 = alpha**2 + beta**2
    u = np.diag(1 - y[inside] ** 2)
    laplacian = d2 - k2 * eye
    left = alpha * (u @ laplacian + 2 * eye) - (d4 - 2 * k2 * d2 + k2**2 * eye) / (1j * reynolds)
    values, vectors = scipy.linalg.eig(left, laplacian)
    best = int(np.argmax(np.where(np.isfinite(values), values.imag, -np.inf)))
    v = np.zeros(n, dtype=complex)
    v[inside] = vectors[:, best]
    v /= v[np.argmax(np.abs(v))]
    return OrrSommerfeldMode(complex(values[best]), grid.points, torch.from_numpy(v))
