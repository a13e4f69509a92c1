"""Relaxed marginals: Diracs in closed form, conditions of optimality, limits, POT."""

import math

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix, solve


def problem(n, m, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, 2, dtype=torch.float64, generator=generator) for k in (n, m))
    a, b = (torch.rand(k, dtype=torch.float64, generator=generator) + 0.01 for k in (n, m))
    return cost_matrix(x, y), a / a.sum(), 2.5 * b / b.sum()


@pytest.mark.parametrize(("tau_a", "tau_b"), [(1.0, 1.0), (0.3, 2.0), (math.inf, 0.5)])
@pytest.mark.parametrize("eps", [0.001, 0.7])
def test_two_diracs(tau_a, tau_b, eps):
    """min over s of s c + eps KL(s|pq) + tau_a KL(s|p) + tau_b KL(s|q) is solved by hand."""
    c, p, q = 1.7, 0.8, 2.0
    if tau_a == math.inf:
        s = p
    else:
        s = math.exp(
            (-c + eps * math.log(p * q) + tau_a * math.log(p) + tau_b * math.log(q))
            / (eps + tau_a + tau_b)
        )

    def kl(u, v):
        return u * math.log(u / v) - u + v

    value = s * c + eps * kl(s, p * q) + tau_b * kl(s, q)
    value += 0.0 if tau_a == math.inf else tau_a * kl(s, p)
    result = solve(
        torch.tensor([[c]], dtype=torch.float64),
        torch.tensor([p], dtype=torch.float64),
        torch.tensor([q], dtype=torch.float64),
        eps=eps,
        tau=(tau_a, tau_b),
        tol=1e-10,
    )
    assert result.converged
    assert result.plan.item() == pytest.approx(s, rel=1e-8)
    assert result.value.item() == pytest.approx(value, rel=1e-8)


def test_diracs_without_entropy():
    """eps -> 0: s = sqrt(pq) exp(-r²/(2 tau))."""
    result = solve(
        torch.tensor([[1.7]], dtype=torch.float64),
        torch.tensor([0.8], dtype=torch.float64),
        torch.tensor([2.0], dtype=torch.float64),
        eps=1e-7,
        tau=0.9,
    )
    assert result.plan.item() == pytest.approx(math.sqrt(1.6) * math.exp(-1.7 / 1.8), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tau", [0.1, 1.0, 30.0])
def test_agrees_with_pot(seed, tau):
    C, a, b = problem(9, 7, seed)
    result = solve(C, a, b, eps=0.3, tau=tau, tol=1e-10)
    plan = pot.unbalanced.sinkhorn_unbalanced(
        a, b, C, 0.3, tau, reg_type="kl", stopThr=1e-14, numItermax=50000
    )
    torch.testing.assert_close(result.plan, plan, atol=1e-7, rtol=0)

    def kl(P, Q):
        return (P * (P / Q).log() - P + Q).sum()

    P = result.plan
    primal = (C * P).sum() + 0.3 * kl(P, a[:, None] * b)
    primal = primal + tau * (kl(P.sum(1), a) + kl(P.sum(0), b))
    assert result.value.item() == pytest.approx(primal.item(), rel=1e-8)


def test_limit_of_large_tau_is_balanced():
    C, a, b = problem(9, 7, 0)
    b = b / b.sum()
    balanced = solve(C, a, b, eps=0.3, tol=1e-10)
    loose = solve(C, a, b, eps=0.3, tau=1e6, tol=1e-9)
    torch.testing.assert_close(loose.plan, balanced.plan, atol=1e-6, rtol=0)
    exact = solve(C, a, b, eps=0.3, tau=math.inf, tol=1e-10)
    torch.testing.assert_close(exact.plan, balanced.plan)


def test_masses_far_apart_need_few_sweeps():
    """The translation-invariant update: a hundredfold mass is no harder than an equal one."""
    C, a, b = problem(20, 20, 1)
    counts = [solve(C, a, k * b, eps=0.3, tau=50.0, tol=1e-8).n_iter for k in (0.4, 40.0)]
    assert counts[1] <= 2 * counts[0]


def test_one_sided_relaxation_keeps_the_other_side():
    C, a, b = problem(9, 7, 2)
    result = solve(C, a, b, eps=0.3, tau=(math.inf, 0.5), tol=1e-10)
    torch.testing.assert_close(result.marginals[0], a, atol=1e-9, rtol=0)
    assert (result.marginals[1] - b).abs().sum() > 0.1
    swapped = solve(C.mT, b, a, eps=0.3, tau=(0.5, math.inf), tol=1e-10)
    torch.testing.assert_close(swapped.plan.mT, result.plan, atol=1e-8, rtol=0)


def test_atoms_without_mass_and_batches():
    C, a, b = problem(9, 7, 3)
    a = torch.where(torch.arange(9) == 2, 0.0, a)
    result = solve(torch.stack([C, 2 * C]), a, b, eps=0.3, tau=1.0, tol=1e-9)
    assert result.plan[:, 2].abs().sum() == 0
    assert all(torch.isfinite(h).all() for h in result.potentials)
    alone = solve(2 * C, a, b, eps=0.3, tau=1.0, tol=1e-9)
    torch.testing.assert_close(result.value[1], alone.value, atol=1e-8, rtol=0)


def test_gradients():
    C, a, b = problem(4, 3, 4)
    inputs = [t.clone().requires_grad_() for t in (C, a, b, torch.tensor(0.5).double())]
    assert torch.autograd.gradcheck(
        lambda C, a, b, e: solve(C, a, b, eps=e, tau=(0.7, 2.0), tol=1e-13).value, inputs, eps=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 1.0}, "tau without eps"),
        ({"tau": 0.0, "eps": 1.0}, "tau = 0.0; expected a KL weight > 0"),
        ({"tau": (1.0, -1.0), "eps": 1.0}, r"tau = \(1.0, -1.0\)"),
        ({"tau": 1.0, "mass": 0.5, "eps": 1.0}, "tau and mass were given"),
        ({"eps": 1.0}, "pass tau="),
        ({"eps": 1.0, "tau": math.inf}, "pass tau="),
    ],
)
def test_errors(arguments, message):
    C, a, b = problem(4, 3, 5)
    with pytest.raises(DataError, match=message):
        solve(C, a, b, **arguments)


def test_no_duality_gap():
    C, a, b = problem(4, 3, 5)
    with pytest.raises(DataError, match="duality_gap of an unbalanced"):
        _ = solve(C, a, b, eps=1.0, tau=1.0).duality_gap
