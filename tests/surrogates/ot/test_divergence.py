"""The Sinkhorn divergence: zero, positive, symmetric, with the right limits."""

import warnings

import pytest
import torch
from pushforward.simulators.errors import ConvergenceWarning
from pushforward.surrogates.ot import sinkhorn_divergence, solve_sample


def cloud(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("eps", [0.2, 2.0])
def test_zero_on_itself_positive_elsewhere_and_symmetric(cost, eps):
    x, y = cloud(20, 2), cloud(15, 2, 1)
    a = torch.softmax(cloud(1, 20, 2)[0], -1)

    def divergence(*args):
        return sinkhorn_divergence(*args, cost=cost, eps=eps).item()

    assert abs(divergence(x, x)) < 1e-8
    assert abs(divergence(x, x[torch.randperm(20, generator=torch.Generator())])) < 1e-8
    assert divergence(x, y, a) > 1e-3
    assert divergence(x, y, a) == pytest.approx(divergence(y, x, None, a), abs=1e-8)


def test_equals_its_definition():
    x, y = cloud(12, 2), cloud(9, 2, 1)
    terms = [solve_sample(p, q, eps=0.5, tol=1e-10).value for p, q in ((x, y), (x, x), (y, y))]
    expected = terms[0] - terms[1] / 2 - terms[2] / 2
    torch.testing.assert_close(sinkhorn_divergence(x, y, eps=0.5, tol=1e-10), expected)
    skipped = sinkhorn_divergence(x, y, eps=0.5, tol=1e-10, constant_target=True)
    torch.testing.assert_close(skipped, terms[0] - terms[1] / 2)


def test_limits():
    x, y = cloud(12, 2), cloud(12, 2, 1) + 1
    exact = solve_sample(x, y).value.item()
    near = sinkhorn_divergence(x, y, eps=0.02, tol=1e-3, max_iter=5000).item()
    assert near == pytest.approx(exact, rel=0.02)
    # eps -> infinity: half the energy distance for the Euclidean cost.
    energy = torch.cdist(x, y).mean() - torch.cdist(x, x).mean() / 2 - torch.cdist(y, y).mean() / 2
    far = sinkhorn_divergence(x, y, cost="euclidean", eps=1e5)
    assert far.item() == pytest.approx(energy.item(), rel=1e-3)


def test_a_batch_equals_a_loop_and_batch_axes_broadcast():
    x, y = cloud(24, 3).reshape(3, 8, 3), cloud(10, 3, 1)
    values = sinkhorn_divergence(x, y)
    assert values.shape == (3,)
    for k in range(3):
        torch.testing.assert_close(values[k], sinkhorn_divergence(x[k], y), atol=1e-8, rtol=0)


def test_in_a_training_loop():
    """float32, loose tolerance, few sweeps, silent, and the fit arrives."""
    target = cloud(64, 2, 1, torch.float32) * 0.5 + 2
    x = cloud(64, 2, 0, torch.float32).requires_grad_()
    optimiser = torch.optim.SGD([x], lr=20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(40):
            optimiser.zero_grad()
            loss = sinkhorn_divergence(
                x, target, eps=0.1, tol=1e-2, max_iter=50, constant_target=True, warn=False
            )
            loss.backward()
            optimiser.step()
    assert sinkhorn_divergence(x.detach(), target, eps=0.1, tol=1e-3).item() < 0.05


def test_warns_when_stopped():
    with pytest.warns(ConvergenceWarning, match=r"marginal error .* > tol 1.0e-06 .* warn=False"):
        sinkhorn_divergence(cloud(20, 2), cloud(20, 2, 1), eps=0.01, max_iter=2)
