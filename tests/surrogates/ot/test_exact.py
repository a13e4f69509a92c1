"""Exact plans and their dual certificates, against the conditions of optimality and POT."""

import math

import ot as pot
import pytest
import torch
from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import solve


def problem(n, m, seed, uniform=False):
    generator = torch.Generator().manual_seed(seed)
    C = torch.rand(n, m, dtype=torch.float64, generator=generator)
    if uniform:
        return C, None, None
    a, b = (torch.rand(k, dtype=torch.float64, generator=generator) + 0.01 for k in (n, m))
    return C, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "m", "uniform"), [(20, 20, True), (13, 21, False), (1, 5, False)])
def test_agrees_with_pot_and_certifies_itself(n, m, uniform, seed):
    C, a, b = problem(n, m, seed, uniform)
    result = solve(C, a, b)
    wa = torch.full((n,), 1 / n, dtype=torch.float64) if a is None else a
    wb = torch.full((m,), 1 / m, dtype=torch.float64) if b is None else b
    assert result.value.item() == pytest.approx(pot.emd2(wa, wb, C).item(), abs=1e-12)
    f, g = result.potentials
    assert (f[:, None] + g - C).max() < 1e-10
    assert (f @ wa + g @ wb).item() == pytest.approx(result.value.item(), abs=1e-10)
    assert result.converged is True
    assert result.marginal_error < 1e-12
    assert result.value_linear.item() == pytest.approx(result.value.item())


def test_a_batch_equals_a_loop():
    C = torch.stack([problem(7, 5, s)[0] for s in range(6)]).reshape(2, 3, 7, 5)
    b = problem(7, 5, 9)[2]
    result = solve(C, None, b)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(result.value[i, j], solve(C[i, j], None, b).value)
            torch.testing.assert_close(result.plan[i, j], solve(C[i, j], None, b).plan)
    assert result.converged.shape == (2, 3)
    assert result.converged.all()
    assert result.potentials[0].shape == (2, 3, 7)


def test_atoms_without_mass_are_carried():
    C, a, b = problem(8, 6, 3)
    a = a.clone()
    a[[0, 4]] = 0
    a /= a.sum()
    b = torch.cat([b[:3], torch.zeros(1).double(), b[4:]])
    b /= b.sum()
    result = solve(C, a, b)
    assert result.plan[0].sum() == 0
    assert result.plan[:, 3].sum() == 0
    f, g = result.potentials
    assert (f[:, None] + g - C).max() < 1e-10
    kept = solve(C[a > 0][:, b > 0], a[a > 0], b[b > 0])
    assert result.value.item() == pytest.approx(kept.value.item())


@pytest.mark.parametrize("uniform", [True, False])
def test_forbidden_pairs_are_avoided(uniform):
    C, a, b = problem(6, 6, 4, uniform)
    C[0, :5] = math.inf
    if not uniform:
        a = torch.full((6,), 1 / 6, dtype=torch.float64)
        b = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 0.5], dtype=torch.float64)
    result = solve(C, a, b)
    assert result.plan[0, 5].item() == pytest.approx(1 / 6)
    assert torch.isfinite(result.value)
    assert torch.isfinite(result.value_linear)


def test_an_infeasible_problem_is_refused():
    C = torch.full((3, 3), math.inf)
    C[:, 0] = 1.0
    C[2] = 1.0
    with pytest.raises(DataError, match="no plan avoids the 4 infinite costs"):
        solve(C)
    with pytest.raises(DataError, match="no plan avoids"):
        solve(C, torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.2, 0.0, 0.8]))


def test_ties_and_identical_points():
    result = solve(torch.ones(5, 5))
    assert result.value.item() == pytest.approx(1.0)
    assert result.converged
    f, g = result.potentials
    torch.testing.assert_close(f[:, None] + g, torch.ones(5, 5))


def test_float32_in_float32_out():
    C, a, b = problem(9, 9, 5)
    result = solve(C.float(), a.float(), b.float())
    assert result.plan.dtype == result.value.dtype == torch.float32
    assert result.converged
    assert result.value.item() == pytest.approx(solve(C, a, b).value.item(), abs=1e-6)
