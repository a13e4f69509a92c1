"""Couplings: permutations, labels, conditions, weights and their laws."""

import itertools

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    Coupling,
    GibbsCoupling,
    IndependentCoupling,
    MinibatchOTCoupling,
    NearestNoiseCoupling,
    PairedCoupling,
    optimal_assignment,
)


def clouds(n, d=2, seed=0, m=None):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g), 3 * torch.randn(m or n, d, generator=g) + 1


@pytest.mark.parametrize("n", [1, 2, 5, 33, 200])
@pytest.mark.parametrize("d", [1, 2, 20])
def test_assignment_is_optimal(n, d):
    x0, x1 = clouds(n, d, seed=n + d)
    cost = torch.cdist(x0.double(), x1.double()) ** 2
    rows = optimal_assignment(cost)
    assert sorted(rows.tolist()) == list(range(n))
    i, j = linear_sum_assignment(cost.numpy())
    assert cost[rows, torch.arange(n)].sum().item() == pytest.approx(
        cost.numpy()[i, j].sum(), rel=1e-12
    )


def test_assignment_brute_force_and_orientation():
    g = torch.Generator().manual_seed(5)
    for _ in range(20):
        cost = torch.rand(4, 4, generator=g)
        best = min(
            itertools.permutations(range(4)), key=lambda p: sum(cost[p[j], j] for j in range(4))
        )
        assert tuple(optimal_assignment(cost).tolist()) == best


def test_assignment_with_ties_and_constant_costs():
    assert sorted(optimal_assignment(torch.zeros(40, 40)).tolist()) == list(range(40))
    lattice = torch.arange(40.0)[:, None]
    cost = (lattice - lattice.T).square().round()
    assert torch.equal(optimal_assignment(cost), torch.arange(40))


