"""Energy budget, Q and distributions against fields whose answer is known in closed form."""

import math

import numpy as np
import pytest
import torch

from pushforward.simulators.channel import (
    ChannelFlow,
    EnergyBudget,
    VelocityDistributions,
    perturbed,
    q_criterion,
)
from pushforward.simulators.channel.budget import q_of_gradient
from pushforward.simulators.errors import DataError

BOX = (math.pi, 2.0)
A, B, C = 0.3, 0.2, 0.5


@pytest.fixture(scope="module")
def flow():
    return ChannelFlow((8, 25, 12), lengths=BOX, viscosity=0.02, dt=0.01)


@pytest.fixture(scope="module")
def waves(flow):
    """u = U + A cos(kz) f, v = (B cos(kz) + C cos(2kz)) F, w from ∇·u = 0."""
    k = math.pi
    y, z = flow.y[:, None], flow.z
    f, big = 1 - y**2, (1 - y**2) ** 2
    slope = -4 * y * (1 - y**2)
    u = (1 - y**2) + A * torch.cos(k * z) * f
    v = (B * torch.cos(k * z) + C * torch.cos(2 * k * z)) * big
    w = -(B * torch.sin(k * z) / k + C * torch.sin(2 * k * z) / (2 * k)) * slope
    fields = torch.stack((u, v, w))[:, None].expand(3, 8, 25, 12)
    return flow.from_velocity(fields.contiguous())


@pytest.fixture(scope="module")
def lively(flow):
    return flow.advance(perturbed(flow, seed=3, noise=0.2, wiggle=0.1), 10)


def test_each_term_is_that_of_the_known_field(flow, waves):
    budget = EnergyBudget(flow, block_time=1.0)
    budget.update(waves)
    # This v leaves one wall and nears the other, so that folding would hide two of the terms.
    terms = budget._terms(budget.sums.means()[0], waves.mean)
    k, y, nu = math.pi, flow.y, flow.viscosity
    f, big, slope = 1 - y**2, (1 - y**2) ** 2, -4 * y * (1 - y**2)
    curve = -4 + 12 * y**2
    energy = (A**2 * f**2 + (B**2 + C**2) * big**2 + (B**2 + C**2 / 4) * slope**2 / k**2) / 4
    # <u'²v> = A²C f²F/4, <v³> = 3B²C F³/4, and the two parts of <w²v> cancel.
    flux = A**2 * C * f**2 * big / 4 + 3 * B**2 * C * big**3 / 4
    wanted = {
        "k_plus": energy,
        "production": -(A * B * f * big / 2) * (-2 * y),
        "dissipation": -nu
        / 2
        * (
            A**2 * (k**2 * f**2 + (2 * y) ** 2)
            + B**2 * (k**2 * big**2 + 2 * slope**2 + curve**2 / k**2)
            + C**2 * (4 * k**2 * big**2 + 2 * slope**2 + curve**2 / (4 * k**2))
        ),
        "turbulent_transport": -(flow.wall.first @ flux) / 2,
        "viscous_transport": nu * (flow.wall.second @ energy),
    }
    for name, value in wanted.items():
        assert torch.allclose(terms[name], value, atol=1e-11), name
    # At a wall the viscous transport feeds the dissipation.
    found = budget.profiles()
    assert float(found["viscous_transport"][0] + found["dissipation"][0]) == pytest.approx(
        0, abs=1e-9 * float(found["viscous_transport"][0])
    )
    assert found["dissipation"].values == pytest.approx(
        wanted["dissipation"][:13].numpy() * nu / found.attrs["u_tau"] ** 4
    )


def test_transport_moves_energy_and_makes_none(flow, lively):
    budget = EnergyBudget(flow, block_time=1.0)
    budget.update(lively)
    terms = budget._terms(budget.sums.means()[0], lively.mean)
    # The second vanishes as far as the coarse points resolve the slope of k at the walls, 0.
    for name, tolerance in (("turbulent_transport", 1e-12), ("viscous_transport", 1e-3)):
        size = float(terms[name].abs() @ flow.wall.weights)
        assert abs(float(terms[name] @ flow.wall.weights)) < tolerance * size
    assert float(terms["dissipation"].max()) < 0
    total = sum(terms[n] for n in terms if n != "k_plus")
    assert float(total.abs().max()) < 1e-15


