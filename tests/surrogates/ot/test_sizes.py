"""Ragged groups without padding bias, and clouds solved in row blocks."""

import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import (
    default_eps,
    monge_gap,
    pad_segments,
    sinkhorn_divergence,
    solve_sample,
    solve_streamed,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LABELS_X = torch.tensor([2, 0, 2, 2, 0, 1, 2, 1, 1, 2])
LABELS_Y = torch.tensor([1, 1, 0, 2, 2, 0, 0, 1])


@pytest.mark.parametrize("eps", [None, 0.5])
def test_groups_of_any_size_equal_a_loop(eps):
    x, y = draw(10, 2), draw(8, 2, seed=1)
    points_x, a, groups = pad_segments(x, LABELS_X)
    points_y, b, _ = pad_segments(y, LABELS_Y, groups=groups)
    assert points_x.shape == (3, 5, 2)
    together = solve_sample(points_x, points_y, a, b, eps=eps, tol=1e-9)
    divergence = sinkhorn_divergence(points_x, points_y, a, b, tol=1e-9)
    gap = monge_gap(points_x, points_x.flip(-1), a, eps=eps, tol=1e-9)
    for k in range(3):
        one, two = x[k == LABELS_X], y[k == LABELS_Y]
        alone = solve_sample(one, two, eps=eps, tol=1e-9)
        torch.testing.assert_close(together.value[k], alone.value, atol=1e-8, rtol=0)
        torch.testing.assert_close(
            divergence[k], sinkhorn_divergence(one, two, tol=1e-9), atol=1e-8, rtol=0
        )
        torch.testing.assert_close(
            gap[k], monge_gap(one, one.flip(-1), eps=eps, tol=1e-9), atol=1e-8, rtol=0
        )


def test_the_default_eps_ignores_padding():
    x = draw(10, 2)
    points, a, _ = pad_segments(x, LABELS_X)
    C = (points.unsqueeze(-2) - points.unsqueeze(-3)).square().sum(-1)
    one = x[LABELS_X == 1]
    alone = (one.unsqueeze(-2) - one.unsqueeze(-3)).square().sum(-1)
    torch.testing.assert_close(default_eps(C, a, a)[1], default_eps(alone))


def test_padding_passes_gradients_to_the_points():
    x = draw(10, 2).requires_grad_()
    points, a, groups = pad_segments(x, LABELS_X)
    target, b, _ = pad_segments(draw(8, 2, seed=1), LABELS_Y, groups=groups)
    solve_sample(points, target, a, b, eps=0.5).value.sum().backward()
    assert (x.grad.abs().sum(-1) > 0).all()


def test_a_missing_group_is_refused():
    with pytest.raises(DataError, match=r"groups \[5\] hold no points"):
        pad_segments(draw(10, 2), LABELS_X, groups=torch.tensor([0, 5]))
    with pytest.raises(DataError, match="labels has shape"):
        pad_segments(draw(10, 2), LABELS_Y)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("eps", [0.1, 1.0])
def test_streamed_equals_dense(cost, eps):
    x, y = draw(50, 3), draw(40, 3, seed=1)
    a = torch.softmax(draw(50, seed=2), -1)
    b = torch.where(torch.arange(40) == 3, 0.0, torch.softmax(draw(40, seed=3), -1))
    b = b / b.sum()
    leaves = [t.clone().requires_grad_() for t in (x, y, a, b)]
    dense = solve_sample(*leaves, cost=cost, eps=eps, tol=1e-9)
    expected = torch.autograd.grad(dense.value, leaves)
    streamed = solve_streamed(*leaves, cost=cost, eps=eps, tol=1e-9, block=7, max_iter=20000)
    assert streamed.converged
    torch.testing.assert_close(streamed.value, dense.value, atol=1e-8, rtol=0)
    gradients = torch.autograd.grad(streamed.value, leaves)
    for one, two in zip(gradients[:2], expected[:2], strict=True):
        torch.testing.assert_close(one, two, atol=1e-7, rtol=0)
    for one, two in zip(gradients[2:], expected[2:], strict=True):
        torch.testing.assert_close(one - one.mean(), two - two.mean(), atol=1e-6, rtol=0)
    torch.testing.assert_close(streamed.plan, dense.plan.detach(), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        streamed.barycentric_map(y), dense.barycentric_map(y).detach(), atol=1e-6, rtol=0
    )


def test_streamed_never_holds_the_matrix():
    """Blocks of 64 rows: the largest tensor a cost function sees has 64 · m entries."""
    seen = []

    def cost(x, y):
        seen.append(len(x))
        return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)

    x = draw(2000, 2)
    solve_streamed(x, x + 1, cost=cost, block=64, max_iter=3, tol=1e-3, warn=False)
    assert max(seen[1:]) == 64


def test_streamed_errors_and_warning():
    x = draw(30, 2)
    with pytest.warns(ConvergenceWarning, match="streamed Sinkhorn stopped after 2 passes"):
        result = solve_streamed(x, -x, eps=0.01, max_iter=2)
    assert result.converged is False
    with pytest.raises(DataError, match="Batches of small clouds go to solve_sample"):
        solve_streamed(x[None], x[None], eps=1.0)
    with pytest.raises(DataError, match="eps = -1"):
        solve_streamed(x, x, eps=-1.0)
