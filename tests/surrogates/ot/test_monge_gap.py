"""The Monge gap: eight points with known gaps in three conventions, and its invariances."""

import math

import pytest
import torch
from pushforward.simulators.errors import ConvergenceWarning
from pushforward.surrogates.ot import monge_gap

ANGLE = 2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8
POINTS = (1 + torch.arange(8, dtype=torch.float64) / 8)[:, None] * torch.stack(
    [ANGLE.cos(), ANGLE.sin()], -1
)
TURN = torch.tensor(
    [
        [math.cos(2 * math.pi / 3), -math.sin(2 * math.pi / 3)],
        [math.sin(2 * math.pi / 3), math.cos(2 * math.pi / 3)],
    ],
    dtype=torch.float64,
)
MAPS = {
    "identity": lambda x: x,
    "shift": lambda x: x + torch.tensor([1.0, 0.5], dtype=torch.float64),
    "shrink": lambda x: 0.5 * x,
    "turn": lambda x: x @ TURN.T,
    "minus": lambda x: -x,
}


@pytest.mark.parametrize(
    ("name", "cost", "exact", "negentropy", "kl", "primal"),
    [
        ("identity", "sqeuclidean", 0.0, 0.207980, -0.207908, -0.000256),
        ("identity", "euclidean", 0.0, 0.207955, -0.207933, -0.000098),
        ("shift", "sqeuclidean", 0.0, 0.207980, -0.207908, -0.000256),
        ("shift", "euclidean", 0.0, 0.226505, -0.189383, -0.024494),
        ("shrink", "sqeuclidean", 0.0, 0.209385, -0.206503, -0.005608),
        ("turn", "sqeuclidean", 6.072511, 6.283015, 5.867127, 6.063281),
        ("turn", "euclidean", 1.887244, 2.103538, 1.687649, 1.867518),
        ("minus", "sqeuclidean", 8.343750, 8.551699, 8.135811, 8.343703),
    ],
)
def test_eight_points_in_three_conventions(name, cost, exact, negentropy, kl, primal):
    image = MAPS[name](POINTS)
    assert monge_gap(POINTS, image, cost=cost).item() == pytest.approx(exact, abs=1e-5)
    for convention, value in (("negentropy", negentropy), ("kl", kl), ("primal", primal)):
        gap = monge_gap(POINTS, image, cost=cost, eps=0.1, convention=convention)
        assert gap.item() == pytest.approx(value, abs=1e-5), convention


@pytest.mark.parametrize("convention", ["kl", "negentropy", "primal"])
def test_a_translation_changes_no_entropic_gap(convention):
    """|x + v - x'|² adds to |x - x'|² only terms that potentials absorb: same plan, same gap."""
    gaps = [
        monge_gap(POINTS, MAPS[name](POINTS), eps=0.1, convention=convention, tol=1e-12).item()
        for name in ("identity", "shift")
    ]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-9)


def test_the_two_entropies_differ_by_a_constant_with_one_gradient():
    gradients, values = [], []
    for convention in ("kl", "negentropy"):
        image = MAPS["turn"](POINTS).requires_grad_()
        gap = monge_gap(POINTS, image, eps=0.1, convention=convention)
        gap.backward()
        values.append(gap.item())
        gradients.append(image.grad)
    assert values[1] - values[0] == pytest.approx(2 * 0.1 * math.log(8), abs=1e-12)
    torch.testing.assert_close(*gradients)


def test_a_callable_cost_equals_the_named_one():
    image = MAPS["turn"](POINTS)

    def square(x, y):
        return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)

    torch.testing.assert_close(monge_gap(POINTS, image, cost=square), monge_gap(POINTS, image))


def test_batches():
    image = torch.stack([MAPS[name](POINTS) for name in MAPS])
    together = monge_gap(POINTS.expand(5, 8, 2), image, eps=0.1)
    for k in range(5):
        torch.testing.assert_close(
            together[k], monge_gap(POINTS, image[k], eps=0.1), atol=1e-8, rtol=0
        )


def test_warns_when_stopped():
    with pytest.warns(ConvergenceWarning, match="monge_gap stopped with marginal error"):
        monge_gap(POINTS, MAPS["shift"](POINTS), eps=0.001, max_iter=1)
