"""Filters and changes of grid against waves and polynomials whose answer is known."""

import math

import pytest
import torch

from pushforward.simulators.channel import (
    ChannelFlow,
    CoarseView,
    perturbed,
    resample_state,
    stretched_points,
)
from pushforward.simulators.errors import DataError

BOX = (math.pi, 1.0)
# y+ of the published profiles at Re_tau 174.59 over that number: first planes of 33.
PUBLISHED = (0, 0.02228, 0.04494, 0.06839, 0.09308, 0.11955, 0.14847, 0.18072, 0.21745)


@pytest.fixture(scope="module")
def flow():
    return ChannelFlow((16, 17, 12), lengths=BOX, viscosity=1e-3, dt=0.01)


@pytest.fixture(scope="module")
def state(flow):
    return flow.advance(perturbed(flow, seed=1, noise=0.05), 2)


def test_stretched_points_are_the_published_ones():
    y = stretched_points(33)
    assert y[:9].tolist() == pytest.approx(PUBLISHED, abs=5e-6)
    assert torch.allclose(y, 2 - y.flip(0), atol=1e-15)
    assert float(y[16]) == 1
    assert torch.allclose(stretched_points(129)[::4], y, atol=1e-14)
    assert float(stretched_points(65)[1]) == pytest.approx(0.011117, abs=5e-7)


def test_a_cutoff_on_the_same_grid_changes_nothing(flow, state):
    view = CoarseView(flow, (16, 12), flow.y)
    assert torch.allclose(view(state), flow.velocity(state), atol=1e-14)


@pytest.mark.parametrize("kind", ["cutoff", "box", "gaussian"])
def test_each_wave_is_damped_by_the_transfer_function(flow, kind):
    """g = cos(k z) (1 - y²) has u = sin(k z) (1 - y²)/k; its filtered self is known."""
    k = 2 * math.pi * 2 / BOX[1]
    state = flow.laminar()
    state.g[:, 0, 2] = 0.5 * (1 - flow.y**2)
    y = stretched_points(9) - 1
    view = CoarseView(flow, (8, 6), y, kind=kind, width=1.5)
    width = 1.5 * BOX[1] / 6
    damp = {
        "cutoff": 1.0,
        "box": math.sin(k * width / 2) / (k * width / 2),
        "gaussian": math.exp(-((k * width) ** 2) / 24),
    }[kind]
    z = torch.arange(6) * (BOX[1] / 6)
    wave = damp * torch.sin(k * z) / k
    wanted = (1 - y**2)[:, None] * (1 + wave)
    assert torch.allclose(view(state)[0, 3], wanted, atol=1e-13)


def test_modes_beyond_the_coarse_grid_are_dropped_not_folded(flow):
    state = flow.laminar()
    state.g[:, 0, 4] = 1 - flow.y**2  # kz = 4: a grid of 6 points holds 0, 1 and 2
    seen = CoarseView(flow, (8, 6), flow.y)(state)
    assert torch.allclose(seen[0], (1 - flow.y**2)[:, None].expand(8, -1, 6), atol=1e-13)


def test_a_filtered_field_keeps_its_divergence_at_zero_on_the_planes_of_the_simulation(flow, state):
    view = CoarseView(flow, (8, 8), flow.y, kind="gaussian")
    coarse = ChannelFlow((8, 17, 8), lengths=BOX, viscosity=1e-3, dt=0.01)
    assert coarse.divergence(coarse.from_velocity(view(state))) < 1e-12


def test_refined_states_are_the_same_flow_and_come_back(flow, state):
    fine = ChannelFlow((32, 33, 20), lengths=BOX, viscosity=1e-3, dt=0.01)
    refined = resample_state(state, flow, fine)
    assert fine.divergence(refined) < 1e-12
    walls = fine.velocity(refined)[:, :, [0, -1]]
    assert float(walls.abs().max()) < 1e-13
    assert torch.allclose(CoarseView(fine, (16, 12), flow.y)(refined), flow.velocity(state))
    back = resample_state(refined, fine, flow)
    for a, b in ((back.v, state.v), (back.g, state.g), (back.mean, state.mean)):
        assert torch.allclose(a, b, atol=1e-12)
    # ∇²v is taken from v anew, so its wall values are those of the polynomial.
    assert torch.allclose(back.phi[1:-1], state.phi[1:-1], atol=1e-9)


def test_refusals(flow, state):
    with pytest.raises(DataError, match=r"coarse grid has 32 x 8 .* only 16 x 12"):
        CoarseView(flow, (32, 8), flow.y)
    with pytest.raises(DataError, match="outside the channel"):
        CoarseView(flow, (8, 8), stretched_points(9))
    with pytest.raises(DataError, match="width = 0"):
        CoarseView(flow, (8, 8), flow.y, width=0)
    with pytest.raises(DataError, match="n = 32 points"):
        stretched_points(32)
    with pytest.raises(DataError, match="stretching = -1"):
        stretched_points(33, -1)
    other = ChannelFlow((16, 17, 12), lengths=(1.0, 1.0), viscosity=1e-3, dt=0.01)
    with pytest.raises(DataError, match="Only the grid may change"):
        resample_state(state, flow, other)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_filter_is_refused(flow):
    with pytest.raises(DataError, match="'median' is unknown"):
        CoarseView(flow, (8, 8), flow.y, kind="median")
