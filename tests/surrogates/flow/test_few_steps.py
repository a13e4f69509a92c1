"""Few-step methods: reflow, Bellman grids, straightening, refiner, transition and latent flows."""

import itertools

import pytest
import torch
from torch import nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    DistillationLoss,
    FlowMatchingLoss,
    GaussianMixture,
    GaussianMixtureField,
    LatentSampler,
    LinearPath,
    ODESampler,
    PairedCoupling,
    PCALatent,
    RefinedSampler,
    StraighteningLoss,
    TransitionSampler,
    VPPath,
    bellman_time_grid,
    first_order_defect,
    path_statistics,
    reflow,
    shortest_steps,
    step_costs,
    straightening_pairs,
    transport_cost,
)


def mixture(path=None):
    target = GaussianMixture(torch.tensor([[-2.0], [2.0]]).double(), 0.25)
    return GaussianMixtureField(GaussianMixture.standard(1), target, path=path)


ORACLE = mixture()
X0 = torch.special.ndtri((torch.arange(64).double() + 0.5) / 64)[:, None]


def brute_force(cost, steps):
    last = len(cost) - 1
    best = None
    for inner in itertools.combinations(range(1, last), steps - 1):
        index = [0, *inner, last]
        total = sum(float(cost[a, b]) for a, b in itertools.pairwise(index))
        if best is None or total < best[1]:
            best = (index, total)
    return best


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_dynamic_programme_equals_brute_force(k):
    g = torch.Generator().manual_seed(k)
    for steps in range(1, k + 1):
        cost = torch.rand(k + 1, k + 1, generator=g).double().triu(1)
        cost[cost == 0] = torch.inf
        index, value = shortest_steps(cost, steps)
        expected = brute_force(cost, steps)
        assert index == expected[0]
        assert value == pytest.approx(expected[1])


