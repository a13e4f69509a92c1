"""Chebyshev matrices and the implicit problems between the walls."""

import math

import pytest
import torch

from pushforward.simulators.channel import ChannelFlow, Chebyshev
from pushforward.simulators.channel.wall_normal import ImplicitStage, WallNormal, apply
from pushforward.simulators.errors import DataError


@pytest.mark.parametrize("n", [24, 33])
def test_derivatives_quadrature_and_interpolation_of_smooth_functions(n):
    grid = Chebyshev(n)
    y = grid.points
    f = torch.sin(2 * y) + torch.exp(y)
    assert float((grid.first @ f - (2 * torch.cos(2 * y) + torch.exp(y))).abs().max()) < 1e-10
    assert float((grid.second @ f - (torch.exp(y) - 4 * torch.sin(2 * y))).abs().max()) < 1e-8
    assert float(grid.weights @ f) == pytest.approx(math.e - 1 / math.e, abs=1e-13)
    at = torch.tensor([-1.0, -0.123, 0.5, 1.0], dtype=torch.float64)
    exact = torch.sin(2 * at) + torch.exp(at)
    assert float((grid.interpolation(at) @ f - exact).abs().max()) < 1e-12


def test_points_and_matrices_are_symmetric_to_the_bit():
    grid = Chebyshev(33)
    assert torch.equal(grid.points, -grid.points.flip(0))
    assert torch.equal(grid.weights, grid.weights.flip(0))
    off = ~torch.eye(33, dtype=torch.bool)
    assert torch.equal(grid.first[off], -grid.first.flip(0, 1)[off])


def test_smoothing_damps_each_polynomial_by_its_factor_and_keeps_the_symmetry():
    grid = Chebyshev(33)
    for k in (0, 7, 16, 21, 27, 32):
        wave = torch.cos(k * torch.acos(grid.points.clamp(-1, 1)))
        factor = math.exp(-36 * (k / 32) ** 16)
        assert torch.allclose(grid.smoothing @ wave, factor * wave, atol=1e-12)
    assert torch.equal(grid.smoothing, grid.smoothing.flip(0, 1))


def test_dirichlet_eigenvalues_are_those_of_sines():
    values, vectors, inverse = Chebyshev(65).dirichlet_modes
    exact = [-((k * math.pi / 2) ** 2) for k in range(1, 9)]
    assert values[:8].tolist() == pytest.approx(exact, rel=1e-9)
    assert abs(vectors @ inverse - torch.eye(63).numpy()).max() < 1e-12


def test_the_influence_functions_clamp_v_and_solve_both_equations():
    flow = ChannelFlow((8, 33, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.1)
    wall, b = flow.wall, 3e-3
    stage = ImplicitStage(wall, b)
    g = torch.Generator().manual_seed(0)
    r = torch.randn(2, 31, 7, 4, dtype=torch.complex128, generator=g)
    r[..., 0, 0] = 0
    v, (phi, omega) = stage.solve_v_and_g(r)
    k2, d2 = wall.k2, wall.second

    def residual(field, b, right):
        inner = field[1:-1] - b * (apply(d2, field)[1:-1] - k2 * field[1:-1])
        return float((inner - right).abs().max())

    assert residual(phi, b, r[0]) < 1e-9
    assert residual(omega, b, r[1]) < 1e-9
    laplacian = (apply(d2, v) - k2 * v)[1:-1]
    assert float((laplacian - phi[1:-1]).abs().max()) < 1e-9 * float(phi.abs().max())
    slope = apply(wall.first, v)[[0, -1]]
    assert float(v[[0, -1]].abs().max()) < 1e-12
    assert float(omega[[0, -1]].abs().max()) == 0
    assert float(slope.abs().max()) < 1e-9 * float(apply(wall.first, v).abs().max())


def test_real_matrices_on_complex_fields_and_batches():
    g = torch.Generator().manual_seed(1)
    field = torch.randn(2, 5, 3, 4, dtype=torch.complex128, generator=g)
    matrix = torch.randn(6, 5, dtype=torch.float64, generator=g)
    wanted = torch.einsum("ij,bjxz->bixz", matrix.to(field.dtype), field)
    assert torch.allclose(apply(matrix, field), wanted, atol=1e-13)


def test_refusals():
    with pytest.raises(DataError, match="3 points between the walls; at least 5"):
        Chebyshev(3)
    with pytest.raises(DataError, match=r"y = 1.5 lies outside .* Subtract 1"):
        Chebyshev(9).interpolation(torch.tensor([0.2, 1.5]))


def test_wall_normal_works_on_any_wavenumbers():
    wall = WallNormal(17, torch.tensor([[0.0, 4.0]], dtype=torch.float64))
    assert wall.laplacian.shape == (15, 1, 2)
    assert bool((wall.laplacian < 0).all())
