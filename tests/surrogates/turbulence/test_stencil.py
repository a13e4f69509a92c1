"""Stencils: order of accuracy for any weights; the advection they make."""

import numpy as np
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import advect_velocity
from pushforward.surrogates.turbulence import NullSpaceStencil, face_stencils
from pushforward.surrogates.turbulence.advection import advection, interpolate
from pushforward.surrogates.turbulence.stencil import stencil_moments


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_weights(order, n=1, size=6, seed=0):
    """Random admissible weights of the 8 interpolations, (n, 128, size, size)."""
    parts = []
    for i, stencil in enumerate(face_stencils(order) * 4):
        z = randn(n, size, size, stencil.free, seed=seed + i)
        parts.append(stencil.weights(z).movedim(-1, 1))
    return torch.cat(parts, 1)


@pytest.mark.parametrize(("order", "free"), [(1, 15), (2, 13), (3, 10)])
def test_any_logits_give_weights_of_the_order(order, free):
    """Cell means of polynomials of degree below the order are interpolated exactly."""
    if order == 3:
        with pytest.raises(DataError, match="base stencil is not of order 3"):
            face_stencils(order)
        return
    for axis, stencil in enumerate(face_stencils(order)):
        assert stencil.free == free
        assert torch.allclose(stencil.null @ stencil.null.T, torch.eye(free).double())
        weights = stencil.weights(10 * randn(50, free))
        assert torch.allclose(weights.sum(-1), torch.ones(50).double())
        positions = np.stack(np.meshgrid([-1, 0, 1, 2], [-1, 0, 1, 2], indexing="ij"), -1)
        positions = positions.reshape(16, 2).astype(float)
        positions[:, axis] -= 0.5
        linear = torch.from_numpy(positions @ np.array([2.0, -3.0]))
        reproduced = torch.allclose(weights @ linear, torch.zeros(50).double(), atol=1e-10)
        assert reproduced == (order == 2)


def test_second_moments_are_those_of_cell_means():
    """On five points, order 3 gives the known finite-volume value: the mean of x² is x² + 1/12."""
    matrix, target = stencil_moments(np.array([[-1.0], [0.0], [1.0]]), 3)
    np.testing.assert_allclose(matrix[2], [13 / 12, 1 / 12, 13 / 12])
    np.testing.assert_allclose(target, [1, 0, 1 / 12])


def test_zero_logits_are_the_plain_mean_of_two_cells():
    along_x, along_y = (s.base.reshape(4, 4) for s in face_stencils(1))
    assert along_x[1, 1] == along_x[2, 1] == along_y[1, 1] == along_y[1, 2] == 0.5
    assert along_x.sum() == along_y.sum() == 1


def test_impossible_orders_are_refused():
    with pytest.raises(DataError, match="order = 0"):
        stencil_moments(np.zeros((1, 1)), 0)
    with pytest.raises(DataError, match="3 conditions that 2 points cannot meet"):
        stencil_moments(np.array([[-0.25], [0.5]]), 3)
    with pytest.raises(DataError, match="base stencil is not of order 1"):
        NullSpaceStencil.make(np.array([[-0.5], [0.5]]), [0.5, 0.4], 1)


def test_interpolation_reproduces_a_shift():
    """Weight one on a single patch point picks that cell."""
    velocity = randn(2, 2, 5, 7)
    for point, (i, j) in {0: (-1, -1), 5: (0, 0), 7: (0, 2), 13: (2, 0)}.items():
        weights = torch.zeros(2, 8, 16, 5, 7, dtype=torch.float64)
        weights[:, :, point] = 1
        values = interpolate(velocity, weights.flatten(1, 2))
        expected = velocity.roll((-i, -j), (2, 3))
        assert torch.equal(values, expected[:, :, None, None].expand_as(values))


def test_plain_weights_equal_the_plain_scheme_and_constants_do_not_accelerate():
    velocity = randn(2, 2, 6, 6)
    zero = torch.cat([s.base for s in face_stencils(1) * 4])[None, :, None, None]
    zero = zero.expand(2, 128, 6, 6)
    torch.testing.assert_close(advection(velocity, zero, 0.1), advection(velocity, None, 0.1))
    uniform = torch.ones(1, 2, 6, 6, dtype=torch.float64)
    assert advection(uniform, all_weights(1), 0.1).abs().max() < 1e-11


def test_momentum_is_kept_whatever_the_weights():
    velocity = randn(3, 2, 6, 6)
    change = advection(velocity, all_weights(1, n=3), 0.1)
    assert change.abs().max() > 1
    assert change.sum((2, 3)).abs().max() < 1e-10


def test_plain_scheme_is_the_limit_of_the_solvers_for_small_steps():
    """Lax-Wendroff's face value tends to the mean of two cells as dt → 0."""
    velocity = randn(2, 2, 6, 6)
    ours = advection(velocity, None, 0.1)
    theirs = advect_velocity(velocity, (0.1, 0.1), 1e-12, "van_leer")
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)
