"""Solver states from samples at other points."""

import math

import pytest
import torch

from pushforward.simulators.channel import (
    ChannelFlow,
    CoarseView,
    perturbed,
    state_from_points,
    stretched_points,
)
from pushforward.simulators.errors import DataError

BOX = (math.pi, 1.0)


@pytest.fixture(scope="module")
def flow():
    return ChannelFlow((12, 33, 12), lengths=BOX, viscosity=1e-3, dt=0.01)


@pytest.fixture(scope="module")
def state(flow):
    return flow.advance(perturbed(flow, seed=1, noise=0.05), 3)


def test_samples_of_a_flow_give_it_back(flow, state):
    y = stretched_points(129)
    seen = CoarseView(flow, (12, 12), y - 1)(state)
    back = state_from_points(flow, torch.stack((seen, 2 * seen)), y)
    scale = float(flow.velocity(state).abs().max())
    for i in (0, 1):
        member = back._replace(v=back.v[i], phi=back.phi[i], g=back.g[i], mean=back.mean[i])
        error = flow.velocity(member) - (1 + i) * flow.velocity(state)
        assert float(error.abs().max()) < 1e-4 * scale


def test_coarse_noisy_samples_give_a_divergence_free_start_that_runs(flow, state):
    y = stretched_points(17)
    seen = CoarseView(flow, (12, 12), y - 1)(state).float()
    noisy = seen + 0.01 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
    noisy[..., [0, -1], :] = 0
    start = state_from_points(flow, noisy, y)
    assert flow.divergence(start) < 1e-10
    walls = flow.velocity(start)[:, :, [0, -1]]
    assert float(walls.abs().max()) < 1e-12
    later = flow.advance(start, 2)
    assert flow.divergence(later) < 1e-10
    assert float(flow.bulk(later)) == pytest.approx(2 / 3, abs=1e-13)


def test_refusals(flow, state):
    y = stretched_points(33)
    good = CoarseView(flow, (12, 12), y - 1)(state)
    with pytest.raises(DataError, match=r"velocity has shape .*expected \(\.\.\., 3, 12, 33, 12\)"):
        state_from_points(flow, good[..., :8], y)
    with pytest.raises(DataError, match="y runs from -1 to 1; .*Add 1 to the solver's own y"):
        state_from_points(flow, good, y - 1)
    missing, slipping = good.clone(), good.clone()
    missing[0, 1, 2, 3] = math.nan
    slipping[0, :, 0] = 0.5
    with pytest.raises(DataError, match="1 non-finite"):
        state_from_points(flow, missing, y)
    with pytest.raises(DataError, match=r"0\.5 at a wall"):
        state_from_points(flow, slipping, y)
