"""Losses: known minimisers, conditions that follow, weights, gradients, errors."""

import pytest
import torch
from torch import nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    AffinePath,
    BrownianBridgePath,
    CosinePath,
    DistillationLoss,
    FlowMatchingLoss,
    GaussianMixture,
    GaussianMixtureField,
    GibbsCoupling,
    IndependentCoupling,
    InterpolantLoss,
    LinearPath,
    MeanFlowLoss,
    MeanFlowSampler,
    MinibatchOTCoupling,
    PairedCoupling,
    RefinerLoss,
    ScoreMatchingLoss,
    StochasticInterpolant,
    TransitionMatchingLoss,
    VPPath,
    draw_times,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(path=None, d=1):
    target = GaussianMixture(torch.tensor([[-1.5] * d, [1.0] * d]).double(), 0.2)
    return GaussianMixtureField(GaussianMixture.standard(d), target, path=path)


class Net(nn.Module):
    def __init__(self, d=2, extra=0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d + 1 + extra, 16), nn.SELU(), nn.Linear(16, d))

    def forward(self, x, t, *more, label=None):
        parts = [x, t[:, None], *(m[:, None] for m in more)]
        if label is not None:
            parts.append(label[:, None].to(x))
        return self.net(torch.cat(parts, 1))


def stationary(loss, field, batch, *, h=0.05):
    """A minimiser has no first-order gain along smooth perturbations; returns slopes in σ units."""
    x0, x1 = batch
    bumps = [
        lambda x, t: torch.ones_like(x),
        lambda x, t: x,
        lambda x, t: torch.sin(2 * x) * t[:, None],
    ]
    out = []
    for bump in bumps:
        slopes = []
        for k, (a, b) in enumerate(zip(x0.chunk(40), x1.chunk(40), strict=True)):
            up = loss(lambda x, t, c=bump: field(x, t) + h * c(x, t), a, b, generator=seeded(k))
            down = loss(lambda x, t, c=bump: field(x, t) - h * c(x, t), a, b, generator=seeded(k))
            slopes.append(up - down)
        s = torch.stack(slopes)
        out.append(float(s.mean() / (s.std() / len(s) ** 0.5)))
    return out


def draw_batch(oracle, n=16_000):
    g = seeded(11)
    return oracle.source.sample(n, generator=g), oracle.target.sample(n, generator=g)


@pytest.mark.parametrize("path", [LinearPath(), CosinePath(), BrownianBridgePath(0.5)])
def test_exact_velocity_is_the_minimiser(path):
    oracle = mixture(path)
    batch = draw_batch(oracle)
    for score in stationary(FlowMatchingLoss(path, time_range=(0.05, 0.95)), oracle, batch):
        assert abs(score) < 4.5
    wrong = lambda x, t: oracle(x, t) + 0.1  # noqa: E731
    scores = stationary(FlowMatchingLoss(path, time_range=(0.05, 0.95)), wrong, batch)
    assert max(map(abs, scores)) > 5  # the test can tell


@pytest.mark.parametrize("kind", ["x1", "noise", "score"])
def test_other_predictions_have_the_converted_field_as_minimiser(kind):
    path = LinearPath()
    oracle = mixture(path)

    def field(x, t):
        return path.convert(oracle(x, t), x, t, source="velocity", target=kind)

    loss = FlowMatchingLoss(path, prediction=kind, time_range=(0.1, 0.9))
    for score in stationary(loss, field, draw_batch(oracle)):
        assert abs(score) < 4.5


def test_score_matching_finds_the_score():
    oracle = mixture(VPPath())
    loss = ScoreMatchingLoss(VPPath(), time_range=(0.0, 0.9))
    for score in stationary(loss, oracle.score, draw_batch(oracle)):
        assert abs(score) < 4.5


