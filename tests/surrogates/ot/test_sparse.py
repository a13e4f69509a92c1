"""At most k nonzeros a column: the two ends are exact and quadratic transport."""

import contextlib
import io

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import round_plan, solve


def problem(n, m, seed):
    generator = torch.Generator().manual_seed(seed)
    C = torch.rand(n, m, dtype=torch.float64, generator=generator)
    a, b = (torch.rand(k, dtype=torch.float64, generator=generator) + 0.1 for k in (n, m))
    return C, a / a.sum(), b / b.sum()


def test_one_nonzero_is_exact_transport():
    C, _, _ = problem(10, 10, 0)
    result = solve(C, sparsity=1, eps=0.3)
    exact = solve(C)
    torch.testing.assert_close(result.plan, exact.plan)
    assert result.value_linear.item() == pytest.approx(exact.value.item())
    assert result.duality_gap.item() == pytest.approx(0.0, abs=1e-10)
    assert result.converged


@pytest.mark.parametrize("formulation", ["semi-dual", "dual"])
@pytest.mark.parametrize("seed", range(2))
def test_all_nonzeros_are_quadratic_transport(seed, formulation):
    C, a, b = problem(8, 6, seed)
    result = solve(C, a, b, sparsity=8, eps=0.5, formulation=formulation, tol=1e-7)
    assert result.converged
    plan = pot.smooth.smooth_ot_semi_dual(
        a.numpy(), b.numpy(), C.numpy(), 0.5, reg_type="l2", stopThr=1e-12, numItermax=5000
    )
    torch.testing.assert_close(result.plan, torch.from_numpy(plan), atol=1e-5, rtol=0)
    assert result.duality_gap.item() == pytest.approx(0.0, abs=1e-6)
    f, g = result.potentials
    on = result.plan > 1e-6
    slack = f[:, None] + g - C
    torch.testing.assert_close(slack[on], 0.5 * result.plan[on], atol=1e-5, rtol=0)


@pytest.mark.parametrize("formulation", ["semi-dual", "dual"])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_columns_hold_at_most_k_and_the_account_is_true(k, formulation):
    C, a, b = problem(12, 9, 3)
    result = solve(C, a, b, sparsity=k, eps=0.5, formulation=formulation, warn=False)
    assert (result.plan > 0).sum(0).max() <= k
    rows, columns = result.marginals
    true = max((rows - a).abs().sum().item(), (columns - b).abs().sum().item())
    assert result.marginal_error.item() == pytest.approx(true, abs=1e-12)
    assert result.converged == (true <= 1e-6)
    if formulation == "semi-dual":
        torch.testing.assert_close(columns, b)
    # The dual value bounds every feasible plan from below.
    assert result.duality_gap >= -1e-9
    assert result.dual_value <= solve(C, a, b, sparsity=12, eps=0.5).value + 1e-6 + 0.25


def test_the_dual_value_rises_as_fewer_nonzeros_are_allowed():
    C, a, b = problem(12, 9, 4)
    values = [
        solve(C, a, b, sparsity=k, eps=0.5, warn=False).dual_value.item() for k in (12, 6, 3, 2)
    ]
    assert values == sorted(values)


def test_agrees_with_pot_where_the_dual_is_tight():
    C, a, b = problem(12, 9, 5)
    result = solve(C, a, b, sparsity=11, eps=0.1, tol=1e-7, warn=False)
    with contextlib.redirect_stdout(io.StringIO()):
        plan = pot.smooth.smooth_ot_semi_dual(
            a.numpy(),
            b.numpy(),
            C.numpy(),
            0.1,
            reg_type="sparsity_constrained",
            max_nz=11,
            stopThr=1e-12,
            numItermax=5000,
        )
    torch.testing.assert_close(result.plan, torch.from_numpy(plan), atol=1e-5, rtol=0)


def test_a_plan_that_misses_its_rows_says_so():
    C, a, b = problem(12, 9, 3)
    with pytest.warns(ConvergenceWarning, match="at ties in the k-th largest entry"):
        result = solve(C, a, b, sparsity=2, eps=5.0)
    assert result.converged is False
    rounded = round_plan(result.plan, a, b)
    torch.testing.assert_close(rounded.sum(1), a)
    torch.testing.assert_close(rounded.sum(0), b)


def test_batches_float32_and_the_default_strength():
    C = torch.stack([problem(6, 6, s)[0] for s in range(2)])
    result = solve(C.float(), sparsity=6)
    assert result.plan.dtype == torch.float32
    assert result.converged.all()
    alone = solve(C[1].float(), sparsity=6)
    torch.testing.assert_close(result.plan[1], alone.plan)


def test_errors():
    C, a, b = problem(4, 4, 0)
    with pytest.raises(DataError, match="sparsity = 0; expected at least 1"):
        solve(C, a, b, sparsity=0)
    with pytest.raises(DataError, match="formulation = 'primal'"):
        solve(C, a, b, sparsity=2, formulation="primal")
    with pytest.raises(DataError, match="P holds negative"):
        round_plan(-C, a, b)
