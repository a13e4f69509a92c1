"""The oracle itself: continuity equation, score, density, sampling."""

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    BrownianBridgePath,
    CosinePath,
    GaussianMixture,
    GaussianMixtureField,
    LinearPath,
    StochasticInterpolant,
)


def two_dimensional(path):
    cov = torch.tensor([[[0.5, 0.2], [0.2, 0.3]], [[0.4, -0.1], [-0.1, 0.6]]]).double()
    source = GaussianMixture(torch.tensor([[0.0, 0.0], [1.0, -1.0]]).double(), 0.7)
    target = GaussianMixture(
        torch.tensor([[2.0, 1.0], [-1.0, 2.0]]).double(), cov, torch.tensor([0.3, 0.7]).double()
    )
    return GaussianMixtureField(source, target, path=path)


PATHS = [
    LinearPath(),
    CosinePath(),
    BrownianBridgePath(0.5),
    StochasticInterpolant("trigonometric"),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
def test_velocity_solves_the_continuity_equation(path):
    field = two_dimensional(path)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double()
    t, h = 0.37, 1e-4
    p = lambda x, t: field.log_prob(x, t).exp()  # noqa: E731
    rate = (p(x, t + h) - p(x, t - h)) / (2 * h)
    divergence = torch.zeros(20).double()
    for i in range(2):
        e = torch.zeros(2).double()
        e[i] = h
        flux = lambda x, i=i: p(x, t) * field(x, t)[:, i]  # noqa: E731
        divergence += (flux(x + e) - flux(x - e)) / (2 * h)
    assert (rate + divergence).abs().max() < 1e-7


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
def test_score_is_the_gradient_of_the_log_density(path):
    field = two_dimensional(path)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    (grad,) = torch.autograd.grad(field.log_prob(x, 0.6).sum(), x)
    assert torch.allclose(field.score(x, 0.6), grad, atol=1e-10)


def test_drift_velocity_and_denoiser_are_tied():
    path = StochasticInterpolant()
    field = two_dimensional(path)
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(2)).double()
    t = torch.full((9,), 0.3).double()
    gg = path.gamma_d_gamma(t)[:, None]
    assert torch.allclose(field(x, t), field.drift(x, t) - gg * field.score(x, t))
    assert torch.allclose(field.denoiser(x, t), -path.gamma(t)[:, None] * field.score(x, t))


def test_velocity_is_the_conditional_mean_of_dx():
    """Monte-Carlo regression onto x_t agrees with the closed form, for the mean over all x."""
    field = two_dimensional(LinearPath())
    g = torch.Generator().manual_seed(3)
    x0, x1 = field.source.sample(200_000, generator=g), field.target.sample(200_000, generator=g)
    s = field.path.sample(x0, x1, 0.4)
    # E[dx·φ(x)] = E[u(x)·φ(x)] for the test functions φ = 1, x.
    gap = s.dx_t - torch.cat([field(part, 0.4) for part in s.x_t.split(20_000)])
    assert (gap.mean(0).abs() < 4 * gap.std(0) / 200_000**0.5).all()
    moment = gap * s.x_t
    assert (moment.mean(0).abs() < 4 * moment.std(0) / 200_000**0.5).all()


def test_samples_have_the_moments_of_the_mixture():
    m = two_dimensional(LinearPath()).target
    x = m.sample(50_000, generator=torch.Generator().manual_seed(4))
    mean = (m.weights[:, None] * m.means).sum(0)
    assert ((x.mean(0) - mean).abs() < 4 * x.std(0) / 50_000**0.5).all()


def test_density_of_the_field_at_the_end_is_the_target():
    field = two_dimensional(LinearPath())
    x = torch.randn(5, 2).double()
    assert torch.allclose(field.log_prob(x), field.target.log_prob(x))
    assert torch.allclose(field.log_prob(x, 0.0), field.source.log_prob(x))
    grid = torch.cartesian_prod(*[torch.linspace(-7, 8, 151).double()] * 2)
    assert field.log_prob(grid).exp().sum().item() * 0.1**2 == pytest.approx(1, abs=1e-6)


def test_atoms_lead_to_the_data():
    data = torch.tensor([[-1.0], [2.0]]).double()
    field = GaussianMixtureField(GaussianMixture.standard(1), GaussianMixture(data, 0.0))
    x, t = torch.tensor([[1.9]]).double(), 0.95
    assert field(x, t).item() == pytest.approx((2.0 - 1.9) / 0.05)


def test_errors():
    with pytest.raises(DataError, match="dimensions"):
        GaussianMixtureField(GaussianMixture.standard(1), GaussianMixture.standard(2))
    with pytest.raises(DataError, match="sum to 1"):
        GaussianMixture(torch.zeros(2, 1), 1.0, torch.tensor([0.4, 0.4]))
    with pytest.raises(DataError, match="covariances"):
        GaussianMixture(torch.zeros(2, 3), torch.eye(2))
