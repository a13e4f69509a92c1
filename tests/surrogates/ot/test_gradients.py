"""Derivatives against finite differences, in float64."""

import pytest
import torch
from pushforward.surrogates.ot import (
    cost_matrix,
    monge_gap,
    sinkhorn_divergence,
    solve,
    solve_sample,
    wasserstein,
)


def cloud(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def leaf(x):
    return x.clone().requires_grad_()


def check(function, *inputs):
    assert torch.autograd.gradcheck(function, inputs, eps=1e-5, atol=1e-5, rtol=1e-4)


def normalised(logits):
    return torch.softmax(logits, -1)


@pytest.mark.parametrize("eps", [None, 0.5])
def test_value_in_cost_and_weights(eps):
    C = cost_matrix(cloud(4, 2), cloud(5, 2, 1))
    wa, wb = cloud(1, 4, 2)[0], cloud(1, 5, 3)[0]
    check(
        lambda C, u, v: solve(C, normalised(u), normalised(v), eps=eps, tol=1e-12).value,
        leaf(C),
        leaf(wa),
        leaf(wb),
    )


def test_value_in_weights_of_any_mass_and_in_eps():
    """Both masses scale together: the value of the reference a bᵀ is not linear in the scale."""
    C, a, b = cost_matrix(cloud(4, 2), cloud(5, 2, 1)), normalised(cloud(1, 4)[0]), cloud(1, 5, 2)
    b = normalised(b[0])
    scale = torch.tensor(2.0, dtype=torch.float64)
    check(
        lambda s, e: solve(C, s * a, s * b, eps=e, tol=1e-12).value,
        leaf(scale),
        leaf(torch.tensor(0.7, dtype=torch.float64)),
    )


def test_value_in_the_weight_of_an_absent_atom():
    """The one-sided derivative at weight 0 follows the extrapolated potential."""
    C = cost_matrix(cloud(4, 2), cloud(5, 2, 1))
    a = torch.tensor([0.0, 0.3, 0.3, 0.4], dtype=torch.float64)
    move = torch.tensor([1.0, -0.5, -0.5, 0.0], dtype=torch.float64)
    at = leaf(a)
    solve(C, at, eps=0.5, tol=1e-13).value.backward()
    values = [solve(C, a + h * move, eps=0.5, tol=1e-13).value.item() for h in (0.0, 1e-6)]
    assert (at.grad @ move).item() == pytest.approx((values[1] - values[0]) / 1e-6, abs=1e-4)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("eps", [None, 0.5])
def test_value_in_the_points(cost, eps):
    check(
        lambda x, y: solve_sample(x, y, cost=cost, eps=eps, tol=1e-12).value,
        leaf(cloud(4, 2)),
        leaf(cloud(4, 2, 1)),
    )


def test_plan_linear_cost_and_barycentric_map_by_implicit_differentiation():
    y = cloud(5, 2, 1)
    readout = cloud(4, 2, 7)

    def everything(x, u, v, eps):
        result = solve_sample(x, y, normalised(u), normalised(v), eps=eps, tol=1e-13)
        return (
            (result.plan**2).sum(),
            result.value_linear,
            (result.barycentric_map(y) * readout).sum(),
        )

    check(
        everything,
        leaf(cloud(4, 2)),
        leaf(cloud(1, 4, 2)[0]),
        leaf(cloud(1, 5, 3)[0]),
        leaf(torch.tensor(0.6, dtype=torch.float64)),
    )


def test_batched_plans_have_batched_gradients():
    C = torch.stack([cost_matrix(cloud(3, 2, s), cloud(4, 2, s + 9)) for s in range(2)])
    check(lambda C: solve(C, eps=0.7, tol=1e-13).plan.square().sum((-2, -1)), leaf(C))


def test_implicit_gradient_with_atoms_without_mass_is_finite():
    C = leaf(cost_matrix(cloud(4, 2), cloud(5, 2, 1)))
    a = leaf(torch.tensor([0.0, 0.3, 0.3, 0.4], dtype=torch.float64))
    b = leaf(torch.tensor([0.5, 0.0, 0.1, 0.2, 0.2], dtype=torch.float64))
    plan = solve(C, a, b, eps=0.5, tol=1e-12).plan
    (plan**2).sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (C, a, b))
    small = leaf(C.detach()[1:][:, [0, 2, 3, 4]])
    kept = solve(small, a.detach()[1:], b.detach()[[0, 2, 3, 4]], eps=0.5, tol=1e-12)
    (kept.plan**2).sum().backward()
    torch.testing.assert_close(C.grad[1:][:, [0, 2, 3, 4]], small.grad, atol=1e-9, rtol=0)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_sinkhorn_divergence_in_points_and_weights(cost):
    check(
        lambda x, y, u: sinkhorn_divergence(
            x, y, normalised(u), cost=cost, eps=0.7, tol=1e-12, max_iter=20000
        ),
        leaf(cloud(4, 2)),
        leaf(cloud(5, 2, 1)),
        leaf(cloud(1, 4, 2)[0]),
    )


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize(
    ("eps", "convention"), [(None, "kl"), (0.5, "kl"), (0.5, "negentropy"), (0.5, "primal")]
)
def test_monge_gap_in_both_clouds(cost, eps, convention):
    check(
        lambda x, t: monge_gap(x, t, cost=cost, eps=eps, convention=convention, tol=1e-12),
        leaf(cloud(4, 2)),
        leaf(cloud(4, 2, 1)),
    )


@pytest.mark.parametrize("eps", [None, 0.5])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_gradients_are_finite_at_coincident_points(cost, eps):
    x = cloud(5, 2)
    image = leaf(x)
    monge_gap(x, image, cost=cost, eps=eps).backward()
    assert torch.isfinite(image.grad).all()
    moved = leaf(x)
    sinkhorn_divergence(moved, x, cost=cost, eps=0.5).backward()
    assert moved.grad.abs().max() < 1e-6


@pytest.mark.parametrize("p", [1, 2, 3])
def test_wasserstein_at_zero_distance_has_a_zero_gradient(p):
    x = leaf(cloud(4, 2))
    wasserstein(x, cloud(4, 2), p=p).backward()
    assert x.grad.abs().max() == 0


def test_wasserstein_in_the_points():
    check(lambda x: wasserstein(x, cloud(4, 2, 1), p=2), leaf(cloud(4, 2)))
