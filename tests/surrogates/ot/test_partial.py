"""Partial transport: exact against POT, entropic against the conditions of optimality."""

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix, solve


def problem(n, m, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, 2, dtype=torch.float64, generator=generator) for k in (n, m))
    a, b = (torch.rand(k, dtype=torch.float64, generator=generator) + 0.01 for k in (n, m))
    return cost_matrix(x, y), a / a.sum(), 1.5 * b / b.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mass", [0.2, 0.7, 0.999])
def test_exact_agrees_with_pot(seed, mass):
    C, a, b = problem(8, 11, seed)
    result = solve(C, a, b, mass=mass)
    expected = pot.partial.partial_wasserstein2(a.numpy(), b.numpy(), C.numpy(), m=mass)
    assert result.value.item() == pytest.approx(expected, abs=1e-10)
    assert result.plan.sum().item() == pytest.approx(mass, abs=1e-12)
    assert (result.marginals[0] - a).max() < 1e-12
    assert (result.marginals[1] - b).max() < 1e-12
    assert result.converged


def test_the_far_point_stays_behind():
    C = torch.tensor([[0.0, 9.0], [9.0, 100.0]], dtype=torch.float64)
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    for eps in (None, 0.01):
        result = solve(C, half, half, mass=0.5, eps=eps)
        assert result.plan[0, 0].item() == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(AttributeError, match="pass eps"):
        _ = solve(C, half, half, mass=0.5).potentials


def test_costs_below_zero_do_not_change_the_mass():
    C, a, b = problem(8, 11, 3)
    low, base = solve(C - 10, a, b, mass=0.4), solve(C, a, b, mass=0.4)
    assert low.value.item() == pytest.approx(base.value.item() - 4.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("mass", [0.3, 0.9])
def test_entropic_agrees_with_pot(seed, mass):
    C, a, b = problem(8, 11, seed)
    result = solve(C, a, b, mass=mass, eps=0.5, tol=1e-10, max_iter=20000)
    assert result.converged
    # POT takes the reference 1 instead of a bᵀ: move the difference into its cost.
    shifted = C - 0.5 * (a[:, None] * b).log()
    expected = pot.partial.entropic_partial_wasserstein(
        a.numpy(), b.numpy(), shifted.numpy(), 0.5, m=mass, stopThr=1e-14, numItermax=20000
    )
    torch.testing.assert_close(result.plan, torch.from_numpy(expected), atol=1e-7, rtol=0)
    P, Q = result.plan, a[:, None] * b
    primal = (C * P).sum() + 0.5 * (P * (P / Q).log() - P + Q).sum()
    assert result.value.item() == pytest.approx(primal.item(), abs=1e-8)


def test_full_mass_is_balanced():
    C, a, b = problem(8, 11, 4)
    b = b / b.sum()
    partial = solve(C, a, b, mass=1.0, eps=0.5, tol=1e-9, max_iter=20000)
    torch.testing.assert_close(
        partial.plan, solve(C, a, b, eps=0.5, tol=1e-9).plan, atol=1e-7, rtol=0
    )
    assert solve(C, a, b, mass=1.0).value.item() == pytest.approx(solve(C, a, b).value.item())


def test_gradients():
    C, a, b = problem(4, 3, 4)
    inputs = [t.clone().requires_grad_() for t in (C, a, b)]
    assert torch.autograd.gradcheck(
        lambda C, a, b: solve(C, a, b, eps=0.5, mass=0.6, tol=1e-13, max_iter=50000).value,
        inputs,
        eps=1e-5,
    )


@pytest.mark.parametrize("mass", [0.0, 1.2, float("nan")])
def test_errors(mass):
    C, a, b = problem(4, 3, 5)
    with pytest.raises(DataError, match="expected more than 0 and at most the smaller total, 1"):
        solve(C, a, b, mass=mass)