@pytest.mark.parametrize("field", ["b", "v", "eta", "s"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_interpolant_losses_find_their_fields(field, antithetic):
    path = StochasticInterpolant()
    oracle = mixture(path)
    exact = {"b": oracle, "v": oracle.drift, "eta": oracle.denoiser, "s": oracle.score}[field]
    loss = InterpolantLoss(path, field, antithetic=antithetic, time_range=(0.1, 0.9))
    for score in stationary(loss, exact, draw_batch(oracle)):
        assert abs(score) < 4.5


def test_antithetic_pairs_lower_the_variance():
    path = StochasticInterpolant()
    oracle = mixture(path)
    x0, x1 = draw_batch(oracle, 2000)
    spread = {}
    for antithetic in (True, False):
        loss = InterpolantLoss(path, "b", antithetic=antithetic)
        values = [loss(oracle, x0, x1, generator=seeded(k)) for k in range(30)]
        spread[antithetic] = float(torch.stack(values).std())
    assert spread[True] < 0.5 * spread[False]


def test_mean_flow_of_a_linear_field_is_exact():
    """v = A x has u = (exp(A (s-t)) - 1) x/(s-t), and that zeroes the loss."""
    a = 0.8

    def u(x, t, s):
        gap = (s - t)[:, None]
        return torch.where(gap > 0, torch.expm1(a * gap) / gap.clamp_min(1e-12), a) * x

    x0, x1 = torch.randn(2, 256, 3, generator=seeded(), dtype=torch.float64)
    for share in (0.0, 0.5):
        loss = MeanFlowLoss(velocity=lambda x, t: a * x, share_equal=share, power=0)
        assert loss(u, x0, x1, generator=seeded(1)) < 1e-20
    wrong = lambda x, t, s: 1.1 * u(x, t, s)  # noqa: E731
    assert loss(wrong, x0, x1, generator=seeded(1)) > 1e-3
    one = MeanFlowSampler(u, steps=1).sample(x0)
    assert torch.allclose(one.x, x0 * torch.exp(torch.tensor(a)))
    assert one.nfe == 1
    assert torch.allclose(MeanFlowSampler(u, steps=3).sample(x0).x, one.x)


def test_mean_flow_target_carries_no_gradient_and_all_parameters_learn():
    net = Net(2, extra=1)
    x0, x1 = torch.randn(2, 32, 2, generator=seeded())
    MeanFlowLoss(share_equal=0.25)(net, x0, x1, generator=seeded()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_transition_matching_minimiser_is_the_conditional_velocity():
    """Gaussian data: Y given x_t is Gaussian, so the inner flow's velocity is known."""
    tau2 = 0.25

    class Exact:
        def features(self, x, t):
            var = (1 - t) ** 2 + t**2 * tau2
            mean = ((t * tau2 - (1 - t)) / var)[:, None] * x
            return torch.cat((mean, (tau2 / var)[:, None]), 1)

        def head(self, y, s, h):
            mean, v = h[:, :1], h[:, 1:]
            s = s[:, None]
            spread = (1 - s) ** 2 + s**2 * v
            return mean + (s * v - (1 - s)) / spread * (y - s * mean)

    class Shifted(Exact):
        def __init__(self, by):
            self.by = by

        def head(self, y, s, h):
            return super().head(y, s, h) + self.by * torch.sin(y)

    g = seeded(3)
    x0 = torch.randn(200_000, 1, generator=g, dtype=torch.float64)
    x1 = tau2**0.5 * torch.randn(200_000, 1, generator=g, dtype=torch.float64)
    loss = TransitionMatchingLoss(4)
    at = {b: loss(Shifted(b), x0, x1, generator=seeded(4)).item() for b in (-0.1, 0.0, 0.1)}
    assert at[0.0] < min(at[-0.1], at[0.1])
    # A parabola through the three: its minimum lies at 0.
    assert abs(at[0.1] - at[-0.1]) < 0.1 * (at[0.1] + at[-0.1] - 2 * at[0.0])


def test_conditions_follow_their_data_through_the_coupling():
    seen = {}

    def spy(x, t, *, label, scale):
        seen.update(label=label, x=x, scale=scale)
        return torch.zeros_like(x)

    x1 = torch.arange(12.0)[:, None]
    x0 = x1.flip(0) * 0.5
    loss = FlowMatchingLoss(
        LinearPath(), MinibatchOTCoupling(), time_range=(0.999999, 1.0), condition_key="label"
    )
    loss(spy, x0, x1, label=torch.arange(12) % 2, scale=3.0)
    assert torch.equal(seen["label"], torch.arange(12) % 2)
    assert torch.allclose(seen["x"], x1, atol=1e-4)
    assert seen["scale"] == 3.0


def test_optimal_transport_respects_the_only_condition():
    x0 = torch.tensor([[0.0], [10.0]])
    x1 = torch.tensor([[10.0], [0.0]])
    still = lambda x, t, **c: torch.zeros_like(x)  # noqa: E731
    loss = FlowMatchingLoss(LinearPath(), MinibatchOTCoupling())
    assert loss(still, x0, x1).item() == 0
    assert loss(still, x0, x1, label=torch.tensor([0, 1])).item() == 100


def test_weights_enter_the_mean():
    x0, x1 = torch.zeros(2, 1), torch.tensor([[0.0], [1.0]])
    still = lambda x, t: torch.zeros_like(x)  # noqa: E731
    w = GibbsCoupling(1.0)(x0, x1).weight
    loss = FlowMatchingLoss(LinearPath(), GibbsCoupling(1.0))(still, x0, x1)
    assert loss.item() == pytest.approx(float(w[1]) / 2)
    doubled = FlowMatchingLoss(LinearPath(), weight=lambda t: torch.full_like(t, 2.0))
    assert doubled(still, x0, x1).item() == pytest.approx(1.0)
    huber = FlowMatchingLoss(LinearPath(), loss="huber", huber_c=1.0)
    assert huber(still, x0, x1).item() == pytest.approx((2**0.5 - 1) / 2)


def test_generator_decides_and_dtype_is_kept():
    net = Net().double()
    x0, x1 = torch.randn(2, 16, 2, generator=seeded(), dtype=torch.float64)
    loss = FlowMatchingLoss(BrownianBridgePath(0.3), IndependentCoupling(shuffle=True))
    a, b = (loss(net, x0, x1, generator=seeded(5)) for _ in range(2))
    assert a.dtype == torch.float64
    assert torch.equal(a, b)
    assert not torch.equal(a, loss(net, x0, x1, generator=seeded(6)))
    state = torch.get_rng_state()
    loss(net, x0, x1, generator=seeded(5))
    assert torch.equal(state, torch.get_rng_state())  # the global stream is left alone


def test_loss_of_images_and_gradients():
    net = nn.Conv2d(3, 3, 3, padding=1)
    x0, x1 = torch.randn(2, 4, 3, 8, 8, generator=seeded())
    FlowMatchingLoss()(lambda x, t: net(x), x0, x1, generator=seeded()).backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_distillation_visits_its_times_only():
    times = []

    def spy(x, t):
        times.append(t)
        return torch.zeros_like(x)

    DistillationLoss(4)(spy, torch.zeros(200, 1), torch.zeros(200, 1), generator=seeded())
    assert set(torch.cat(times).tolist()) == {0.0, 0.25, 0.5, 0.75}


def test_refiner_never_asks_beyond_the_end():
    times = []

    def teacher(x, t):
        times.append(t)
        return x * t[:, None]

    def refiner(x, t, v):
        return x * t[:, None] - v

    x0, x1 = torch.randn(2, 500, 1, generator=seeded())
    assert RefinerLoss(teacher)(refiner, x0, x1, generator=seeded()) == 0
    assert torch.cat(times).max() <= 1


@pytest.mark.parametrize(
    ("law", "mean", "second"),
    [
        ("uniform", 0.5, 1 / 3),
        ("logit_normal", 0.5, 0.25 + 0.0433),
        ("u_shaped", 0.5, 0.25 + 0.1157),
    ],
)
def test_time_laws(law, mean, second):
    t = draw_times(200_000, law, generator=seeded(), dtype=torch.float64)
    assert t.min() >= 0
    assert t.max() <= 1
    assert t.mean().item() == pytest.approx(mean, abs=3e-3)
    assert t.square().mean().item() == pytest.approx(second, abs=3e-3)
    inside = draw_times(1000, law, time_range=(0.2, 0.3), generator=seeded())
    assert inside.min() >= 0.2
    assert inside.max() <= 0.3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: FlowMatchingLoss(prediction="energy"), "unknown prediction"),
        (lambda: FlowMatchingLoss(BrownianBridgePath(), prediction="x1"), "affine path"),
        (lambda: FlowMatchingLoss(loss="l7"), "unknown loss"),
        (lambda: FlowMatchingLoss(time_range=(0.5, 0.2)), "start < end"),
        (
            lambda: FlowMatchingLoss()(lambda x, t: x[:, :1], torch.zeros(3, 2), torch.zeros(3, 2)),
            "must return the shape of x",
        ),
        (
            lambda: FlowMatchingLoss(coupling=PairedCoupling())(
                lambda x, t: x, torch.zeros(3, 2), torch.zeros(4, 2)
            ),
            "equal size",
        ),
        (
            lambda: FlowMatchingLoss(coupling=MinibatchOTCoupling())(
                lambda x, t, **c: x,
                torch.zeros(3, 2),
                torch.zeros(3, 2),
                a=torch.zeros(3),
                b=torch.zeros(3),
            ),
            "condition_key",
        ),
        (lambda: InterpolantLoss(LinearPath(), "eta"), "no noise"),
        (lambda: InterpolantLoss(StochasticInterpolant(), "w"), "unknown field"),
        (lambda: MeanFlowLoss(share_equal=2), "share"),
        (lambda: TransitionMatchingLoss(0), "steps = 0"),
        (lambda: draw_times(3, "late"), "unknown time law"),
        (lambda: draw_times(3, lambda n, g, d, dt: torch.full((n,), 2.0)), "expected"),
    ],
)
def test_errors_name_the_remedy(call, words):
    with pytest.raises(DataError, match=words):
        call()


def test_affine_is_the_base_of_all_convertible_paths():
    assert isinstance(VPPath(), AffinePath)
    assert not isinstance(BrownianBridgePath(), AffinePath)
