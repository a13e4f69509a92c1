"""HiPPO memories: a signal's past as coefficients of orthogonal polynomials."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["MEASURES", "HippoMemory", "hippo_features", "hippo_matrices"]

MEASURES = ("lagt", "legt", "legs")


def hippo_matrices(
    measure: str, N: int, *, length: float | int = 100.0, dtype: torch.dtype = torch.float64
) -> tuple[Float[Tensor, "N N"], Float[Tensor, " N"]]:
    r"""A and B of the memory dx/dt = A x + B u; time is counted in frames.

        lagt   A = −(L − I/2), L lower triangular ones;  B = 1        exponentially fading past
        legt   A_ij = −R_i R_j ((−1)^{i−j} if i < j else 1)/θ,  B = R/θ,  R_i = √(2i+1)
                                                                      the last θ frames, evenly
        legs   A_nk = −√((2n+1)(2k+1)) (n > k), −(n+1) (n = k), 0 else;  B_n = √(2n+1);
               the memory is dx/dt = (A x + B u)/t                    the whole past, evenly

    Parameters
    ----------
    measure : lagt, legt or legs (capitals do not matter).
    N : number of coefficients.
    length : θ, the window of legt, in frames; unused by the others. 100 is the released
        temporal-stencil code's.
    dtype : of the result.

    Raises
    ------
    DataError : unknown measure, N below 1, or a window that is not positive.

    References
    ----------
    Gu et al., "HiPPO: Recurrent Memory with Optimal Polynomial Projections", NeurIPS 2020.

    Examples
    --------
    >>> hippo_matrices("lagt", 2)[0].tolist()
    [[-0.5, -0.0], [-1.0, -0.5]]
    """
    name = measure.lower()
    if name not in MEASURES:
        raise DataError(f"unknown measure {measure!r}; known: {', '.join(MEASURES)}.")
    if N < 1 or not length > 0:
        raise DataError(f"N = {N} must be at least 1 and length = {length} positive.")
    n = np.arange(N)
    root = np.sqrt(2 * n + 1.0)
    if name == "lagt":
        a, b = -(np.tril(np.ones((N, N))) - 0.5 * np.eye(N)), np.ones(N)
    elif name == "legt":
        signs = np.where(n[:, None] < n[None, :], (-1.0) ** (n[:, None] - n[None, :]), 1.0)
        a, b = -root[:, None] * root[None, :] * signs / length, root / length
    else:
        a = -np.tril(root[:, None] * root[None, :], -1) - np.diag(n + 1.0)
        b = root
    return torch.from_numpy(a).to(dtype), torch.from_numpy(b).to(dtype)


def hippo_features(
    signal: Float[Tensor, "*batch time"],
    *,
    measure: str,
    N: int,
    dt: float | int = 1.0,
    length: float | int = 100.0,
) -> Float[Tensor, "*batch N"]:
    r"""Coefficients after a signal was fed, frame by frame, into an empty memory.

        x' = (I − dt A/2)^{-1} [(I + dt A/2) x + dt B u]   (bilinear; legs: dt = 1/k at frame k)

    With lagt and dt = 1, and as many coefficients as fade with the signal, this is an isometric
    re-encoding of the frames: |x|² = sum u².

    Parameters
    ----------
    signal : last axis is time, oldest first.
    measure, N, length : as in `hippo_matrices`.
    dt : step in frames; legs does not depend on it.

    Returns
    -------
    (*batch, N).

    Raises
    ------
    DataError : as `hippo_matrices`; an empty or non-finite signal; a step that is not positive.

    Examples
    --------
    >>> import torch
    >>> [round(v, 4) for v in hippo_features(torch.ones(1), measure="lagt", N=4).tolist()]
    [0.8, 0.48, 0.288, 0.1728]
    """
    if signal.shape[-1] == 0 or not torch.isfinite(signal).all():
        raise DataError("the signal is empty or holds non-finite values.")
    memory = HippoMemory(measure, N, dt=dt, length=length)
    return memory.feed(None, signal, 0)


class HippoMemory:
    """A fed memory: how its coefficients change when more frames come.

    Feeding M frames is one affine map, x' = P x + Q u, whose matrices are kept, so that a bundle
    of frames costs one multiplication.

    Parameters
    ----------
    measure, N, dt, length : as in `hippo_features`.

    Examples
    --------
    >>> import torch
    >>> memory = HippoMemory("lagt", 4)
    >>> u = torch.randn(8, dtype=torch.float64)
    >>> once = memory.feed(None, u, 0)
    >>> twice = memory.feed(memory.feed(None, u[:3], 0), u[3:], 3)
    >>> bool(torch.allclose(once, twice))
    True
    """

    def __init__(self, measure: str, N: int, *, dt: float | int = 1.0, length: float | int = 100.0):
        if not dt > 0:
            raise DataError(f"dt = {dt} must be positive; it is counted in frames.")
        hippo_matrices(measure, N, length=length)
        self.measure, self.N, self.dt, self.length = measure.lower(), N, dt, length

    def feed(
        self, state: Float[Tensor, "*batch N"] | None, frames: Float[Tensor, "*batch M"], seen: int
    ) -> Float[Tensor, "*batch N"]:
        """The memory after `frames`, of which `seen` had come before (None: it was empty)."""
        carry, take = self.maps(frames.shape[-1], seen)
        taken = frames @ take.to(frames).T
        return taken if state is None else state @ carry.to(frames).T + taken

    def maps(self, count: int, seen: int) -> tuple[Float[Tensor, "N N"], Float[Tensor, "N M"]]:
        """P and Q of feeding `count` frames after `seen`, float64."""
        start = seen if self.measure == "legs" else 0  # the others do not age
        return _maps(self.measure, self.N, self.dt, self.length, count, start)


@lru_cache(maxsize=256)
def _maps(
    measure: str, N: int, dt: float, length: float, count: int, seen: int
) -> tuple[Float[Tensor, "N N"], Float[Tensor, "N M"]]:
    """P and Q of feeding `count` frames."""
    a, b = hippo_matrices(measure, N, length=length)
    eye = torch.eye(N, dtype=torch.float64)
    carry, take = eye, torch.zeros(N, 0, dtype=torch.float64)
    for frame in range(count):
        step = 1.0 / (seen + frame + 1) if measure == "legs" else dt
        inverse = torch.linalg.inv(eye - step / 2 * a)
        forward = inverse @ (eye + step / 2 * a)
        carry = forward @ carry
        take = torch.cat([forward @ take, (inverse @ b * step)[:, None]], dim=1)
    return carry, take
