"""Wrong input gets an error that names the value, the expectation and the remedy."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import (
    cost_matrix,
    monge_gap,
    sinkhorn_divergence,
    solve,
    solve_sample,
    wasserstein,
)

C = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
X, Y = torch.zeros(3, 2), torch.ones(4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": torch.tensor([-0.5, 0.5, 1.0])}, r"a holds 1 weights .* first is -0.5.*>= 0"),
        ({"a": torch.tensor([math.nan, 0.5, 0.5])}, r"a holds 1 weights .* first is nan"),
        ({"b": torch.tensor([math.inf, 0.5, 0.5, 0.0])}, r"b holds 1 weights .* first is inf"),
        ({"a": torch.zeros(3)}, "a sums to 0"),
        ({"a": torch.ones(3)}, r"a has total mass 3.*b has 1.*a / a.sum\(\)"),
        ({"a": torch.ones(4) / 4}, r"a has shape \(4,\); expected \(3,\)"),
        ({"b": torch.ones(2, 4) / 4}, r"b has shape \(2, 4\); expected \(4,\)"),
        ({"a": torch.tensor([1, 1, 1])}, r"a has dtype torch.int64.*a.double\(\)"),
        ({"a": torch.ones(3, dtype=torch.float64) / 3}, r"a is torch.float64.*a.to\(C\)"),
        ({"eps": 0.0}, r"eps = 0; .* > 0"),
        ({"eps": -1.0}, "eps = -1; "),
        ({"eps": math.nan}, "eps = nan"),
        ({"eps": torch.ones(2)}, r"eps has shape \(2,\)"),
        ({"eps": 1.0, "tol": 0.0}, "tol = 0.0"),
        ({"eps": 1.0, "init": (torch.zeros(4), torch.zeros(4))}, r"init holds f of shape \(4,\)"),
        ({"eps": 1.0, "init": (torch.zeros(3), torch.zeros(4) / 0)}, "init holds g .* non-finite"),
        ({"eps": 1.0, "max_iter": 0}, "max_iter = 0"),
    ],
)
def test_solve(arguments, message):
    with pytest.raises(DataError, match=message):
        solve(C, **arguments)


@pytest.mark.parametrize("eps", [None, 1.0])
@pytest.mark.parametrize(
    ("cost", "message"),
    [
        (torch.tensor([[0, 1], [1, 0]]), r"C has dtype torch.int64.*C.double\(\)"),
        (torch.tensor([[0.0, math.nan], [1.0, 0.0]]), "C holds 1 values that are NaN or -inf"),
        (torch.tensor([[0.0, -math.inf], [1.0, 0.0]]), "C holds 1 values that are NaN or -inf"),
        (torch.tensor([[math.inf, math.inf], [1.0, 0.0]]), "row 0 of C is infinite"),
        (torch.tensor([[math.inf, 1.0], [math.inf, 0.0]]), "column 0 of C is infinite"),
        (torch.zeros(3, 0), r"C has shape \(3, 0\)"),
    ],
)
def test_cost(cost, message, eps):
    with pytest.raises(DataError, match=message):
        solve(cost, eps=eps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve_sample(X, torch.zeros(4, 3)), "dimension 2, y of dimension 3"),
        (lambda: solve_sample(X, Y.double()), r"x is torch.float32.*y.to\(x\)"),
        (lambda: solve_sample(X * math.nan, Y), "x holds 6 non-finite coordinates"),
        (lambda: solve_sample(X, Y.long()), "y has dtype torch.int64"),
        (lambda: solve_sample(X, Y, cost="cosine"), "cost = 'cosine'; expected one of 'sqeucl"),
        (lambda: cost_matrix(X, Y, cost=lambda x, y: x), r"cost\(x, y\) returned shape"),
        (lambda: cost_matrix(X.expand(2, 3, 2), Y.expand(3, 4, 2)), "shapes that broadcast"),
        (lambda: wasserstein(X, Y, p=0.5), "p = 0.5"),
        (lambda: monge_gap(X, Y), "expected one image for each point"),
        (lambda: monge_gap(X, X, convention="entropy"), "convention = 'entropy'"),
        (lambda: sinkhorn_divergence(X, Y, torch.ones(3)), "balanced transport needs equal"),
        (lambda: sinkhorn_divergence(X, Y, eps=-1.0), "eps = -1"),
    ],
)
def test_points(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_infinite_costs_of_an_absent_atom_are_fine():
    cost = torch.tensor([[math.inf, math.inf], [1.0, 0.0]])
    weight = torch.tensor([0.0, 1.0])
    for eps in (None, 0.1):
        result = solve(cost, weight, eps=eps)
        assert result.value.item() == pytest.approx(0.5)
        assert result.converged