def test_bellman_grid_edge_cases_and_optimality():
    assert bellman_time_grid(ORACLE, X0, nfe=1).tolist() == [0, 1]
    full = bellman_time_grid(ORACLE, X0, nfe=10, fine=10)
    assert torch.allclose(full, torch.linspace(0, 1, 11).double())
    out = ODESampler(ORACLE, method="euler", steps=40).sample(X0, keep_trajectory=True)
    v = torch.stack([ORACLE(x, t.expand(64)) for x, t in zip(out.trajectory, out.ts, strict=True)])
    cost = step_costs(out.trajectory, v, out.ts)
    for nfe in (2, 4, 8):
        grid = bellman_time_grid(ORACLE, X0, nfe=nfe, fine=40)
        index = (grid * 40).round().long().tolist()
        bellman = sum(float(cost[a, b]) for a, b in itertools.pairwise(index))
        even = list(range(0, 41, 40 // nfe))
        uniform = sum(float(cost[a, b]) for a, b in itertools.pairwise(even))
        assert bellman < uniform
        assert len(grid) == nfe + 1
    for nfe in (0, 11):
        with pytest.raises(DataError, match="1 <= nfe <= fine"):
            bellman_time_grid(ORACLE, X0, nfe=nfe, fine=10)
    with pytest.raises(DataError, match="expected 1 to 3"):
        shortest_steps(torch.zeros(4, 4).double(), 4)


def test_bellman_grid_lowers_the_end_error_at_four_steps():
    exact = ODESampler(ORACLE, method="rk4", steps=300).sample(X0).x
    grid = bellman_time_grid(ORACLE, X0, nfe=4, fine=80)
    chosen = ODESampler(ORACLE, method="euler", time_grid=grid).sample(X0).x
    uniform = ODESampler(ORACLE, method="euler", steps=4).sample(X0).x
    assert (chosen - exact).square().mean() < (uniform - exact).square().mean()


def test_straightening_makes_one_step_an_interval_exact():
    grid = bellman_time_grid(ORACLE, X0, nfe=3, fine=30)
    pairs, start, end = straightening_pairs(ORACLE, X0, grid, substeps=20)
    assert pairs.x0.shape == (192, 1)
    assert torch.equal(pairs.x1[:64], pairs.x0[64:128])

    def straightened(x, t):
        """The minimiser itself: the chord of the row with this very state and time."""
        rows = ((pairs.x0[None, :, 0] - x) ** 2 + (start[None] - t[:, None]) ** 2).argmin(1)
        return ((pairs.x1 - pairs.x0) / (end - start)[:, None])[rows]

    assert StraighteningLoss()(straightened, pairs.x0, pairs.x1, start, end) < 1e-20
    assert StraighteningLoss()(ORACLE, pairs.x0, pairs.x1, start, end) > 1e-3
    out = ODESampler(straightened, method="euler", time_grid=grid).sample(X0).x
    assert torch.allclose(out, pairs.x1[-64:], atol=1e-9)


def test_reflow_keeps_the_law_lowers_the_cost_and_straightens():
    g = torch.Generator().manual_seed(0)
    x0, x1 = ORACLE.source.sample(4000, generator=g), ORACLE.target.sample(4000, generator=g)
    pairs = reflow(ORACLE, x0, steps=50)
    assert torch.equal(pairs.x0, x0)
    for p in (1, 2, 3):
        assert transport_cost(pairs.x0, pairs.x1, p=p) < transport_cost(x0, x1, p=p)
    assert abs(pairs.x1.std() - x1.std()) < 0.1
    # In one dimension the pairs are monotone, so the rectified flow is straight: v = Z1 - Z0.
    order = x0[:, 0].argsort()
    assert (pairs.x1[order, 0].diff() > 0).all()

    lines = lambda x, t: (pairs.x1 - pairs.x0)[  # noqa: E731
        ((1 - t[:, None]) * pairs.x0.T + t[:, None] * pairs.x1.T - x).abs().argmin(1)
    ]
    some = slice(0, 200)
    loss = FlowMatchingLoss(LinearPath(), PairedCoupling())
    value = loss(lines, x0[some], pairs.x1[some], generator=g)
    assert value < 1e-6
    assert DistillationLoss(1)(lines, x0[some], pairs.x1[some], generator=g) < 1e-6


def test_straight_couplings_are_fixed_points():
    shift = lambda x, t: 3.0 * torch.ones_like(x)  # noqa: E731
    pairs = reflow(shift, X0, steps=7)
    assert torch.allclose(pairs.x1, X0 + 3)


def test_first_order_defect_is_about_noise_not_about_x():
    path = VPPath()
    atom = GaussianMixture(torch.tensor([[1.5]]).double(), 1e-12)
    curved = GaussianMixtureField(GaussianMixture.standard(1), atom, path=path)
    grid = torch.linspace(0, 0.99, 60).double()
    assert first_order_defect(curved, X0, path, time_grid=grid) < 1e-6
    assert first_order_defect(mixture(path), X0, path, time_grid=grid) > 1e-2
    linear = first_order_defect(ORACLE, X0, LinearPath(), steps=100)
    straightness = path_statistics(ORACLE, X0).straightness
    assert linear > 0.05
    assert straightness > 0.05


def test_refined_sampler_with_an_exact_refiner_is_heun():
    exact = lambda x, t, v: ORACLE(x, t) - v  # noqa: E731
    refined = RefinedSampler(ORACLE, exact, heun=1, pseudo=0, refined=7).sample(X0)
    heun = ODESampler(ORACLE, method="heun", steps=8).sample(X0)
    assert torch.allclose(refined.x, heun.x, atol=1e-12)
    assert refined.nfe == 2
    pseudo = RefinedSampler(ORACLE, exact, heun=1, pseudo=7, refined=0).sample(X0)
    assert torch.allclose(
        pseudo.x, ODESampler(ORACLE, method="pseudo_corrector", steps=8).sample(X0).x
    )
    assert pseudo.nfe == 9
    with pytest.raises(DataError, match="none is negative"):
        RefinedSampler(ORACLE, exact, heun=0, pseudo=0, refined=0)


class GaussianTransition:
    """The exact DTM model of N(0, 1) -> N(0, tau²): Y given x_t is Gaussian."""

    def __init__(self, tau2):
        self.tau2 = tau2

    def features(self, x, t):
        var = (1 - t) ** 2 + t**2 * self.tau2
        mean = ((t * self.tau2 - (1 - t)) / var)[:, None] * x
        return torch.cat((mean, (self.tau2 / var)[:, None]), 1)

    def head(self, y, s, h):
        mean, v, s = h[:, :1], h[:, 1:], s[:, None]
        spread = (1 - s) ** 2 + s**2 * v
        return mean + (s * v - (1 - s)) / spread * (y - s * mean)


@pytest.mark.parametrize("steps", [1, 3])
def test_transition_matching_keeps_the_variance_where_euler_shrinks_it(steps):
    tau2, n = 0.25, 40_000
    x0 = torch.randn(n, 1, generator=torch.Generator().manual_seed(0)).double()
    sampler = TransitionSampler(GaussianTransition(tau2), steps=steps, head_steps=40)
    x = sampler.sample(x0, generator=torch.Generator().manual_seed(1)).x
    assert x.var().item() == pytest.approx(tau2, rel=4 * (2 / n) ** 0.5 + 1e-3)

    target = GaussianMixture(torch.zeros(1, 1).double(), tau2)
    field = GaussianMixtureField(GaussianMixture.standard(1), target)
    euler = ODESampler(field, method="euler", steps=steps).sample(x0).x
    scale = 1.0
    for k in range(steps):
        t = k / steps
        c = (t * tau2 - (1 - t)) / (t**2 * tau2 + (1 - t) ** 2)
        scale *= 1 + c / steps
    assert torch.allclose(euler, scale * x0, atol=1e-12)
    assert scale**2 < 0.9 * tau2


def test_transition_sampler_counts_backbone_calls_and_errors():
    out = TransitionSampler(GaussianTransition(0.5), steps=5, head_steps=2).sample(X0)
    assert out.nfe == 5
    with pytest.raises(DataError, match="at least 1"):
        TransitionSampler(GaussianTransition(0.5), steps=0)


def test_latent_flow_reconstructs_and_is_an_isometry():
    g = torch.Generator().manual_seed(2)
    basis = torch.linalg.qr(torch.randn(12, 3, generator=g).double())[0]
    x = (torch.randn(500, 3, generator=g).double() * torch.tensor([3.0, 2.0, 1.0])) @ basis.T + 5
    x = x.reshape(500, 3, 4)
    latent = PCALatent.fit(x, 3)
    z = latent.encode(x)
    assert torch.allclose(latent.decode(z), x, atol=1e-10)
    assert z.square().mean().item() == pytest.approx(1, abs=5e-3)
    gaps = torch.pdist(x.flatten(1)) / torch.pdist(z)
    assert gaps.std() / gaps.mean() < 1e-10
    sampler = LatentSampler(ODESampler(lambda z, t: 0 * z, method="euler", steps=2), latent)
    assert torch.allclose(sampler.sample(z).x, x, atol=1e-10)
    again = PCALatent.fit(torch.randn(10, 3, 4).double(), 3)
    again.load_state_dict(latent.state_dict())
    assert torch.equal(again.encode(x), z)
    with pytest.raises(DataError, match="expected 1 to 12"):
        PCALatent.fit(x, 13)


def test_any_autoencoder_serves_as_latent():
    class Halve(nn.Module):
        def encode(self, x):
            return x / 2

        def decode(self, z):
            return 2 * z

    sampler = LatentSampler(ODESampler(lambda z, t: torch.ones_like(z), steps=3), Halve())
    assert torch.allclose(sampler.sample(torch.zeros(2, 1)).x, torch.full((2, 1), 2.0))
