"""Gromov-Wasserstein: isometries, two-point spaces, POT from the same start."""

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import gromov_wasserstein


def distances(n, seed):
    x = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.cdist(x, x)


def test_two_point_spaces():
    """Side lengths d and e, uniform weights: (d - e)²/2."""
    unit = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    diagonal = torch.eye(2, dtype=torch.float64) / 2
    result = gromov_wasserstein(3 * unit, 1.2 * unit, init=diagonal)
    assert result.value.item() == pytest.approx(1.8**2 / 2)
    assert result.converged is True


def test_isometric_copies():
    D = distances(9, 0)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    near = torch.zeros(9, 9, dtype=torch.float64)
    near[order, torch.arange(9)] = 1 / 9
    start = 0.5 * near + 0.5 / 81
    result = gromov_wasserstein(D, D[order][:, order], init=start)
    assert result.value.item() == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(result.plan, near)


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_pot(seed):
    D, E = distances(8, seed), distances(6, seed + 5)
    a = torch.softmax(D[0], 0)
    b = torch.full((6,), 1 / 6, dtype=torch.float64)
    exact = gromov_wasserstein(D, E, a, tol=1e-12)
    expected = pot.gromov.gromov_wasserstein2(
        D, E, a, b, "square_loss", tol_rel=1e-12, tol_abs=1e-14
    )
    assert exact.value.item() == pytest.approx(expected.item(), rel=1e-6)
    entropic = gromov_wasserstein(D, E, a, eps=0.5, tol=1e-10, max_iter=2000)
    plan = pot.gromov.entropic_gromov_wasserstein(
        D, E, a, b, "square_loss", epsilon=0.5, tol=1e-12, max_iter=2000, solver="PGD"
    )
    torch.testing.assert_close(entropic.plan, plan, atol=1e-5, rtol=0)


def test_the_value_is_the_double_sum_and_symmetric():
    D, E = distances(5, 0), distances(4, 1)
    for eps in (None, 1.0):
        result = gromov_wasserstein(D, E, eps=eps)
        P = result.plan
        gap = (D[:, None, :, None] - E[None, :, None, :]).square()
        brute = torch.einsum("ijkl,ij,kl->", gap, P, P)
        assert result.value_linear.item() == pytest.approx(brute.item())
        other = gromov_wasserstein(E, D, eps=eps)
        assert other.value.item() == pytest.approx(result.value.item(), rel=1e-5)


def test_gradient_in_the_distances():
    D, E = distances(5, 0).requires_grad_(), distances(4, 1)
    result = gromov_wasserstein(D, E, eps=1.0, tol=1e-9, max_iter=1000)
    gradient = torch.autograd.grad(result.value, D)[0]
    way = distances(5, 3)
    step = 1e-5
    with torch.no_grad():
        values = [
            gromov_wasserstein(D + s * way, E, eps=1.0, tol=1e-9, max_iter=1000).value.item()
            for s in (step, -step)
        ]
    assert (gradient * way).sum().item() == pytest.approx(
        (values[0] - values[1]) / (2 * step), rel=1e-4
    )


def test_errors_and_warning():
    D = distances(4, 0)
    with pytest.raises(DataError, match="D is not symmetric"):
        gromov_wasserstein(D.triu(), D)
    with pytest.raises(DataError, match=r"E has shape \(4, 3\)"):
        gromov_wasserstein(D, D[:, :3])
    with pytest.raises(DataError, match="init has shape"):
        gromov_wasserstein(D, D, init=D)
    with pytest.raises(AttributeError, match="pass eps"):
        _ = gromov_wasserstein(D, D).potentials
    with pytest.warns(ConvergenceWarning, match="Gromov-Wasserstein stopped after 1 steps"):
        result = gromov_wasserstein(D, distances(5, 2), eps=0.1, max_iter=1)
    assert result.converged is False
