"""Entropic transport: symmetries, batches, hard inputs, and honesty about convergence."""

import math
import warnings

import ot as pot
import pytest
import torch
from pushforward.simulators.errors import ConvergenceWarning
from pushforward.surrogates.ot import cost_matrix, solve, solve_sample


def problem(n, m, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, 3, dtype=dtype, generator=generator) for k in (n, m))
    a, b = (torch.rand(k, dtype=dtype, generator=generator) + 0.01 for k in (n, m))
    return cost_matrix(x, y), a / a.sum(), b / b.sum()


def true_error(result, a, b):
    rows, columns = result.plan.sum(-1), result.plan.sum(-2)
    return max((rows - a).abs().sum().item(), (columns - b).abs().sum().item())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fraction", [1.0, 0.1])
def test_agrees_with_pot(seed, fraction):
    C, a, b = problem(15, 11, seed)
    eps = fraction * C.mean().item()
    result = solve(C, a, b, eps=eps, tol=1e-10)
    plan = pot.sinkhorn(a, b, C, eps, method="sinkhorn_log", stopThr=1e-12, numItermax=20000)
    torch.testing.assert_close(result.plan, plan, atol=1e-8, rtol=0)
    # POT's value with reg_type="KL" refers to the same reference measure.
    assert result.value_linear.item() == pytest.approx((plan * C).sum().item(), abs=1e-8)
    kl = (plan * (plan / (a[:, None] * b)).log()).sum().item()
    assert result.value.item() == pytest.approx((plan * C).sum().item() + eps * kl, abs=1e-8)


def test_value_against_negative_entropy_differs_by_the_entropies_of_the_weights():
    C, a, b = problem(15, 11, 0)
    result = solve(C, a, b, eps=0.5, tol=1e-10)
    P = result.plan
    negentropy = (C * P).sum() + 0.5 * (P * P.log()).sum()
    entropies = -(a * a.log()).sum() - (b * b.log()).sum()
    assert result.value.item() == pytest.approx((negentropy + 0.5 * entropies).item(), abs=1e-8)


@pytest.mark.parametrize("seed", range(2))
def test_symmetries(seed):
    C, a, b = problem(10, 14, seed)
    base = solve(C, a, b, eps=0.7, tol=1e-10)
    swapped = solve(C.mT, b, a, eps=0.7, tol=1e-10)
    torch.testing.assert_close(swapped.plan.mT, base.plan, atol=1e-9, rtol=0)
    scaled = solve(3 * C + 2, a, b, eps=3 * 0.7, tol=1e-10)
    torch.testing.assert_close(scaled.plan, base.plan, atol=1e-9, rtol=0)
    torch.testing.assert_close(scaled.value, 3 * base.value + 2, atol=1e-8, rtol=0)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
    permuted = solve(C[order], a[order], b, eps=0.7, tol=1e-10)
    torch.testing.assert_close(permuted.plan, base.plan[order], atol=1e-9, rtol=0)


def test_a_batch_equals_a_loop():
    C = torch.stack([problem(8, 6, s)[0] for s in range(6)]).reshape(3, 2, 8, 6)
    a = torch.stack([problem(8, 6, s)[1] for s in range(2)])
    eps = torch.tensor([[0.2, 1.0], [0.5, 3.0], [8.0, 0.1]], dtype=torch.float64)
    result = solve(C, a, None, eps=eps, tol=1e-8)
    assert result.converged.shape == result.value.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            alone = solve(C[i, j], a[j], eps=eps[i, j].item(), tol=1e-8)
            torch.testing.assert_close(result.plan[i, j], alone.plan, atol=1e-9, rtol=0)
            torch.testing.assert_close(result.value[i, j], alone.value, atol=1e-9, rtol=0)


def test_atoms_without_mass_get_no_mass_and_a_finite_potential():
    C, a, b = problem(8, 7, 1)
    a = torch.where(torch.arange(8) % 3 == 0, 0.0, a)
    b = torch.where(torch.arange(7) == 2, 0.0, b)
    a, b = a / a.sum(), b / b.sum()
    result = solve(C, a, b, eps=0.5, tol=1e-9)
    kept = solve(C[a > 0][:, b > 0], a[a > 0], b[b > 0], eps=0.5, tol=1e-9)
    assert result.converged
    assert result.value.item() == pytest.approx(kept.value.item(), abs=1e-8)
    assert result.plan[0].abs().sum() == 0
    assert all(torch.isfinite(h).all() for h in result.potentials)
    assert torch.isfinite(result.value_linear)


