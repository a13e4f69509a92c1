"""Problems whose answer is known: Diracs, permutations, translations, convex gradients, 2x2."""

import math

import pytest
import torch
from pushforward.surrogates import ot
from pushforward.surrogates.ot import solve, solve_sample, wasserstein


def cloud(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("eps", [None, 0.3])
def test_one_dirac_to_many_points_pays_the_mean_cost(eps):
    x, y = cloud(1, 3), cloud(7, 3, 1)
    b = torch.arange(1.0, 8.0, dtype=torch.float64) / 28
    result = solve_sample(x, y, None, b, eps=eps)
    assert result.converged is True
    assert result.value.item() == pytest.approx(((x - y).square().sum(-1) @ b).item(), rel=1e-12)
    torch.testing.assert_close(result.plan, b[None])


@pytest.mark.parametrize("eps", [None, 0.01])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_permuted_points_are_matched(eps, cost):
    """A 3-cycle and more: a transposition would hide a gather on the wrong side."""
    x = 10 * cloud(6, 2)
    order = torch.tensor([1, 2, 0, 4, 5, 3])
    y = x[order] + 1e-3 * cloud(6, 2, 5)
    result = solve_sample(x, y, cost=cost, eps=eps)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[order, torch.arange(6)] = 1 / 6
    assert result.converged
    torch.testing.assert_close(result.plan, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(result.barycentric_map(y)[order], y, atol=1e-5, rtol=0)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_a_translation_costs_its_length(p):
    x, shift = cloud(40, 3), torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    assert wasserstein(x, x + shift, p=p).item() == pytest.approx(3.0, rel=1e-12)


def test_wasserstein_of_unequal_sizes_on_a_line():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    # Quantile functions: mass 1/3 stays at 0, 1/6 goes 0 -> 1, 1/6 stays at 1, 1/3 goes 1 -> 2.
    assert wasserstein(x, y, p=1).item() == pytest.approx(1 / 2, rel=1e-12)
    assert wasserstein(x, y, p=2).item() == pytest.approx(math.sqrt(1 / 2), rel=1e-12)


def test_gradients_of_convex_functions_are_optimal():
    """y = ∇φ(x), φ a log-sum-exp plus a quadratic: by Brenier the identity coupling is optimal."""
    x, slopes = cloud(50, 2), cloud(8, 2, 1)
    y = torch.softmax(x @ slopes.T, -1) @ slopes + 0.5 * x
    result = solve_sample(x, y)
    assert result.value.item() == pytest.approx((x - y).square().sum(-1).mean().item(), rel=1e-12)
    torch.testing.assert_close(result.plan, torch.eye(50, dtype=torch.float64) / 50)


def grid(mean, std, n=501, half_width=6.0):
    x = torch.linspace(mean - half_width * std, mean + half_width * std, n, dtype=torch.float64)
    w = torch.exp(-0.5 * ((x - mean) / std).square())
    return x[:, None], w / w.sum()


def test_entropic_gaussians_on_a_line():
    """OT with eps = 2 s² between N(0, 1) and N(0.3, 0.49); the grids carry no visible error."""
    s2, A, B, m = 0.2, 1.0, 0.49, 0.3
    D = math.sqrt(4 * A * B + s2**2)
    exact = m**2 + A + B - D + s2 * (1 - math.log(2 * s2)) + s2 * math.log(D + s2)
    assert exact == pytest.approx(0.64481416, abs=1e-8)
    (x, a), (y, b) = grid(0.0, 1.0), grid(m, 0.7)
    result = solve_sample(x, y, a, b, eps=2 * s2, tol=1e-9)
    assert result.converged
    assert result.value.item() == pytest.approx(exact, abs=1e-6)
    # The plan is Gaussian too: its map is linear with a known slope.
    slope = ((D - s2) / 2) / A
    T = result.barycentric_map(y)
    inner = x.abs().squeeze() < 2
    torch.testing.assert_close(T[inner], m + slope * x[inner], atol=1e-6, rtol=0)


@pytest.mark.parametrize("eps", [0.05, 0.5, 20.0])
def test_two_by_two_follows_the_odds_ratio(eps):
    """P11 P22 / (P12 P21) = exp(-(C11+C22-C12-C21)/eps) with both marginals fixed: a quadratic."""
    C = torch.tensor([[0.3, 1.0], [0.9, 0.7]], dtype=torch.float64)
    p, q = 0.3, 0.6
    ratio = math.exp(-(0.3 + 0.7 - 1.0 - 0.9) / eps)
    # s (1 - p - q + s) = ratio (p - s)(q - s)
    k2, k1, k0 = 1 - ratio, 1 - p - q + ratio * (p + q), -ratio * p * q
    s = (-k1 + math.sqrt(k1**2 - 4 * k2 * k0)) / (2 * k2)
    expected = torch.tensor([[s, p - s], [q - s, 1 - p - q + s]], dtype=torch.float64)
    a, b = torch.tensor([p, 1 - p]).double(), torch.tensor([q, 1 - q]).double()
    a, b = a / a.sum(), b / b.sum()
    result = solve(C, a, b, eps=eps, tol=1e-12)
    torch.testing.assert_close(result.plan, expected, atol=1e-7, rtol=0)
    kl = (expected * (expected / (a[:, None] * b)).log()).sum()
    assert result.value.item() == pytest.approx(((C * expected).sum() + eps * kl).item(), abs=1e-7)
    f, g = result.potentials
    torch.testing.assert_close(
        f[:, None] + g - C, eps * (expected / (a[:, None] * b)).log(), atol=1e-6, rtol=1e-6
    )


def test_limits_in_eps():
    x, y = cloud(12, 2), cloud(9, 2, 1)
    b = torch.rand(9, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.1
    b /= b.sum()
    wide = solve_sample(x, y, None, b, eps=1e6)
    torch.testing.assert_close(wide.plan, b.expand(12, 9) / 12, atol=1e-6, rtol=0)
    exact = solve_sample(x, y, None, b)
    close = solve_sample(x, y, None, b, eps=0.02, tol=1e-4)
    assert 0 <= (close.value - exact.value).item() < 0.02 * math.log(12 * 9)
    assert close.value_linear.item() == pytest.approx(exact.value.item(), abs=0.02)


def test_default_eps_ignores_a_shift_of_the_cost():
    C = ot.cost_matrix(cloud(20, 2), cloud(20, 2, 1))
    torch.testing.assert_close(ot.default_eps(C + 1000), ot.default_eps(C), atol=1e-9, rtol=0)
    assert ot.default_eps(torch.zeros(2, 2)) == 1.0
    assert ot.default_eps(torch.full((3, 3), 4.0)).item() == pytest.approx(0.2)
    forbidden = C.clone()
    forbidden[0, 0] = math.inf
    assert torch.isfinite(ot.default_eps(forbidden))
