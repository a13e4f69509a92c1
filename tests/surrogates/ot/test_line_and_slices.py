"""Transport on the line, on the circle and along random directions."""

import math

import ot as pot
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import (
    max_sliced_wasserstein,
    sliced_wasserstein,
    solve,
    wasserstein,
    wasserstein_circle,
    wasserstein_line,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def probabilities(*shape, seed=0):
    return torch.softmax(draw(*shape, seed=seed), -1)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_line_agrees_with_general_transport(p, seed):
    x, y = draw(9, seed=seed), draw(7, seed=seed + 9)
    a, b = probabilities(9, seed=seed), probabilities(7, seed=seed + 5)
    a = torch.where(torch.arange(9) == 4, 0.0, a)
    a = a / a.sum()
    expected = wasserstein(x[:, None], y[:, None], a, b, p=p)
    torch.testing.assert_close(wasserstein_line(x, y, a, b, p=p), expected)


def test_line_in_batches_with_ties():
    x = draw(3, 6).round()
    y = draw(6, seed=1).round()
    values = wasserstein_line(x, y)
    for k in range(3):
        torch.testing.assert_close(values[k], wasserstein(x[k][:, None], y[:, None]))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_circle_agrees_with_general_transport(p, weighted):
    for seed in range(4):
        x, y = 3 * draw(8, seed=seed), draw(6, seed=seed + 9)
        a, b = (probabilities(8, seed=seed), probabilities(6)) if weighted else (None, None)
        gap = (x[:, None] - y).abs() % 1.0
        C = torch.minimum(gap, 1 - gap) ** p
        expected = solve(C, a, b).value ** (1 / p)
        torch.testing.assert_close(wasserstein_circle(x, y, a, b, p=p), expected)


def test_circle_of_any_circumference():
    x, y = draw(5), draw(5, seed=1)
    torch.testing.assert_close(
        wasserstein_circle(2 * math.pi * x, 2 * math.pi * y, period=2 * math.pi),
        2 * math.pi * wasserstein_circle(x, y),
    )
    # Small arcs do not feel the circle.
    torch.testing.assert_close(
        wasserstein_circle(0.4 + 0.01 * x, 0.4 + 0.01 * y), 0.01 * wasserstein_line(x, y)
    )


@pytest.mark.parametrize("sizes", [(20, 20), (20, 13)])
@pytest.mark.parametrize("p", [1, 2])
def test_sliced_agrees_with_pot_on_the_same_directions(sizes, p):
    x, y = draw(sizes[0], 4), draw(sizes[1], 4, seed=1)
    theta = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    theta = theta / theta.norm(dim=-1, keepdim=True)
    expected = pot.sliced_wasserstein_distance(x, y, projections=theta.T, p=p)
    value = sliced_wasserstein(x, y, p=p, n_projections=30, seed=3)
    torch.testing.assert_close(value, expected)


def test_sliced_converges_to_its_mean_for_a_translation():
    """SW2²(x, x + v) = |v|²/d: the mean square of a coordinate of a random direction."""
    x, v = draw(30, 3), torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    n = 4000
    value = sliced_wasserstein(x, x + v, n_projections=n, seed=1).square().item()
    spread = 25 * math.sqrt(4 / 45 / n)  # variance of a squared coordinate on the sphere in R³
    assert abs(value - 25 / 3) < 4 * spread


def test_seeds_repeat_and_differ():
    x, y = draw(10, 3), draw(10, 3, seed=1)
    one, same, other = (sliced_wasserstein(x, y, n_projections=5, seed=s) for s in (0, 0, 1))
    assert one == same
    assert one != other
    generator = torch.Generator().manual_seed(0)
    assert sliced_wasserstein(x, y, n_projections=5, seed=generator) == one
    assert sliced_wasserstein(x, y, n_projections=5, seed=generator) != one


def test_max_sliced_finds_the_direction():
    x = draw(2, 60, 5)
    v = torch.zeros(5, dtype=torch.float64)
    v[2] = 4.0
    torch.testing.assert_close(
        max_sliced_wasserstein(x, x + v), torch.full((2,), 4.0).double(), atol=1e-4, rtol=0
    )
    y = draw(60, 5, seed=7)
    assert max_sliced_wasserstein(x[0], y) >= sliced_wasserstein(x[0], y)
    assert max_sliced_wasserstein(x[0], y) <= wasserstein(x[0], y) + 1e-12


def test_gradients():
    x, y, a = draw(5, 2), draw(4, 2, seed=1), probabilities(5)
    leaf = x.clone().requires_grad_()
    for function in (
        lambda x: sliced_wasserstein(x, y, a, n_projections=7),
        lambda x: wasserstein_line(x[:, 0], y[:, 0], a),
        lambda x: wasserstein_circle(x[:, 0], y[:, 0], a),
        lambda x: max_sliced_wasserstein(x, y, a, n_steps=30),
    ):
        assert torch.autograd.gradcheck(function, leaf, eps=1e-6, atol=1e-4)
    sliced_wasserstein(leaf, x).backward()
    assert leaf.grad.abs().max() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein_line(torch.zeros(2), torch.zeros(2), p=0.5), "p = 0.5"),
        (lambda: wasserstein_circle(torch.zeros(2), torch.zeros(2), period=0), "period = 0"),
        (lambda: wasserstein_line(torch.tensor([math.nan]), torch.zeros(2)), "non-finite"),
        (lambda: wasserstein_line(torch.zeros(2, 3), torch.zeros(3, 3)), "broadcast"),
        (
            lambda: sliced_wasserstein(torch.zeros(2, 1), torch.zeros(2, 1), n_projections=0),
            "n_projections = 0",
        ),
        (lambda: sliced_wasserstein(torch.zeros(2, 1), torch.zeros(2, 2)), "dimension 1, y"),
    ],
)
def test_errors(call, message):
    with pytest.raises(DataError, match=message):
        call()
