"""Fused kernels of learned advection against the eager twin, and the parts of a lean tower."""

import pytest
import torch
from torch.nn import functional as F

from pushforward.simulators.errors import DataError
from pushforward.surrogates.turbulence import CoarseFlow, LearnedInterpolation
from pushforward.surrogates.turbulence.advection import advection, eager_advection
from pushforward.surrogates.turbulence.tower import PeriodicTower, wrap


def random_step(shape, *, flows=2, dtype=torch.float32, seed=0):
    """A velocity and weights; half of one flow is at rest, where the limiter's ratio is 0/0."""
    g = torch.Generator().manual_seed(seed)
    velocity = torch.randn(flows, 2, *shape, generator=g, dtype=dtype)
    velocity[0, :, shape[0] // 2 :] = 0.0
    weights = torch.randn(flows, 128, *shape, generator=g, dtype=dtype)
    return velocity.requires_grad_(), weights.requires_grad_()


DTYPES = [
    torch.float32,
    pytest.param(torch.float64, marks=pytest.mark.slow),  # compiled anew for it
]


@pytest.mark.parametrize("shape", [(4, 4), (9, 6), (5, 16)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients_are_the_eager_ones(shape, dtype):
    """The eager twin runs in float64 on the same numbers."""
    velocity, weights = random_step(shape, dtype=dtype)
    exact = [t.detach().double().requires_grad_() for t in (velocity, weights)]
    given = torch.randn(velocity.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    ours, theirs = advection(velocity, weights, 0.1), eager_advection(*exact, 0.1)
    found = [ours, *torch.autograd.grad(ours, (velocity, weights), given)]
    wanted = [theirs, *torch.autograd.grad(theirs, exact, given.double())]
    rounding = 30 * torch.finfo(dtype).eps
    for a, b in zip(found, wanted, strict=True):
        error = (a.double() - b).detach().abs().amax((-2, -1))
        assert bool((error <= rounding * b.detach().abs().amax()).all())


@pytest.mark.slow  # compiled anew for several threads
def test_a_batch_is_its_flows_on_any_number_of_threads():
    velocity, weights = random_step((6, 8), flows=3)
    with torch.no_grad():
        alone = [advection(velocity[[i]], weights[[i]], 0.2) for i in range(3)]
        torch.set_num_threads(2)
        try:
            together = advection(velocity, weights, 0.2)
        finally:
            torch.set_num_threads(1)
    assert torch.equal(together, torch.cat(alone))


def test_the_plain_scheme_and_its_gradient_are_the_eager_ones():
    velocity, _ = random_step((7, 10))
    exact = velocity.detach().double().requires_grad_()
    given = torch.randn(velocity.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = advection(velocity, None, 0.1), eager_advection(exact, None, 0.1)
    (found,) = torch.autograd.grad(ours, velocity, given)
    (wanted,) = torch.autograd.grad(theirs, exact, given.double())
    for a, b in ((ours, theirs), (found, wanted)):
        torch.testing.assert_close(a.detach().double(), b.detach(), rtol=1e-4, atol=1e-4)


def test_momentum_is_kept_to_rounding():
    velocity, weights = random_step((8, 8))
    change = advection(velocity, weights, 0.1).detach()
    assert float(change.sum((-2, -1)).abs().max()) < 1e-6 * float(change.abs().sum())


def test_a_non_finite_velocity_stays_in_its_flow():
    velocity, weights = (t.detach() for t in random_step((6, 6)))
    velocity[0, 0, 1, 1] = torch.nan
    change = advection(velocity, weights, 0.1)
    assert not torch.isfinite(change[0]).all()
    assert torch.isfinite(change[1]).all()


def test_periodic_padding_and_its_gradient():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.equal(wrap(x), F.pad(x, (1, 1, 1, 1), mode="circular"))
    assert torch.autograd.gradcheck(wrap, x)


def towers(precision):
    made = torch.Generator().manual_seed(0)
    return PeriodicTower(2, 16, 4, layers=2, precision=precision, generator=made)


def test_low_precision_changes_a_tower_by_its_rounding_only(unchecked):
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    full, low = towers("float32")(x), towers("bfloat16")(x)
    assert low.dtype == torch.float32
    error = float((full - low).detach().norm() / full.detach().norm())
    assert 1e-5 < error < 2e-2  # bfloat16 keeps 8 bits
    with pytest.raises(DataError, match="precision = 'float8' must be float32 or bfloat16"):
        towers("float8")


def test_low_precision_keeps_the_sum_of_the_weights():
    """What no output of the network may break is formed in float32."""
    flow = CoarseFlow((8, 8), amplitude=0.0, dt=0.01)
    model = LearnedInterpolation(
        flow, hidden=8, layers=2, head_gain=1.0, precision="bfloat16", seed=3
    )
    velocity = torch.randn(1, 1, 2, 8, 8, generator=torch.Generator().manual_seed(2))
    (weights,) = model.weights(model.memory.begin(velocity))
    sums = weights.unflatten(1, (8, 16)).sum(2)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-5)


def test_training_after_inference():
    """What inference keeps for later calls must serve gradients too."""
    flow = CoarseFlow((10, 10), dt=0.011)  # a flow that no other test has used
    model = LearnedInterpolation(flow, hidden=4, layers=1)
    start = torch.randn(1, 1, 2, 10, 10, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        model.rollout(start, 2)
    model.rollout(start, 2).square().mean().backward()
    assert torch.isfinite(model.network.convolutions[-1].weight.grad).all()
