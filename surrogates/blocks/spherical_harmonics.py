"""Spherical harmonic transforms on latitude-longitude grids, exact for what the grid resolves."""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError

__all__ = ["SphericalHarmonicTransform", "associated_legendre", "latitude_quadrature"]

Nodes = Literal["half-offset", "gauss"]


def latitude_quadrature(n: int, nodes: Nodes = "half-offset") -> tuple[np.ndarray, np.ndarray]:
    r"""Sines of n latitudes, south to north, and weights of ∫ f(μ) dμ over [−1, 1].

    `half-offset`: centres of n equal latitude bands, θ_j = (j + 1/2) π/n. Fejér's first rule is
    exact there for polynomials in μ of degree n − 1:

        w_j = (2/n) (1 − 2 Σ_{k=1}^{⌊n/2⌋} cos(2 k θ_j)/(4k² − 1))

    (for even n the last term vanishes). `gauss`: roots of the Legendre polynomial, degree 2n − 1.

    Examples
    --------
    >>> mu, w = latitude_quadrature(4)
    >>> round(float(w @ mu**2), 12), round(float(w.sum()), 12)
    (0.666666666667, 2.0)
    """
    if n < 2:
        raise DataError(f"n = {n} latitudes; a transform needs at least 2.")
    if nodes == "gauss":
        return np.polynomial.legendre.leggauss(n)
    if nodes != "half-offset":
        raise DataError(f"nodes = {nodes!r}; expected half-offset or gauss.")
    theta = (np.arange(n) + 0.5) * np.pi / n
    k = np.arange(1, n // 2 + 1)
    terms = np.cos(2 * np.outer(theta, k)) / (4 * k**2 - 1)
    return -np.cos(theta), 2 / n * (1 - 2 * terms.sum(1))


def associated_legendre(mu: np.ndarray, degrees: int, orders: int) -> np.ndarray:
    r"""Normalised associated Legendre functions, (orders, degrees, len(mu)), with l, m from 0.

        Y_lm = P_lm(μ) exp(i m λ),   ∫ |Y_lm|² over the sphere = 1

    with the Condon-Shortley sign; by the stable three-term recurrence in l. Zero for l < m.
    """
    out = np.zeros((orders, degrees, len(mu)))
    cosine = np.sqrt(1 - mu**2)
    diagonal = np.full(len(mu), math.sqrt(1 / (4 * math.pi)))
    for m in range(min(orders, degrees)):
        if m:
            diagonal = -math.sqrt((2 * m + 1) / (2 * m)) * cosine * diagonal
        out[m, m] = diagonal
        for degree in range(m + 1, degrees):
            a = math.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
            b = math.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
            before = out[m, degree - 2] if degree - 2 >= m else 0.0
            out[m, degree] = a * (mu * out[m, degree - 1] - b * before)
    return out


class SphericalHarmonicTransform(nn.Module):
    r"""Between a field on a latitude-longitude grid and its spherical harmonic coefficients.

        f(λ, μ) = Σ_l Σ_{|m| ≤ l} a_lm P_lm(μ) exp(i m λ),   a_{l,−m} = (−1)^m conj(a_lm)

    Latitudes run south to north, longitudes eastward from 0. For each order m the analysis is the
    least-squares fit of the Fourier coefficients over latitude, weighted with the quadrature of
    the nodes. Where the quadrature is exact (up to degree (n−1)/2 on half-offset nodes, n − 1 on
    Gauss nodes) that is the quadrature itself; above, it stays exact for every field that holds no
    degree beyond `degrees`, where the quadrature alone does not.

    Parameters
    ----------
    n_lat, n_lon : the grid.
    degrees : l < degrees; default min(n_lat, n_lon / 2).
    orders : m < orders; default min(degrees, n_lon / 2).
    nodes : half-offset (band centres, half a cell off the poles) or gauss.
    dtype : of the tables.

    Raises
    ------
    DataError : more degrees than latitudes, or orders than n_lon / 2 (they would alias).

    Examples
    --------
    >>> import torch
    >>> transform = SphericalHarmonicTransform(8, 16, dtype=torch.float64)
    >>> a = transform(torch.ones(8, 16, dtype=torch.float64))
    >>> round(a[0, 0].real.item() ** 2 / (4 * math.pi), 12), round(a.abs().sum().item(), 6)
    (1.0, 3.544908)
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(
        self,
        n_lat: int,
        n_lon: int,
        *,
        degrees: int | None = None,
        orders: int | None = None,
        nodes: Nodes = "half-offset",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        degrees = min(n_lat, n_lon // 2) if degrees is None else degrees
        orders = min(degrees, n_lon // 2) if orders is None else orders
        if not 1 <= degrees <= n_lat or not 1 <= orders <= n_lon // 2:
            raise DataError(
                f"degrees = {degrees} and orders = {orders} on a grid of {n_lat} x {n_lon}; at "
                f"most {n_lat} degrees and {n_lon // 2} orders can be told apart there."
            )
        self.n_lat, self.n_lon, self.degrees, self.orders = n_lat, n_lon, degrees, orders
        mu, weights = latitude_quadrature(n_lat, nodes)
        legendre = associated_legendre(mu, degrees, orders)
        analysis = np.zeros_like(legendre)
        root = np.sqrt(weights)
        for m in range(min(orders, degrees)):
            analysis[m, m:] = np.linalg.pinv(2 * np.pi * (legendre[m, m:] * root).T) * root
        tables = {"analysis": analysis, "synthesis": legendre}
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table, dtype=dtype), persistent=False)

    def forward(self, field: Float[Tensor, "*batch lat lon"]) -> Complex[Tensor, "*batch l m"]:
        """Coefficients of m ≥ 0; zero where m > l."""
        if tuple(field.shape[-2:]) != (self.n_lat, self.n_lon):
            raise DataError(
                f"a field of {tuple(field.shape[-2:])} for a transform on "
                f"({self.n_lat}, {self.n_lon})."
            )
        waves = torch.fft.rfft(field, dim=-1)[..., : self.orders] * (2 * math.pi / self.n_lon)
        parts = torch.view_as_real(waves)
        found = torch.einsum("mlj,...jmc->...lmc", self.analysis, parts)
        return torch.view_as_complex(found.contiguous())

    def inverse(self, coefficients: Complex[Tensor, "*batch l m"]) -> Float[Tensor, "*b lat lon"]:
        """The real field that has these coefficients."""
        parts = torch.view_as_real(coefficients)
        waves = torch.einsum("mlj,...lmc->...jmc", self.synthesis, parts)
        waves = torch.view_as_complex(waves.contiguous()) * self.n_lon
        return torch.fft.irfft(waves, n=self.n_lon, dim=-1)

    def power(self, field: Float[Tensor, "*batch lat lon"]) -> Float[Tensor, "*batch l"]:
        """Σ_m |a_lm|² by degree, both signs of m: adds up to ∫ f² over the unit sphere."""
        squares = self(field).abs().square()
        return 2 * squares.sum(-1) - squares[..., 0]
