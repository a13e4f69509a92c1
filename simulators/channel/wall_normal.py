"""The implicit half of a step: Helmholtz problems between the walls for all wavenumbers at once."""

from functools import cached_property

import torch
from torch import Tensor

from pushforward.simulators.channel.chebyshev import Chebyshev

__all__ = ["ImplicitStage", "WallNormal", "apply"]


def apply(matrix: Tensor, field: Tensor) -> Tensor:
    """A real matrix on the wall-normal axis of a complex field (..., ny, kx, kz).

    As one real product over all modes: complex arithmetic with a real factor would do twice the
    work.
    """
    *batch, n, kx, kz = field.shape
    columns = torch.view_as_real(field.contiguous()).reshape(*batch, n, kx * kz * 2)
    out = torch.matmul(matrix, columns).reshape(*batch, matrix.shape[0], kx, kz, 2)
    return torch.view_as_complex(out)


class WallNormal:
    """Chebyshev derivative matrices and the eigenbasis of d²/dy², on one device, in float64."""

    def __init__(self, ny: int, k2: Tensor) -> None:
        grid, device = Chebyshev(ny), k2.device
        self.points, self.weights = grid.points.to(device), grid.weights.to(device)
        self.first, self.second = grid.first.to(device), grid.second.to(device)
        self.smoothing = grid.smoothing.to(device)
        values, vectors, inverse = grid.dirichlet_modes
        self.eigenvalues = torch.from_numpy(values).to(device)
        self.vectors = torch.from_numpy(vectors).to(device)
        self.inverse = torch.from_numpy(inverse).to(device)
        # (λ - k²) of every eigenfunction and wavenumber: minus the Laplacian's symbol.
        self.k2 = k2
        self.laplacian = self.eigenvalues[:, None, None] - k2

    @cached_property
    def smooth_slope(self) -> Tensor:
        """d/dy of a field freed of its highest polynomials, (ny, ny)."""
        return self.first @ self.smoothing

    @cached_property
    def wall_slopes(self) -> Tensor:
        """d/dy at both walls of the eigenfunctions, (2, ny-2)."""
        return self.first[[0, -1], 1:-1] @ self.vectors

    @cached_property
    def back(self) -> Tensor:
        """Q with rows of zeros for the walls: from the eigenbasis to all points, (ny, ny-2)."""
        zero = torch.zeros_like(self.vectors[:1])
        return torch.cat((zero, self.vectors, zero))


class ImplicitStage:
    """(1 - b ∇²) φ = r, ∇² v = φ with v = Dv = 0 at the walls, and (1 - b ∇²) g = r with g = 0.

    In the eigenbasis of d²/dy² both problems are divisions. The four conditions on v are met by
    adding, for each wavenumber, the even and the odd solution that φ = ±1 at the walls excites
    (influence functions), computed once for a given b.

    Parameters
    ----------
    wall : matrices and eigenvalues.
    b : viscosity times the implicit share of the time step.
    """

    def __init__(self, wall: WallNormal, b: float) -> None:
        self.wall, self.b = wall, b
        helmholtz = 1 / (1 - b * wall.laplacian)
        # The plane's mean has no v: its column is never used.
        poisson = 1 / wall.laplacian
        d2 = wall.second[1:-1]
        shape = wall.laplacian.shape[1:]
        phi, v, slope = [], [], []
        for sign in (1.0, -1.0):
            source = b * (d2[:, -1] + sign * d2[:, 0])
            inner = (wall.inverse @ source)[:, None, None] * helmholtz
            walls = torch.ones(1, *shape, dtype=source.dtype, device=source.device)
            at = torch.tensordot(wall.vectors, inner, dims=1)
            full = torch.cat((sign * walls, at, walls))
            # ∇²v = φ holds at interior points, where φ includes what its walls excite.
            response = inner * poisson
            phi.append(full)
            v.append(torch.tensordot(wall.back, response, dims=1))
            slope.append(torch.tensordot(wall.wall_slopes[1], response, dims=1))
        # Complex, for products of real with complex tensors copy the real one every time.
        as_complex = torch.complex128
        self.phi, self.v = torch.stack(phi).to(as_complex), torch.stack(v).to(as_complex)
        self.weight = torch.stack((0.5 / slope[0], -0.5 / slope[1])).to(as_complex)
        self.helmholtz, self.poisson = helmholtz.to(as_complex), poisson.to(as_complex)
        n = wall.second.shape[0] - 2
        eye = torch.eye(n, dtype=wall.second.dtype, device=wall.second.device)
        self.mean_inverse = torch.linalg.inv(eye - b * wall.second[1:-1, 1:-1])

    def solve_v_and_g(self, right: Tensor) -> tuple[Tensor, Tensor]:
        """v and (φ, g) at all points from the right-hand sides of φ and g at the interior ones.

        right : (2, *batch, ny-2, kx, kz), complex; the second result is (2, *batch, ny, kx, kz).
        """
        wall = self.wall
        spectral = apply(wall.inverse, right).mul_(self.helmholtz)
        response = spectral[0] * self.poisson
        v = apply(wall.back, response)
        phi_and_g = apply(wall.back, spectral)
        lower, upper = apply(wall.wall_slopes, response).unbind(-3)
        for share, v_of, phi_of in (
            ((lower - upper) * self.weight[0], self.v[0], self.phi[0]),
            ((lower + upper) * self.weight[1], self.v[1], self.phi[1]),
        ):
            v.addcmul_(share.unsqueeze(-3), v_of)
            phi_and_g[0].addcmul_(share.unsqueeze(-3), phi_of)
        return v, phi_and_g

    def solve_mean(self, r: Tensor) -> Tensor:
        """(1 - b d²/dy²) U = r with U = 0 at the walls, for real profiles (..., ny-2)."""
        return torch.nn.functional.pad(r @ self.mean_inverse.T, (1, 1))
