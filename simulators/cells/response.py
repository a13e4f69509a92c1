"""A response to treatment that is an optimal transport map by construction."""

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray
from scipy.special import logsumexp, softmax

from pushforward.simulators.errors import DataError

__all__ = ["ConvexResponse"]


@dataclass(frozen=True)
class ConvexResponse:
    r"""The gradient of a strongly convex function: each cell type is moved its own way.

        φ(z) = ½|z|² + τ log Σ_k exp((⟨s_k, z⟩ + b_k)/τ)
        T(z) = ∇φ(z) = z + Σ_k p_k(z) s_k,    p = softmax((S z + b)/τ)

    By Brenier's theorem T is the optimal map (squared Euclidean cost) from any density μ onto
    T#μ. The pieces of the maximum are the cell types: near centre c_k the displacement is s_k.

    Parameters
    ----------
    slopes : (types, latent), the displacement s_k of each type.
    offsets : (types,), b_k.
    temperature : τ > 0, how softly one response passes into the next; latent units.

    Raises
    ------
    DataError : shapes that do not belong together, or a temperature that is not positive.

    References
    ----------
    Brenier, "Polar factorization and monotone rearrangement of vector-valued functions", 1991.

    Examples
    --------
    >>> import numpy as np
    >>> one_way = ConvexResponse(np.array([[1.0, 0.0]]), np.zeros(1), 1.0)
    >>> one_way(np.zeros((1, 2)))
    array([[1., 0.]])
    """

    slopes: Float[ndarray, "types latent"]
    offsets: Float[ndarray, " types"]
    temperature: float

    def __post_init__(self) -> None:
        if len(self.slopes) != len(self.offsets):
            raise DataError(
                f"slopes has {len(self.slopes)} rows and offsets {len(self.offsets)} entries; "
                "both need one a cell type."
            )
        if not self.temperature > 0:
            raise DataError(f"temperature = {self.temperature} must be positive (default 1.0).")

    @classmethod
    def tangent(
        cls,
        centres: Float[ndarray, "types latent"],
        curvature: Float[ndarray, " latent"],
        drift: Float[ndarray, " latent"],
        temperature: float,
    ) -> "ConvexResponse":
        """The response whose pieces are the tangents, at the type centres, of a convex quadratic.

        With q(z) = ½ zᵀ diag(curvature) z + ⟨drift, z⟩ the tangent at c_k has slope ∇q(c_k); the
        maximum over tangents of a convex function at c_k is the k-th, so type k is moved by s_k.
        Curvature must be non-negative.
        """
        if (curvature < 0).any():
            raise DataError(f"curvature has a negative entry ({curvature.min():.3g}); q is convex.")
        slopes = centres * curvature + drift
        heights = 0.5 * (centres**2 * curvature).sum(1) + centres @ drift
        return cls(slopes, heights - (slopes * centres).sum(1), temperature)

    def potential(self, z: Float[ndarray, "n latent"]) -> Float[ndarray, " n"]:
        """φ(z), the convex function whose gradient the map is."""
        scores = (z @ self.slopes.T + self.offsets) / self.temperature
        return 0.5 * (z**2).sum(1) + self.temperature * logsumexp(scores, axis=1)

    def __call__(self, z: Float[ndarray, "n latent"]) -> Float[ndarray, "n latent"]:
        """T(z) = ∇φ(z), the treated state of each cell."""
        scores = (z @ self.slopes.T + self.offsets) / self.temperature
        return z + softmax(scores, axis=1) @ self.slopes
