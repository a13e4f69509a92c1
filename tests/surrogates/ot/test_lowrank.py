"""Low-rank plans: feasible, of the rank asked for, between independent and exact."""

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import cost_matrix, solve_low_rank, solve_sample


def clouds(n=24, m=18):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, dtype=torch.float64, generator=generator)
    y = 0.7 * torch.randn(m, 2, dtype=torch.float64, generator=generator) + 1.0
    return x, y


def test_the_plan_is_feasible_and_of_its_rank():
    x, y = clouds()
    a = torch.softmax(x[:, 0], 0)
    result = solve_low_rank(x, y, a, rank=4)
    assert torch.linalg.matrix_rank(result.plan) <= 4
    torch.testing.assert_close(result.plan.sum(1), a, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        result.plan.sum(0), torch.full((18,), 1 / 18).double(), atol=1e-6, rtol=0
    )
    C = cost_matrix(x, y)
    assert result.value.item() == pytest.approx((C * result.plan).sum().item())
    assert result.value_linear == result.value
    expected = result.plan @ y / result.plan.sum(1, keepdim=True)
    torch.testing.assert_close(result.barycentric_map(y), expected)


def test_rank_one_is_independent_and_high_rank_is_nearly_exact():
    x, y = clouds()
    C = cost_matrix(x, y)
    exact = solve_sample(x, y).value.item()
    assert solve_low_rank(x, y, rank=1).value.item() == pytest.approx(C.mean().item())
    costs = [solve_low_rank(x, y, rank=r, max_iter=200).value.item() for r in (2, 8)]
    assert costs == sorted(costs, reverse=True)
    assert exact < costs[-1] < 1.15 * exact


def test_not_worse_than_pot():
    x, y = clouds()
    ours = solve_low_rank(x, y, rank=5, max_iter=200).value.item()
    a, b = torch.full((24,), 1 / 24).double(), torch.full((18,), 1 / 18).double()
    Q, R, g = pot.lowrank.lowrank_sinkhorn(
        x.numpy(),
        y.numpy(),
        a.numpy(),
        b.numpy(),
        rank=5,
        init="deterministic",
        numItermax=1000,
        warn=False,
    )
    theirs = (cost_matrix(x, y).numpy() * ((Q / g) @ R.T)).sum().item()
    assert ours <= 1.05 * theirs


def test_other_costs_and_atoms_without_mass():
    x, y = clouds()
    a = (torch.arange(24) >= 3).double() / 21
    result = solve_low_rank(x, y, a, rank=6, cost="euclidean")
    assert result.plan[:3].abs().sum() == 0
    exact = solve_sample(x, y, a, cost="euclidean").value.item()
    assert exact <= result.value.item() < 1.3 * exact
    assert torch.equal(result.plan, solve_low_rank(x, y, a, rank=6, cost="euclidean").plan)


def test_errors_and_warning():
    x, y = clouds()
    for rank in (0, 19):
        with pytest.raises(DataError, match=f"rank = {rank}; expected 1 to"):
            solve_low_rank(x, y, rank=rank)
    with pytest.raises(DataError, match="one problem at a time"):
        solve_low_rank(x[None], y[None], rank=2)
    with pytest.raises(AttributeError, match="has no potentials"):
        _ = solve_low_rank(x, y, rank=1).potentials
    with pytest.warns(ConvergenceWarning, match="solve_low_rank stopped after 2 steps"):
        assert solve_low_rank(x, y, rank=3, max_iter=2).converged is False
