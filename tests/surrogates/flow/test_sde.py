"""Stochastic sampling keeps the marginals of the flow."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.surrogates.flow import (
    CosinePath,
    GaussianMixture,
    GaussianMixtureField,
    LinearPath,
    SDESampler,
    score_from_velocity,
)


def gaussian(path, tau2=1.0):
    target = GaussianMixture(torch.zeros(1, 1).double(), tau2)
    return GaussianMixtureField(GaussianMixture.standard(1), target, path=path)


@pytest.mark.parametrize("eps", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("scheme", ["euler_maruyama", "heun"])
def test_standard_normal_stays_standard_normal(eps, scheme):
    path = CosinePath()
    field = gaussian(path)
    x0 = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)).double()
    sampler = SDESampler(field, field.score, diffusion=eps, steps=60, scheme=scheme)
    x = sampler.sample(x0, generator=torch.Generator().manual_seed(1)).x
    # The last step integrates the drift alone: it loses a variance of 2 eps h.
    assert x.var().item() == pytest.approx(1, abs=4 * (2 / 20_000) ** 0.5 + 2.2 * eps / 60)
    assert abs(x.mean()) < 4 / 20_000**0.5


def variance(steps, eps):
    """Variance after `steps` Euler-Maruyama steps of dX = -eps X dt + √(2 eps) dW, exactly."""
    h, v = 1 / steps, 1.0
    for k in range(steps):
        v = v * (1 - eps * h) ** 2 + (2 * eps * h if k < steps - 1 else 0)
    return v


def test_weak_order_one():
    """The sampler's variance follows its own exact recursion, whose error falls like h."""
    path, eps, n = CosinePath(), 1.0, 200_000
    field = gaussian(path)
    x0 = torch.randn(n, 1, generator=torch.Generator().manual_seed(0)).double()
    for steps in (5, 10, 20):
        sampler = SDESampler(field, field.score, diffusion=eps, steps=steps)
        x = sampler.sample(x0, generator=torch.Generator().manual_seed(steps)).x
        expected = variance(steps, eps)
        assert x.var().item() == pytest.approx(expected, rel=4 * (2 / n) ** 0.5)
    errors = [abs(variance(k, eps) - 1) for k in (40, 160)]
    assert math.log(errors[0] / errors[1]) / math.log(4) == pytest.approx(1, abs=0.1)


def test_mixture_marginal_and_score_from_velocity():
    target = GaussianMixture(torch.tensor([[-2.0], [2.0]]).double(), 0.25)
    field = GaussianMixtureField(GaussianMixture.standard(1), target)
    score = score_from_velocity(field, LinearPath())
    x = torch.linspace(-3, 3, 9).double()[:, None]
    t = torch.full((9,), 0.6).double()
    assert torch.allclose(score(x, t), field.score(x, t), atol=1e-9)
    x0 = torch.randn(10_000, 1, generator=torch.Generator().manual_seed(0)).double()
    for last in ("mean", "tweedie"):
        sampler = SDESampler(
            field,
            score,
            diffusion=lambda t: 1 - t,
            steps=80,
            scheme="heun",
            last_step=last,
            path=LinearPath(),
        )
        x = sampler.sample(x0, generator=torch.Generator().manual_seed(1)).x
        assert x.square().mean().item() == pytest.approx(4.25, abs=0.1)
        assert (x > 0).double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 10_000**0.5)


def test_without_diffusion_it_is_the_flow_and_nfe_is_exact():
    field = gaussian(LinearPath(), 0.25)
    x0 = torch.linspace(-1, 1, 5).double()[:, None]
    out = SDESampler(field, field.score, diffusion=0.0, steps=10).sample(x0, keep_trajectory=True)
    assert out.nfe == 10
    assert out.trajectory.shape == (11, 5, 1)
    heun = SDESampler(field, field.score, diffusion=0.5, steps=10, scheme="heun").sample(x0)
    assert heun.nfe == 19


def test_seed_decides():
    field = gaussian(CosinePath())
    sampler = SDESampler(field, field.score, steps=5)
    x0 = torch.zeros(4, 1).double()
    a, b, c = (sampler.sample(x0, generator=torch.Generator().manual_seed(s)).x for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 3, "time_grid": [0.0, 1.0]}, "give one"),
        ({"time_grid": [1.0, 0.0]}, "forward"),
        ({"scheme": "milstein"}, "unknown scheme"),
        ({"last_step": "none"}, "unknown last_step"),
        ({"last_step": "tweedie"}, "needs the path"),
    ],
)
def test_errors_name_the_remedy(options, words):
    with pytest.raises(DataError, match=words):
        SDESampler(lambda x, t: x, lambda x, t: x, **options)


def test_singular_diffusion_says_where():
    field = gaussian(LinearPath())
    with pytest.raises(DivergedError, match="t = 0"):
        SDESampler(field, field.score, diffusion=lambda t: 1 / t, steps=4).sample(
            torch.zeros(2, 1).double()
        )
