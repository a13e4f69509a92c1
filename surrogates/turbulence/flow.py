"""The flow that a coarse model steps: its grid, its physics, and the linear part of a step."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import KolmogorovForcing
from pushforward.simulators.turbulence.grid import PeriodicGrid
from pushforward.simulators.turbulence.operators import laplacian_eigenvalues, project

__all__ = ["CoarseFlow"]


@dataclass(frozen=True)
class CoarseFlow:
    r"""A two-dimensional flow on a coarse staggered grid, periodic both ways.

        du/dt = −∇·(u u) + ν ∇²u − ∇p + a sin(k y) e_x − γ u,    ∇·u = 0

    Parameters
    ----------
    shape : cells (n_x, n_y).
    domain : side lengths (L_x, L_y); cells must be square.
    viscosity : ν; 1e-3 is the papers' Kolmogorov flow at Re = 1000.
    drag : γ; 0.1 there.
    amplitude : a of the forcing; 0 for a decaying flow.
    wavenumber : k of the forcing, in radians per length; 4 there.
    dt : time step. The papers' rule is h/(2 v) with v = 7, a bound of the speed fixed beforehand.

    Raises
    ------
    DataError : sizes that are not positive, negative viscosity or drag, cells that are not square.

    Examples
    --------
    >>> CoarseFlow((64, 64), dt=0.007).spacing
    0.09817477042468103
    """

    shape: tuple[int, int] = (32, 32)
    domain: tuple[float, float] = (2 * math.pi, 2 * math.pi)
    viscosity: float = 1e-3
    drag: float = 0.1
    amplitude: float = 1.0
    wavenumber: int = 4
    dt: float = 0.014024967203525862

    def __post_init__(self) -> None:
        if min(self.shape) < 4 or min(self.domain) <= 0 or not self.dt > 0:
            raise DataError(
                f"shape = {self.shape} must be at least 4 a side, domain = {self.domain} and "
                f"dt = {self.dt} positive."
            )
        if not self.viscosity >= 0 or not self.drag >= 0:
            raise DataError(
                f"viscosity = {self.viscosity} and drag = {self.drag} must not be negative."
            )
        h_x, h_y = (length / n for length, n in zip(self.domain, self.shape, strict=True))
        if not math.isclose(h_x, h_y, rel_tol=1e-9):
            raise DataError(
                f"cells of {h_x:.6g} x {h_y:.6g} are not square; the stencils need equal spacing. "
                "Change shape or domain."
            )

    @property
    def spacing(self) -> float:
        """h, the side of a cell."""
        return self.domain[0] / self.shape[0]

    def plain(self) -> dict[str, Any]:
        """Plain values that rebuild it with `CoarseFlow.of`."""
        content = asdict(self)
        return {**content, "shape": list(self.shape), "domain": list(self.domain)}

    @classmethod
    def of(cls, flow: "CoarseFlow | Mapping[str, Any]") -> "CoarseFlow":
        """A flow from itself or from its plain values."""
        if isinstance(flow, CoarseFlow):
            return flow
        shape, domain = tuple(flow["shape"]), tuple(flow["domain"])
        return cls(**{**flow, "shape": shape, "domain": domain})

    @property
    def grid(self) -> PeriodicGrid:
        """Cells and wave numbers."""
        return PeriodicGrid(self.shape, self.domain)

    def force(self, like: Tensor) -> Float[Tensor, "2 x y"]:
        """Means of the forcing over the coarse faces: what a down-sampled fine flow feels."""
        return _force(self, like.dtype, like.device)

    def relax(self, velocity: Float[Tensor, "n 2 x y"]) -> Float[Tensor, "n 2 x y"]:
        """Make a velocity divergence-free and let viscosity act for one step.

        Both are diagonal in Fourier space, so one pair of transforms does them together:
        v + F^{-1}[(P/(1 − ν dt λ) − 1) F v], with the symbols of the discrete operators:
        P = 1 − G D/λ, D the backward divergence, G the forward gradient, λ the 5-point Laplacian.
        """
        change = _symbols(self, velocity.dtype, velocity.device)
        hat = torch.fft.rfft2(velocity)
        moved = (change * hat[:, None]).sum(2)
        return velocity + torch.fft.irfft2(moved, s=self.shape)

    def project(self, velocity: Float[Tensor, "n 2 x y"]) -> Float[Tensor, "n 2 x y"]:
        """Make a velocity divergence-free."""
        return project(velocity, self.grid.spacing)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept here must serve gradients later
def _force(flow: CoarseFlow, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "2 x y"]:
    if flow.amplitude == 0:
        return torch.zeros(2, *flow.shape, dtype=dtype, device=device)
    force = KolmogorovForcing(flow.amplitude, flow.wavenumber).on_faces(flow.grid)
    return force.expand(2, *flow.shape).to(device, dtype).contiguous()


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _symbols(
    flow: CoarseFlow, dtype: torch.dtype, device: torch.device
) -> Complex[Tensor, "2 2 x k"]:
    h = flow.spacing
    waves = torch.stack(torch.broadcast_tensors(*flow.grid.wavenumbers()))
    ahead = torch.exp(1j * waves * h)
    gradient, divergence = (ahead - 1) / h, (1 - ahead.conj()) / h
    laplacian = laplacian_eigenvalues(flow.shape, flow.grid.spacing)
    safe = torch.where(laplacian == 0, 1.0, laplacian)
    identity = torch.eye(2, dtype=torch.float64)[:, :, None, None]
    projection = identity - gradient[:, None] * divergence[None, :] / safe
    change = projection / (1 - flow.viscosity * flow.dt * laplacian) - identity
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    return change.to(device, wide)
