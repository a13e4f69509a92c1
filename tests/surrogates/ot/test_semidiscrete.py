"""Semi-discrete transport: cells on a line in closed form, certified masses, honest stops."""

import pytest
import torch

from pushforward.simulators.errors import ConvergenceWarning, DataError
from pushforward.surrogates.ot import solve_semidiscrete


def uniform(n, generator):
    return torch.rand(n, 1, dtype=torch.float64, generator=generator)


def normal(n, generator):
    return torch.randn(n, 2, dtype=torch.float64, generator=generator)


def test_cells_on_a_line_are_quantile_intervals():
    y = torch.tensor([[0.9], [0.2], [0.5]], dtype=torch.float64)
    b = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    found = solve_semidiscrete(uniform, y, b, tol=0.01)
    assert found.converged
    # Sorted targets .2 .5 .9 take [0,.2], [.2,.5], [.5,1].
    x = torch.tensor([[0.1], [0.18], [0.22], [0.48], [0.52], [0.99]], dtype=torch.float64)
    assert found(x).flatten().tolist() == [0.2, 0.2, 0.5, 0.5, 0.9, 0.9]

    def piece(low, high, at):
        return ((high - at) ** 3 - (low - at) ** 3) / 3

    exact = piece(0, 0.2, 0.2) + piece(0.2, 0.5, 0.5) + piece(0.5, 1, 0.9)
    assert found.value == pytest.approx(exact, abs=0.003)
    assert found.dual_value == pytest.approx(exact, abs=0.003)


def test_masses_are_certified_on_fresh_samples():
    y = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = solve_semidiscrete(normal, y, tol=0.05, seed=3)
    assert found.converged
    assert found.noise < 0.05 / 2.9
    fresh = normal(200_000, torch.Generator().manual_seed(99))
    masses = torch.bincount(found.assign(fresh), minlength=40) / 200_000
    assert (masses - 1 / 40).abs().sum() < 0.05 + 4 * found.noise
    assert found.masses.sum().item() == pytest.approx(1.0)
    assert abs(found.value - found.dual_value) < 0.05
    again = solve_semidiscrete(normal, y, tol=0.05, seed=3)
    assert torch.equal(found.potential, again.potential)


def test_the_wrong_source_law_gives_the_wrong_masses():
    y = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def square(n, generator):
        return torch.rand(n, 2, dtype=torch.float64, generator=generator)

    found = solve_semidiscrete(square, y, tol=0.1)
    x = normal(20_000, torch.Generator().manual_seed(5))
    masses = torch.bincount(found.assign(x), minlength=16) / 20_000
    assert (masses - 1 / 16).abs().sum() > 0.5


def test_a_stopped_solve_says_so():
    y = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with pytest.warns(ConvergenceWarning, match=r"mass error .* > tol 1.0e-04. Raise max_samples"):
        found = solve_semidiscrete(normal, y, tol=1e-4, max_samples=50_000)
    assert found.converged is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tol": 0.0}, "tol = 0.0"),
        ({"b": torch.tensor([-1.0, 2.0])}, "b holds 1 weights"),
        ({"sample": lambda n, g: torch.zeros(n, 3)}, r"expected torch.float32 of shape \(16, 2\)"),
    ],
)
def test_errors(arguments, message):
    arguments = {"sample": lambda n, g: torch.randn(n, 2, generator=g)} | arguments
    with pytest.raises(DataError, match=message):
        solve_semidiscrete(y=torch.zeros(2, 2), **arguments)
