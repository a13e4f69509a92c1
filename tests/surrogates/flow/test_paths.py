"""Paths: derivatives, conversions, ends, bridges, interpolants, schedule changes."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    BrownianBridgePath,
    ConstantNoisePath,
    CosinePath,
    GaussianMixture,
    GaussianMixtureField,
    KineticOptimalPath,
    LinearPath,
    LinearVPPath,
    ODESampler,
    PoissonPath,
    PolynomialPath,
    RescheduledField,
    ReversedTimeField,
    SchedulePath,
    StochasticInterpolant,
    TargetPath,
    VPPath,
)

AFFINE = [
    LinearPath(),
    CosinePath(),
    VPPath(),
    LinearVPPath(),
    PolynomialPath(3),
    TargetPath(0.1),
    SchedulePath(lambda t: t**2, lambda t: 1 - t**2),
    KineticOptimalPath(lambda s: 0.5 / (1 + s * s)),
    PoissonPath(64),
]
NOISY = [
    ConstantNoisePath(0.3),
    BrownianBridgePath(0.7),
    StochasticInterpolant(),
    StochasticInterpolant("trigonometric", "brownian", a=2.0),
    StochasticInterpolant("linear", "quadratic"),
    StochasticInterpolant("encoding_decoding"),
    StochasticInterpolant("mirror"),
    StochasticInterpolant("one_sided"),
]
KINDS = ("velocity", "x1", "noise", "score")


def name(path):
    return type(path).__name__ + getattr(path, "kind", "")


def derivative(f, t):
    return torch.func.jvp(f, (t,), (torch.ones_like(t),))[1]


@pytest.mark.parametrize("path", [*AFFINE, *NOISY], ids=name)
def test_derivatives_agree_with_automatic_differentiation(path):
    t = torch.tensor([0.01, 0.3, 0.49, 0.61, 0.99], dtype=torch.float64)
    assert torch.allclose(path.d_alpha(t), derivative(path.alpha, t), rtol=1e-8, atol=1e-10)
    assert torch.allclose(path.d_sigma(t), derivative(path.sigma, t), rtol=1e-8, atol=1e-10)
    half_square = derivative(lambda t: path.gamma(t) ** 2 / 2, t)
    assert torch.allclose(path.gamma_d_gamma(t), half_square, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("path", AFFINE, ids=name)
@pytest.mark.parametrize("time", [0.01, 0.5, 0.99])
def test_conversions_round_trip_for_every_pair(path, time):
    g = torch.Generator().manual_seed(0)
    x1, x0 = torch.randn(2, 7, 3, generator=g, dtype=torch.float64)
    t = torch.tensor(time, dtype=torch.float64)
    a, s = path.alpha(t), path.sigma(t)
    x = a * x1 + s * x0
    truth = {
        "velocity": path.d_alpha(t) * x1 + path.d_sigma(t) * x0,
        "x1": x1,
        "noise": x0,
        "score": -x0 / s,
    }
    for source in KINDS:
        for target in KINDS:
            got = path.convert(truth[source], x, time, source=source, target=target)
            scale = truth[target].abs().max()
            assert (got - truth[target]).abs().max() < 1e-7 * scale, (source, target)


@pytest.mark.parametrize("path", AFFINE, ids=name)
def test_snr_inverse_inverts(path):
    t = torch.tensor([0.03, 0.4, 0.97], dtype=torch.float64)
    assert torch.allclose(path.snr_inverse(path.snr(t)), t, atol=1e-8)


@pytest.mark.parametrize("path", [p for p in AFFINE if not isinstance(p, PoissonPath)], ids=name)
def test_ends(path):
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert torch.allclose(path.alpha(t), t, atol=7e-3 if isinstance(path, VPPath) else 1e-12)
    end = 0.1 if isinstance(path, TargetPath) else 0.0
    assert torch.allclose(path.sigma(t), torch.tensor([1.0, end]).double(), atol=3e-5)


def test_vp_starts_with_the_known_trace_of_data():
    assert VPPath().alpha(torch.tensor(0.0).double()).item() == pytest.approx(0.0066, abs=5e-5)


def test_linear_sample_is_the_line_and_keeps_any_shape():
    x0, x1 = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    s = LinearPath().sample(x0, x1, torch.tensor([0.25, 0.75]))
    assert torch.equal(s.x_t[0], torch.full((3, 4, 5), 0.25))
    assert torch.equal(s.x_t[1], torch.full((3, 4, 5), 0.75))
    assert torch.equal(s.dx_t, x1)
    assert s.z is None


def test_generic_and_special_interpolation_agree():
    g = torch.Generator().manual_seed(1)
    x0, x1 = torch.randn(2, 6, 2, generator=g, dtype=torch.float64)
    t = torch.rand(6, generator=g, dtype=torch.float64)
    for special, generic in (
        (LinearPath(), SchedulePath(lambda t: t, lambda t: 1 - t)),
        (
            CosinePath(),
            SchedulePath(
                lambda t: torch.sin(math.pi / 2 * t), lambda t: torch.cos(math.pi / 2 * t)
            ),
        ),
        (LinearPath(), PolynomialPath(1)),
        (LinearPath(), TargetPath(0)),
    ):
        a, b = special.sample(x0, x1, t), generic.sample(x0, x1, t)
        assert torch.allclose(a.x_t, b.x_t)
        assert torch.allclose(a.dx_t, b.dx_t)


@pytest.mark.parametrize("path", NOISY, ids=name)
def test_dx_is_the_derivative_of_x_at_fixed_noise(path):
    g = torch.Generator().manual_seed(2)
    x0, x1, z = torch.randn(3, 4, 2, generator=g, dtype=torch.float64)
    if not path.noisy:
        z = None
    h = 1e-6
    for time in (0.2, 0.4, 0.8):
        ahead = path.sample(x0, x1, time + h, z=z).x_t
        behind = path.sample(x0, x1, time - h, z=z).x_t
        dx = path.sample(x0, x1, time, z=z).dx_t
        assert torch.allclose(dx, (ahead - behind) / (2 * h), atol=1e-7)


def test_brownian_bridge_moments():
    g = torch.Generator().manual_seed(3)
    x = BrownianBridgePath(2.0).sample(
        torch.zeros(40_000, 1), torch.ones(40_000, 1), 0.25, generator=g
    )
    assert x.x_t.mean().item() == pytest.approx(0.25, abs=4 * 0.87 / 200)
    assert x.x_t.var().item() == pytest.approx(4 * 0.1875, rel=4 * 2**0.5 / 200)


def test_interpolants_reach_their_ends_without_noise():
    x0, x1 = torch.full((2, 1), 3.0), torch.full((2, 1), -1.0)
    for kind in ("linear", "trigonometric", "encoding_decoding"):
        path = StochasticInterpolant(kind)
        g = torch.Generator().manual_seed(0)
        assert torch.allclose(path.sample(x0, x1, 0.0, generator=g).x_t, x0, atol=1e-6)
        assert torch.allclose(path.sample(x0, x1, 1.0, generator=g).x_t, x1, atol=1e-6)
    middle = StochasticInterpolant("encoding_decoding").sample(x0, x1, 0.5, z=torch.ones(2, 1))
    assert torch.allclose(middle.x_t, torch.ones(2, 1), atol=1e-6)


def test_another_schedule_at_sampling_time_gives_the_same_law():
    source = GaussianMixture.standard(1)
    target = GaussianMixture(torch.tensor([[-2.0], [2.0]]).double(), 0.25)
    trained = GaussianMixtureField(source, target, path=LinearPath())
    direct = GaussianMixtureField(source, target, path=CosinePath())
    field = RescheduledField(trained, trained=LinearPath(), sampled=CosinePath())
    x = torch.linspace(-3, 3, 11).double()[:, None]
    for time in (0.0, 0.3, 0.9, 1.0):
        t = torch.full((11,), time).double()
        assert torch.allclose(field(x, t), direct(x, t), atol=1e-9)


def test_reversed_time_field_runs_the_other_convention():
    source = GaussianMixture.standard(1)
    target = GaussianMixture(torch.tensor([[1.5]]).double(), 0.25)
    ours = GaussianMixtureField(source, target)
    theirs = lambda x, t: -ours(x, 1 - t)  # noqa: E731
    x0 = torch.linspace(-2, 2, 5).double()[:, None]
    got = ODESampler(ReversedTimeField(theirs), method="rk4", steps=20).sample(x0).x
    assert torch.allclose(got, ODESampler(ours, method="rk4", steps=20).sample(x0).x)


def test_poisson_kernel_moments_and_gaussian_limit():
    n, d = 100_000, 2
    g = torch.Generator().manual_seed(4)
    z = torch.randn(n, d, generator=g, dtype=torch.float64)
    path = PoissonPath(10)
    t = torch.tensor(0.4, dtype=torch.float64)
    s = path.sample(z, torch.zeros_like(z), t.expand(n), generator=g)
    sigma = path.sigma(t).item()
    # Variance D/(D-2); its sampling error needs the fourth moment of Student's law, kurtosis 4.
    assert (s.x_t / sigma).var().item() == pytest.approx(10 / 8, rel=4 * 2 / n**0.5)
    angle = torch.atan2(s.x_t[:, 1], s.x_t[:, 0])
    first = torch.polar(torch.ones_like(angle), angle).mean().abs()
    assert first < 4 / n**0.5
    gaussian = PoissonPath(1e6).heavy(z, generator=g)
    q = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    assert torch.allclose(gaussian.flatten().quantile(q), torch.special.ndtri(q), atol=0.02)


def test_poisson_prior_has_the_median_radius_of_the_kernel():
    # N = 3072, D = 1: the median of R/r is about 82, far beyond the clip of the released code.
    x = PoissonPath(1, sigma_max=1).prior((2000, 3072), generator=torch.Generator().manual_seed(0))
    assert 70 < x.norm(dim=1).median().item() < 95


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearPath().sample(torch.zeros(3, 2), torch.zeros(4, 2), 0.5), "Let a coupling"),
        (
            lambda: LinearPath().sample(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2)),
            r"\(3,\)",
        ),
        (
            lambda: LinearPath().sample(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 1)),
            r"t has shape \(3, 1\)",
        ),
        (
            lambda: LinearPath().sample(
                torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)
            ),
            "floating-point",
        ),
        (lambda: VPPath(2.0, 1.0), "beta_min"),
        (lambda: BrownianBridgePath(0.0), "std > 0"),
        (lambda: PoissonPath(0), "degrees"),
        (lambda: TargetPath(2.0), "sigma_min"),
        (lambda: PolynomialPath(0.5), "power"),
        (lambda: StochasticInterpolant("trigonometric", a=5.0), "γ ≤ 1"),
        (lambda: StochasticInterpolant("one_sided", "brownian"), "no γ"),
        (lambda: KineticOptimalPath(lambda s: 0 * s, points=10), "points"),
    ],
)
def test_errors_name_the_remedy(call, words):
    with pytest.raises(DataError, match=words):
        call()