@pytest.mark.parametrize(
    "coupling",
    [
        IndependentCoupling(),
        IndependentCoupling(shuffle=True),
        PairedCoupling(),
        MinibatchOTCoupling(),
        MinibatchOTCoupling("swaps", eps=1.0),
        MinibatchOTCoupling("sinkhorn", eps=1.0),
        GibbsCoupling(1.0),
        NearestNoiseCoupling(3),
        NearestNoiseCoupling(3, corrected=True),
    ],
    ids=lambda c: type(c).__name__ + getattr(c, "method", ""),
)
def test_pairs_are_rows_and_x1_keeps_its_order(coupling):
    assert isinstance(coupling, Coupling)
    x0, x1 = clouds(40)
    pairs = coupling(x0, x1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pairs.x0, x0[pairs.index0])
    assert torch.equal(pairs.x1, x1)
    assert torch.equal(pairs.index1, torch.arange(40))
    again = coupling(x0, x1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pairs.index0, again.index0)
    # Trailing axes are flattened for the cost and come back as they were.
    field = coupling(
        x0.view(40, 2, 1), x1.view(40, 2, 1), generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(field.x0.flatten(1), pairs.x0)


def test_exact_coupling_permutes_and_lowers_the_cost():
    x0, x1 = clouds(60)
    pairs = MinibatchOTCoupling()(x0, x1)
    assert sorted(pairs.index0.tolist()) == list(range(60))
    assert (pairs.x0 - pairs.x1).square().sum() < (x0 - x1).square().sum()


def test_identical_batches_are_paired_with_themselves():
    x0, _ = clouds(50)
    assert torch.equal(MinibatchOTCoupling()(x0, x0).index0, torch.arange(50))


def test_size_one_and_empty_batches():
    x0, x1 = clouds(1)
    assert MinibatchOTCoupling()(x0, x1).index0.tolist() == [0]
    empty = MinibatchOTCoupling()(torch.zeros(0, 2), torch.zeros(0, 2))
    assert empty.x0.shape == (0, 2)


def test_unequal_batches_use_every_data_point():
    x0, x1 = clouds(30, m=12)
    pairs = MinibatchOTCoupling()(x0, x1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pairs.index1, torch.arange(12))
    assert pairs.x0.shape == (12, 2)


def test_exchanges_sample_the_gibbs_law_of_permutations():
    """Three points: the law over all six permutations is known."""
    x0, x1 = torch.tensor([[0.0], [1.0], [2.5]]), torch.tensor([[0.4], [1.2], [1.9]])
    cost = (x0 - x1.T).square()
    perms = list(itertools.permutations(range(3)))
    logits = torch.tensor([-sum(cost[p[j], j] for j in range(3)) / 0.8 for p in perms])
    coupling = MinibatchOTCoupling("swaps", eps=0.8, sweeps=20)
    g = torch.Generator().manual_seed(0)
    draws = [tuple(coupling(x0, x1, generator=g).index0.tolist()) for _ in range(1000)]
    for p, expected in zip(perms, logits.softmax(0).tolist(), strict=True):
        seen = draws.count(p) / 1000
        assert abs(seen - expected) < 4.5 * (expected * (1 - expected) / 1000) ** 0.5 + 1e-3


def test_entropic_limits():
    x0, x1 = clouds(40)
    exact = MinibatchOTCoupling()(x0, x1)
    cold = MinibatchOTCoupling("swaps", eps=1e-6)(
        x0, x1, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(exact.index0, cold.index0)
    hot = MinibatchOTCoupling("swaps", eps=1e6)(x0, x1, generator=torch.Generator().manual_seed(0))
    assert sorted(hot.index0.tolist()) == list(range(40))
    assert (hot.index0 == exact.index0).sum() < 10


def test_both_entropic_forms_have_the_cost_of_the_plan():
    from pushforward.surrogates.ot import cost_matrix, solve

    x0, x1 = clouds(120, seed=3)
    expected = float(solve(cost_matrix(x0, x1), eps=2.0).value_linear)
    g = torch.Generator().manual_seed(1)
    for method in ("swaps", "sinkhorn"):
        coupling = MinibatchOTCoupling(method, eps=2.0)
        costs = []
        for _ in range(20):
            p = coupling(x0, x1, generator=g)
            costs.append((p.x0 - p.x1).square().sum(1).mean())
        error = torch.stack(costs).std() / 20**0.5
        assert abs(torch.stack(costs).mean() - expected) < 4 * error + 0.03 * expected, method


def test_conditions_are_not_crossed():
    x0, x1 = clouds(60)
    label = torch.arange(60) % 4
    pairs = MinibatchOTCoupling()(x0, x1, condition1=label)
    # Without condition0, x0[i] belongs to label[i]: pairs stay inside their label.
    assert torch.equal(label[pairs.index0], label)
    for k in range(4):
        here = label == k
        alone = MinibatchOTCoupling()(x0[here], x1[here])
        assert torch.equal(pairs.x0[here], alone.x0)
    with_source = MinibatchOTCoupling()(x0, x1, condition0=label.flip(0), condition1=label)
    assert torch.equal(label.flip(0)[with_source.index0], label)


def test_condition_cost_interpolates():
    x0, x1 = clouds(60)
    label = torch.arange(60) % 4
    free = MinibatchOTCoupling(condition_cost=0.0)(x0, x1, condition1=label)
    assert torch.equal(free.index0, MinibatchOTCoupling()(x0, x1).index0)
    strict = MinibatchOTCoupling(condition_cost=1e6)(x0, x1, condition1=label)
    assert torch.equal(strict.index0, MinibatchOTCoupling()(x0, x1, condition1=label).index0)
    real = torch.linspace(0, 1, 60)[:, None]
    near = MinibatchOTCoupling(condition_cost=1e6)(x0, x1, condition1=real)
    assert torch.equal(near.index0, torch.arange(60))
    own = MinibatchOTCoupling(condition_cost=lambda a, b: 1e6 * (a[:, None] != b))
    assert torch.equal(own(x0, x1, condition1=label).index0, strict.index0)


def test_gibbs_weights_have_the_moments_of_the_tilted_gaussian():
    """x ~ N(0,1), y ~ N(0,1), weight exp(-(x-y)²/eps): a Gaussian of known precision."""
    g = torch.Generator().manual_seed(6)
    n, eps = 200_000, 2.0
    x0, x1 = torch.randn(2, n, 1, generator=g, dtype=torch.float64)
    w = GibbsCoupling(eps, cost="sqeuclidean")(x0, x1).weight
    assert w.mean().item() == pytest.approx(1)
    precision = torch.tensor([[1 + 2 / eps, -2 / eps], [-2 / eps, 1 + 2 / eps]]).double()
    cov = torch.linalg.inv(precision)
    z = torch.cat((x0, x1), 1)
    got = (w[:, None, None] * z[:, :, None] * z[:, None]).mean(0)
    assert torch.allclose(got, cov, atol=0.02)


def test_gibbs_potentials_remove_the_tilt():
    g = torch.Generator().manual_seed(7)
    x0 = torch.randn(300, 2, generator=g)
    x1 = 0.9 * torch.randn(300, 2, generator=g) + 0.3
    gain = []
    for potentials in (False, True):
        moments = []
        for k in range(30):
            order = torch.randperm(300, generator=torch.Generator().manual_seed(k))
            w = GibbsCoupling(0.5, cost="sqeuclidean", relative=True, potentials=potentials)(
                x0[order], x1
            ).weight
            moments.append((w[:, None] * x0[order].square()).mean())
        gain.append(float(torch.stack(moments).mean() / x0.square().mean()))
    assert gain[0] < 0.8  # plain: the source variance shrinks
    assert gain[1] == pytest.approx(1, abs=0.06)


def test_gibbs_flat_limit_is_independent():
    x0, x1 = clouds(10)
    assert torch.allclose(GibbsCoupling(1e9)(x0, x1).weight, torch.ones(10))


@pytest.mark.parametrize(("d", "expected"), [(2, 0.387), (50, 0.838)])
def test_nearest_noise_is_short_and_its_correction_is_not(d, expected):
    g = torch.Generator().manual_seed(8)
    x0 = torch.randn(4000, d, generator=g)
    x1 = 0.5 * torch.randn(4000, d, generator=g)
    plain = NearestNoiseCoupling(4)(x0, x1, generator=g)
    assert plain.x0.square().mean().item() == pytest.approx(expected, abs=0.03)
    fair = NearestNoiseCoupling(4, corrected=True)(x0, x1, generator=g)
    assert sorted(fair.index0.tolist()) == list(range(4000))
    assert (fair.x0 - x1).square().sum() < (x0 - x1).square().sum()


def test_corrected_nearest_noise_respects_conditions():
    x0, x1 = clouds(30)
    label = torch.arange(30) % 3
    pairs = NearestNoiseCoupling(4, corrected=True)(
        x0, x1, condition1=label, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(label[pairs.index0], label)
    assert sorted(pairs.index0.tolist()) == list(range(30))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PairedCoupling()(torch.zeros(2, 1), torch.zeros(3, 1)), "2 points, x1 3"),
        (lambda: GibbsCoupling()(torch.zeros(2, 1), torch.zeros(3, 1)), "equal size"),
        (lambda: PairedCoupling()(torch.zeros(2, 1), torch.zeros(2, 2)), "must agree"),
        (lambda: GibbsCoupling(0.0), "eps > 0"),
        (lambda: NearestNoiseCoupling(0), "k = 0"),
        (lambda: MinibatchOTCoupling("best"), "unknown method"),
        (lambda: MinibatchOTCoupling("sinkhorn"), "positive eps"),
        (lambda: MinibatchOTCoupling("exact", eps=1.0), "'swaps' or 'sinkhorn'"),
        (
            lambda: MinibatchOTCoupling("swaps", eps=1.0)(torch.zeros(2, 1), torch.zeros(3, 1)),
            "equal sizes",
        ),
        (
            lambda: MinibatchOTCoupling()(
                torch.zeros(2, 1), torch.zeros(2, 1), condition1=torch.zeros(3)
            ),
            "each point has one",
        ),
        (
            lambda: MinibatchOTCoupling()(
                torch.zeros(2, 1),
                torch.zeros(2, 1),
                condition0=torch.tensor([0, 0]),
                condition1=torch.tensor([0, 1]),
            ),
            "no source point",
        ),
        (lambda: optimal_assignment(torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])), r"cost\[1, 0\]"),
        (lambda: optimal_assignment(torch.zeros(2, 3)), "square"),
    ],
)
def test_errors_name_the_remedy(call, words):
    with pytest.raises(DataError, match=words):
        call()
