"""The nearest velocity field without divergence and without slip, on any wall-normal grid."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.surrogates.channel.grid import ChannelGrid

__all__ = ["DivergenceFree", "divergence"]


class DivergenceFree(nn.Module):
    r"""Orthogonal projection onto velocities with u = 0 at the walls and zero discrete divergence.

    In the planes derivatives are spectral, across them D is the grid's matrix; w_j are its
    quadrature weights. For every (kx, kz), k = |(kx, kz)|, with a = (kx u + kz w)/k:

        minimise  Σ_j w_j (|v − v*|² + |a − a*|²)
        over      i k a + D v = 0 at every point, walls too,  and  v = D v = 0 at the walls.

    D v = 0 there follows from no slip. So v is sought in the null space of four rows, a is
    i D v / k, which makes the divergence zero to rounding at every point of the grid, and the
    component of (u, w) normal to (kx, kz) is only masked at the walls. Plane means keep U and W and
    lose V. The Nyquist modes of x and z, whose derivative no field on the grid has, are set to 0.

    Computed in float64 whatever the input's precision, which it is given back in.

    Parameters
    ----------
    grid : where the velocities live.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelGrid, DivergenceFree, divergence
    >>> grid = ChannelGrid.chebyshev((8, 9, 8), (6.0, 2.0))
    >>> u = torch.randn(3, 8, 9, 8, dtype=torch.float64)
    >>> bool(divergence(DivergenceFree(grid)(u), grid).abs().max() < 1e-10)
    True
    """

    solve: Tensor
    index: Tensor
    direction: Tensor
    keep: Tensor
    derivative: Tensor
    inverse_k: Tensor

    def __init__(self, grid: ChannelGrid):
        super().__init__()
        self.grid = grid
        nx, _, nz = grid.shape
        kx, kz = grid.wavenumbers
        k = (kx[:, None].square() + kz.square()).sqrt()
        keep = torch.ones(nx, nz // 2 + 1, dtype=torch.bool)
        keep[nx // 2] = False
        keep[:, nz // 2] = False
        classes, index = torch.unique((k * keep).flatten().round(decimals=9), return_inverse=True)
        distinct = torch.zeros_like(classes).scatter_(0, index, (k * keep).flatten())
        safe = torch.where(k > 0, k, 1.0)
        direction = torch.stack((kx[:, None] / safe, kz / safe))
        for name, value in {
            "solve": _least_squares(grid, distinct),
            "index": index.view(k.shape),
            "direction": direction,
            "keep": keep.double(),
            "derivative": grid.derivative,
            "inverse_k": torch.where(k > 0, 1 / safe, 0.0),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, velocity: Float[Tensor, "*batch 3 x y z"]) -> Float[Tensor, "*batch 3 x y z"]:
        """The nearest admissible velocity."""
        nx, ny, nz = self.grid.shape
        modes = torch.fft.rfftn(velocity.double(), dim=(-3, -1)).movedim(-2, -1)
        modes = modes * self.keep[..., None]
        u, v, w = modes.unbind(-4)
        p, q = self.direction[..., None]
        along, across = p * u + q * w, p * w - q * u
        # v = S (v*, -i a*), real matrices on complex columns
        both = torch.cat((v, torch.complex(along.imag, -along.real)), -1)
        pairs = torch.view_as_real(both)
        found = torch.einsum("xzij,...xzjc->...xzic", self.solve[self.index], pairs)
        slope = (
            torch.einsum("ij,...jc->...ic", self.derivative, found)
            * self.inverse_k[..., None, None]
        )
        new_v = torch.view_as_complex(found.contiguous())
        new_along = torch.complex(-slope[..., 1], slope[..., 0])
        inner = torch.ones(ny, dtype=torch.float64, device=modes.device)
        inner[[0, -1]] = 0
        across = across * inner
        new_u, new_w = p * new_along - q * across, q * new_along + p * across
        mean_u, mean_w = u[..., :1, :1, :] * inner, w[..., :1, :1, :] * inner
        first = (self.inverse_k == 0)[..., None] & (self.keep > 0)[..., None]
        new_u = torch.where(first, mean_u, new_u)
        new_w = torch.where(first, mean_w, new_w)
        out = torch.stack((new_u, new_v, new_w), -4).movedim(-1, -2)
        return torch.fft.irfftn(out, s=(nx, nz), dim=(-3, -1)).to(velocity.dtype)


def divergence(
    velocity: Float[Tensor, "*batch 3 x y z"], grid: ChannelGrid
) -> Float[Tensor, "*batch x y z"]:
    """∂u/∂x + D v + ∂w/∂z at the grid's points, spectral in x and z, in float64.

    The Nyquist modes count as having no derivative.
    """
    nx, _, nz = grid.shape
    kx, kz = (k.to(velocity.device).clone() for k in grid.wavenumbers)
    kx[nx // 2] = 0
    kz[nz // 2] = 0
    u, v, w = velocity.double().unbind(-4)
    modes = torch.fft.rfftn(torch.stack((u, w)), dim=(-3, -1))
    planes = 1j * (kx[:, None, None] * modes[0] + kz * modes[1])
    across = torch.einsum("ij,...xjz->...xiz", grid.derivative.to(velocity.device), v)
    return torch.fft.irfftn(planes, s=(nx, nz), dim=(-3, -1)) + across


def _least_squares(grid: ChannelGrid, wavenumbers: Tensor) -> Tensor:
    """For every k the matrix (v*, -i a*) -> v; zero for k = 0, where v is."""
    d, w, n = grid.derivative, grid.weights, grid.shape[1]
    rows = torch.zeros(4, n, dtype=torch.float64)
    rows[0, 0] = rows[1, -1] = 1
    rows[2:] = d[[0, -1]]
    basis = torch.linalg.svd(rows, full_matrices=True).Vh[4:].T
    root = w.sqrt()
    mass, stiffness = root[:, None] * basis, root[:, None] * (d @ basis)
    out = torch.zeros(len(wavenumbers), n, 2 * n, dtype=torch.float64)
    for i, k in enumerate(wavenumbers.tolist()):
        if k > 0:  # not by normal equations, which would square the condition
            out[i] = basis @ torch.linalg.pinv(torch.cat((mass, stiffness / k))) * root.repeat(2)
    return out
