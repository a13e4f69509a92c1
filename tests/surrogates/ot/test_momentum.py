"""The acceleration must not outrun the range of the dtype when it misjudges the rate."""

import torch

from pushforward.surrogates.ot._momentum import Momentum


def plateau() -> Momentum:
    """A momentum that has watched an error stand still, and so believes in a rate near 1."""
    momentum = Momentum(torch.zeros(2, 3))
    for _ in range(7):
        momentum.observe(torch.tensor([0.625, 0.625]), 1e-2)
        momentum.change(torch.ones(2, 3))
    momentum.stride[:], momentum.memory[:] = 3.9, 0.9
    return momentum


def test_an_error_that_jumps_ends_the_momentum_of_its_problem_at_once():
    momentum = plateau()
    momentum.observe(torch.tensor([1.4, 0.6]), 1e-2)
    assert momentum.stride.tolist() == [1.0, momentum.stride[1].item()]
    assert momentum.memory[0] == 0.0
    assert momentum.stride[1] > 3
    change = momentum.change(torch.ones(2, 3))
    torch.testing.assert_close(change[0], torch.ones(3))


def test_a_non_finite_error_ends_the_momentum_too():
    momentum = plateau()
    momentum.observe(torch.tensor([float("nan"), 0.6]), 1e-2)
    assert momentum.stride[0] == 1.0
    assert momentum.memory[0] == 0.0