def test_blocks_give_the_mean_of_samples_about_the_mean_of_all(flow, lively):
    later = flow.advance(lively, 100)
    budget = EnergyBudget(flow, block_time=0.5)
    for state in (lively, later):
        budget.update(state)
    found = budget.profiles()
    assert found.attrs["n_blocks"] == 2
    fields = torch.stack([flow.velocity(s) for s in (lively, later)])
    fluctuation = fields - fields.mean((0, 2, 4), keepdim=True)
    energy = fluctuation.square().sum(1).mean((0, 1, 3)) / 2
    folded = ((energy + energy.flip(0)) / 2)[:13].numpy() / found.attrs["u_tau"] ** 2
    assert found["k_plus"].values == pytest.approx(folded, rel=1e-9)
    assert float(found["production_error"].max()) > 0


def test_q_of_rotation_shear_and_strain():
    rotation, shear, strain = (torch.zeros(3, 3, 1) for _ in range(3))
    rotation[0, 1], rotation[1, 0] = -2.0, 2.0  # angular velocity 2: Q = 4
    shear[0, 1] = 3.0
    strain[0, 0], strain[1, 1] = 1.5, -1.5  # Q = -1.5²
    assert float(q_of_gradient(rotation)) == 4
    assert float(q_of_gradient(shear)) == 0
    assert float(q_of_gradient(strain)) == -2.25


def test_the_mean_of_q_is_minus_half_the_curvature_of_the_variance_of_v(flow, waves):
    q = q_criterion(flow, waves)
    assert q.shape == flow.shape
    # <∂_i u_j ∂_j u_i> = ∂_i ∂_j <u_i u_j> in a flow that is homogeneous in x and z.
    variance = flow.velocity(waves)[1].square().mean((0, 2))
    wanted = -(flow.wall.second @ variance) / 2
    assert torch.allclose(q.mean((0, 2)), wanted, atol=1e-11)
    assert float(wanted.abs().max()) > 0.1


def test_a_wave_is_distributed_as_a_wave_is(flow):
    state = flow.laminar()
    state.g[:, 0, 1] = 0.5 * A * math.pi * (1 - flow.y**2)  # u = U + A sin(kz)(1 - y²)
    state.v[:, 0, 1] = B * (1 - flow.y**2) ** 2
    seen = VelocityDistributions(flow, [1.0, 0.5], block_time=1.0, bins=61)
    for _ in range(3):
        seen.update(state)
    found = seen.densities()
    share = found["density"] * found["bin_width"]
    assert share.sum("bin").values == pytest.approx(1.0)
    u, p = found["velocity"].sel(component="u"), share.sel(component="u")
    rms = A * np.array([1.0, 0.75]) / math.sqrt(2) / found.attrs["u_tau"]
    assert (u * p).sum("bin").values == pytest.approx(0, abs=0.02 * rms.max())
    assert (u**2 * p).sum("bin").values == pytest.approx(rms**2, rel=0.05)
    # On 12 points a sine is 0 twice, ±1 twice, ±1/2 and ±√3/2 four times.
    size = abs(u[0]) / (rms[0] * math.sqrt(2))
    for low, high, count in ((-1, 0.25, 2), (0.25, 0.7, 4), (0.7, 0.93, 4), (0.93, 1.1, 2)):
        assert float(p[0].where((size > low) & (size < high)).sum()) == pytest.approx(count / 12)
    assert float(found["density_error"].isnull().all())


@pytest.mark.usefixtures("unchecked")
def test_refusals(flow):
    with pytest.raises(DataError, match="block_time = 0"):
        EnergyBudget(flow, block_time=0)
    with pytest.raises(DataError, match="no samples yet"):
        EnergyBudget(flow, block_time=1).profiles()
    with pytest.raises(DataError, match=r"distances = \[30.0\].*Divide y\+ by Re_tau"):
        VelocityDistributions(flow, [30.0], block_time=1)
    with pytest.raises(DataError, match="bins = 2"):
        VelocityDistributions(flow, [0.3], block_time=1, bins=2)
    seen = VelocityDistributions(flow, [0.3], block_time=1)
    with pytest.raises(DataError, match="no samples yet"):
        seen.densities()
    with pytest.raises(DataError, match="does not vary on every plane"):
        seen.update(flow.laminar())
