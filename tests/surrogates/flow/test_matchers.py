"""The torchcfm-style interface: formulas, random streams, labels."""

import math

import pytest
import torch

from pushforward.surrogates.flow import matchers

BUILD = {
    "independent": lambda s: matchers.ConditionalFlowMatcher(s),
    "exact": lambda s: matchers.ExactOptimalTransportConditionalFlowMatcher(s),
    "target": lambda s: matchers.TargetConditionalFlowMatcher(s),
    "bridge": lambda s: matchers.SchrodingerBridgeConditionalFlowMatcher(s, ot_method="sinkhorn"),
    "trigonometric": lambda s: matchers.VariancePreservingConditionalFlowMatcher(s),
}


def expected(name, x0, x1, t, sigma, noise):
    """x_t and u_t written out, in the order of operations that makes them equal to the bit."""
    if name == "trigonometric":
        a, b = torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)
        return a * x0 + b * x1 + sigma * noise, math.pi / 2 * (a * x1 - b * x0)
    if name == "target":
        spread = 1 - (1 - sigma) * t
        xt = t * x1 + spread * noise
        return xt, (x1 - (1 - sigma) * xt) / spread
    mean = t * x1 + (1 - t) * x0
    if name == "bridge":
        xt = mean + sigma * torch.sqrt(t * (1 - t)) * noise
        return xt, (1 - 2 * t) / (2 * t * (1 - t) + 1e-8) * (xt - mean) + x1 - x0
    return mean + sigma * noise, x1 - x0


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("sigma", [0.0, 5e-4, 0.5, 1])
@pytest.mark.parametrize("shape", [(1,), (2, 3)])
def test_points_and_targets_to_the_bit(name, sigma, shape):
    if name == "bridge" and sigma == 0:
        with pytest.raises(ValueError, match="sigma > 0"):
            BUILD[name](sigma)
        return
    matcher = BUILD[name](sigma)
    g = torch.Generator().manual_seed(0)
    x0, x1 = torch.randn(2, 64, *shape, generator=g)
    torch.manual_seed(5)
    t, xt, ut, noise = matcher.sample_location_and_conditional_flow(x0, x1, return_noise=True)
    matcher.compute_lambda(t)
    torch.manual_seed(5)
    if matcher.plan is not None:
        x0, x1 = matcher.plan.sample_plan(x0, x1)
    assert torch.equal(t, torch.rand(64))  # the plan has not moved the stream of times
    assert torch.equal(noise, torch.randn_like(x0))
    want_x, want_u = expected(name, x0, x1, matchers.pad_t_like_x(t, x0), sigma, noise)
    assert torch.equal(xt, want_x)
    assert torch.equal(ut, want_u)


def test_every_point_is_used_once_and_labels_follow():
    g = torch.Generator().manual_seed(1)
    x0, x1 = torch.randn(2, 50, 2, generator=g)
    y0, y1 = torch.arange(50), torch.arange(50) + 100
    for build in (BUILD["exact"], BUILD["bridge"]):
        out = build(0.5).guided_sample_location_and_conditional_flow(
            x0, x1, y0, y1, t=torch.zeros(50), return_noise=True
        )
        assert len(out) == 6
        assert sorted(out[3].tolist()) == list(range(50))
        assert torch.equal(out[4], y1)
        assert len(build(0.5).guided_sample_location_and_conditional_flow(x0, x1, y0, y1)) == 5


def test_given_times_are_used_and_checked():
    x = torch.zeros(3, 2)
    t = torch.tensor([0.1, 0.2, 0.3])
    assert matchers.ConditionalFlowMatcher().sample_location_and_conditional_flow(x, x, t)[0] is t
    with pytest.raises(ValueError, match="2 times for 3 samples"):
        matchers.ConditionalFlowMatcher().sample_location_and_conditional_flow(x, x, t[:2])


def test_entropic_plans_differ_from_call_to_call():
    g = torch.Generator().manual_seed(2)
    x0, x1 = torch.randn(2, 40, 2, generator=g)
    matcher = BUILD["bridge"](2.0)
    torch.manual_seed(0)
    orders = [
        matcher.guided_sample_location_and_conditional_flow(x0, x1, torch.arange(40))[3]
        for _ in range(2)
    ]
    assert not torch.equal(*orders)