def test_forbidden_pairs():
    C = problem(6, 6, 2)[0]
    C[0, :5] = math.inf
    C[3, 3] = math.inf
    b = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 0.5], dtype=torch.float64)
    result = solve(C, torch.full((6,), 1 / 6, dtype=torch.float64), b, eps=1.0)
    assert result.converged
    assert result.plan[3, 3] == 0
    assert result.plan[0, 5].item() == pytest.approx(1 / 6, abs=1e-6)
    assert torch.isfinite(result.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fraction", [1e-4, 1e-2, 1.0, 1e3])
def test_converged_means_what_it_says_at_any_eps(fraction, dtype):
    C, a, b = problem(12, 12, 3, dtype)
    result = solve(C, a, b, eps=fraction * C.mean().item(), tol=1e-4, max_iter=300, warn=False)
    error = true_error(result, a, b)
    assert math.isfinite(error)
    if result.converged:
        assert error <= 1.5e-4
    else:
        assert result.marginal_error > 1e-4


def test_a_cost_shifted_by_a_hundred_million():
    C, a, b = problem(10, 10, 4)
    base, far = (solve(cost, a, b, eps=0.5, tol=1e-8) for cost in (C, C + 1e8))
    torch.testing.assert_close(far.plan, base.plan, atol=1e-7, rtol=0)
    assert far.value.item() - 1e8 == pytest.approx(base.value.item(), abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_a_single_point(shape):
    C = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    result = solve(C, eps=0.1)
    assert result.converged
    assert result.value.item() == pytest.approx(C.mean().item(), abs=1e-6)


def test_identical_points_and_ties():
    x = torch.ones(5, 2, dtype=torch.float64)
    result = solve_sample(x, x, eps=0.1)
    torch.testing.assert_close(result.plan, torch.full((5, 5), 0.04, dtype=torch.float64))
    assert result.value.item() == pytest.approx(0.0, abs=1e-12)


def test_masses_other_than_one():
    """The optimality condition with reference a bᵀ holds for any total mass."""
    C, a, b = problem(6, 5, 5)
    result = solve(C, 3 * a, 3 * b, eps=0.5, tol=1e-10)
    torch.testing.assert_close(result.plan, 3 * solve(C, a, b, eps=0.5, tol=1e-10).plan)
    P, Q = result.plan, 9 * a[:, None] * b
    primal = (C * P).sum() + 0.5 * (P * (P / Q).log() - P + Q).sum()
    assert result.value.item() == pytest.approx(primal.item(), abs=1e-8)


def test_strided_inputs_and_inputs_in_a_graph_are_left_alone():
    C, a, b = problem(6, 9, 6)
    strided = C.mT.contiguous().mT
    assert not strided.is_contiguous()
    before = strided.clone()
    leaf = strided.requires_grad_()
    result = solve(leaf, a, b, eps=0.5)
    torch.testing.assert_close(result.value.detach(), solve(C, a, b, eps=0.5).value)
    assert torch.equal(leaf.detach(), before)
    assert not any(h.requires_grad for h in result.potentials)


def test_warm_start_saves_sweeps():
    C, a, b = problem(30, 30, 7)
    cold = solve(C, a, b, eps=0.2, tol=1e-8)
    warm = solve(C, a, b, eps=0.2, tol=1e-8, init=cold.potentials)
    assert warm.n_iter <= 2 < cold.n_iter
    torch.testing.assert_close(warm.plan, cold.plan, atol=1e-8, rtol=0)


def test_a_stopped_solve_says_so():
    C, a, b = problem(30, 30, 8)
    with pytest.warns(
        ConvergenceWarning, match=r"after 3 sweeps .* > tol 1.0e-09 .*eps = 0.01.*Raise eps"
    ):
        result = solve(C, a, b, eps=0.01, tol=1e-9, max_iter=3)
    assert result.converged is False
    assert result.marginal_error > 1e-9
    assert "stopped after 3 sweeps" in result.message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(C, a, b, eps=0.01, tol=1e-9, max_iter=3, warn=False)


def test_float32_agrees_with_float64():
    C, a, b = problem(20, 20, 9)
    double = solve(C, a, b, eps=0.5)
    single = solve(C.float(), a.float(), b.float(), eps=0.5, tol=1e-5)
    assert single.value.dtype == torch.float32
    torch.testing.assert_close(single.plan.double(), double.plan, atol=1e-6, rtol=0)
