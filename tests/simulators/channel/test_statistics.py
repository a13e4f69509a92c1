"""Running statistics against averages of stored fields."""

import math

import numpy as np
import pytest
import torch

from pushforward.simulators.channel import ChannelFlow, ChannelStatistics, perturbed
from pushforward.simulators.errors import DataError


@pytest.fixture(scope="module")
def samples():
    flow = ChannelFlow((16, 25, 16), lengths=(math.pi, 1.0), viscosity=1 / 2000, dt=0.02)
    state = flow.advance(perturbed(flow, seed=3, noise=0.1), 5)
    states = []
    for _ in range(4):
        state = flow.advance(state, 5)
        states.append(state)
    return flow, states


def test_moments_equal_those_of_the_fields(samples):
    flow, states = samples
    statistics = ChannelStatistics(flow, block_time=0.2)
    for state in states:
        statistics.update(state)
    profiles = statistics.profiles()
    fields = torch.stack([flow.velocity(s) for s in states])
    mean = fields.mean((0, 2, 4))
    fluctuation = fields - mean[None, :, None, :, None]
    u_tau = profiles.attrs["u_tau"]

    def folded(profile, sign=1):
        return ((profile + sign * profile.flip(0)) / 2)[:13].numpy()

    assert profiles["u_plus"].values == pytest.approx(folded(mean[0]) / u_tau, abs=1e-10)
    for i, name in enumerate("uvw"):
        variance = folded(fluctuation[:, i].square().mean((0, 1, 3)))
        assert profiles[f"{name}_rms"].values == pytest.approx(np.sqrt(variance) / u_tau, abs=1e-9)
    shear = folded((fluctuation[:, 0] * fluctuation[:, 1]).mean((0, 1, 3)), -1)
    assert profiles["uv_plus"].values == pytest.approx(-shear / u_tau**2, abs=1e-9)
    assert profiles.attrs["n_blocks"] == 2
    assert float(profiles["u_plus_error"].max()) > 0


def test_spectra_sum_to_the_variances(samples):
    """The Moser-Kim-Mansour convention: folded to k >= 0, the plain sum is the variance."""
    flow, states = samples
    statistics = ChannelStatistics(flow, block_time=10.0)
    for state in states:
        statistics.update(state)
    profiles = statistics.profiles()
    for name in "uvw":
        variance = profiles[f"{name}_rms"].values ** 2
        for axis, dim in (("x", "kx"), ("z", "kz")):
            total = profiles[f"E_{name}{name}_{axis}"].sum(dim).values
            assert total == pytest.approx(variance, abs=1e-9)


def test_correlations_are_those_of_the_fields(samples):
    flow, states = samples
    statistics = ChannelStatistics(flow, block_time=10.0)
    for state in states:
        statistics.update(state)
    profiles = statistics.profiles()
    assert profiles["rx"].values == pytest.approx(math.pi * np.arange(9) / 16)
    fields = torch.stack([flow.velocity(s) for s in states])
    fluctuation = fields - fields.mean((0, 2, 4))[None, :, None, :, None]
    for i, name in enumerate("uvw"):
        for axis, dim in (("x", 2), ("z", 4)):
            shifted = fluctuation.roll(-3, dim)
            product = (fluctuation * shifted)[:, i].mean((0, 1, 3))
            folded = ((product + product.flip(0)) / 2)[:13].numpy() / profiles.attrs["u_tau"] ** 2
            found = profiles[f"R_{name}{name}_{axis}"]
            assert found[3].values == pytest.approx(folded, abs=1e-9)
            assert found[0].values == pytest.approx(profiles[f"{name}_rms"].values ** 2, abs=1e-9)


def test_spectra_and_correlations_have_errors_over_blocks(samples):
    flow, states = samples
    statistics = ChannelStatistics(flow, block_time=0.1)
    alone = []
    for state in states:
        statistics.update(state)
        one = ChannelStatistics(flow, block_time=0.1)
        one.update(state)
        alone.append(one.profiles())
    profiles = statistics.profiles()
    unit = [p.attrs["u_tau"] ** 2 / profiles.attrs["u_tau"] ** 2 for p in alone]
    for name in ("E_vv_z", "R_vv_x"):
        values = np.stack([u * p[name].values for u, p in zip(unit, alone, strict=True)])
        assert profiles[name].values == pytest.approx(values.mean(0), abs=1e-12)
        expected = values.std(0, ddof=1) / 2
        assert profiles[f"{name}_error"].values == pytest.approx(expected, abs=1e-12)


def test_a_laminar_flow_has_no_stress_but_viscous():
    flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    statistics = ChannelStatistics(flow, block_time=1.0)
    statistics.update(flow.laminar())
    profiles = statistics.profiles()
    assert profiles["total_stress"].values == pytest.approx(1 - profiles["y"].values, abs=1e-12)
    assert float(abs(profiles["uv_plus"]).max()) == 0
    assert profiles.attrs["re_tau"] == pytest.approx(math.sqrt(2 / 0.01))


def test_refusals(samples):
    with pytest.raises(DataError, match="block_time = 0"):
        ChannelStatistics(samples[0], block_time=0)
    with pytest.raises(DataError, match="no samples yet"):
        ChannelStatistics(samples[0], block_time=1).profiles()
