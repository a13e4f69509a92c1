"""Sub-grid models: closed forms, wall behaviour, and a running large-eddy simulation."""

import math

import pytest
import torch

from pushforward.simulators.channel import (
    WALE,
    ChannelFlow,
    DynamicSmagorinsky,
    VanDriestSmagorinsky,
    perturbed,
)
from pushforward.simulators.channel.closures import (
    filter_width,
    magnitude,
    strain,
    trapezoid,
)
from pushforward.simulators.errors import DataError

FLOW = ChannelFlow((16, 25, 16), lengths=(math.pi, 1.0), viscosity=1 / 2000, dt=0.02)


def constant(matrix):
    """A velocity gradient that is the same everywhere."""
    shape = (3, 3, FLOW.shape[1], 4, 4)
    return torch.tensor(matrix, dtype=torch.float64)[..., None, None, None].expand(shape)


def test_strain_and_its_magnitude():
    shear = constant([[0, 2.0, 0], [0, 0, 0], [0, 0, 0]])
    assert magnitude(strain(shear))[0, 0, 0].item() == pytest.approx(2.0)


def test_wale_vanishes_in_shear_and_not_in_rotation_or_strain():
    velocity = torch.zeros(3, FLOW.shape[1], 4, 4, dtype=torch.float64)
    wale = WALE(0.5)
    assert float(wale(velocity, constant([[0, 3.0, 0], [0, 0, 0], [0, 0, 0]]), FLOW).max()) < 1e-12
    turning = wale(velocity, constant([[0, 1.0, 0], [-1.0, 0, 0], [0, 0, 0]]), FLOW)
    # Sd = diag(-1, -1, 2)/3: Sd:Sd = 2/3, S = 0, so ν_t = (C Δ)² (2/3)^{1/4}.
    exact = 0.25 * filter_width(FLOW).square() * (2 / 3) ** 0.25
    assert torch.allclose(turning, exact.expand_as(turning), rtol=1e-12)


def test_wale_falls_like_the_cube_of_the_wall_distance():
    flow = ChannelFlow((16, 65, 16), lengths=(math.pi, 1.0), viscosity=1 / 2000, dt=0.02)
    state = perturbed(flow, seed=1, noise=0.05)
    velocity, gradient = flow.gradient(state)
    eddy = WALE()(velocity, gradient, flow).mean((-1, -2)) / filter_width(flow)[:, 0, 0].square()
    d = 1 + flow.y
    slope = torch.log(eddy[4] / eddy[2]) / torch.log(d[4] / d[2])
    assert 2.5 < float(slope) < 3.5


def test_van_driest_damps_towards_the_wall():
    state = perturbed(FLOW, seed=1, noise=0.05)
    velocity, gradient = FLOW.gradient(state)
    eddy = VanDriestSmagorinsky(0.1)(velocity, gradient, FLOW)
    plain = (0.1 * filter_width(FLOW)).square() * magnitude(strain(gradient))
    wall = (1 - FLOW.y.abs()) * float(FLOW.friction_velocity(state)) / FLOW.viscosity
    exact = (1 - torch.exp(-wall / 26)).square()
    assert torch.allclose((eddy / plain).mean((-1, -2)), exact, rtol=1e-6, atol=1e-15)
    assert float(exact[12]) > 0.5


def test_the_dynamic_coefficient_does_not_depend_on_units():
    state = perturbed(FLOW, seed=2, noise=0.1)
    velocity, gradient = FLOW.gradient(state)
    model = DynamicSmagorinsky()
    one = model.coefficient(velocity, gradient, FLOW)
    ten = model.coefficient(10 * velocity, 10 * gradient, FLOW)
    assert torch.allclose(one, ten, rtol=1e-9)
    assert bool((one >= 0).all())
    assert float(one.max()) > 1e-4


def test_the_dynamic_coefficient_comes_from_the_resolved_stress():
    """Without resolved stress C = 0; where L = -2 c M holds by construction, c comes back."""
    g = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 3, FLOW.shape[1], 16, 16, generator=g, dtype=torch.float64)
    gradient[2, 2] = -gradient[0, 0] - gradient[1, 1]
    zero = torch.zeros(3, FLOW.shape[1], 16, 16, dtype=torch.float64)
    model = DynamicSmagorinsky()
    assert float(model.coefficient(zero, gradient, FLOW).max()) == 0
    # One velocity component, u = a cos(mz): L_11 = (u²)^ - û² is positive, so is C where M_11 < 0.
    wave = zero.clone()
    wave[0] = torch.cos(2 * math.pi * torch.arange(16) / 4)
    leonard = trapezoid(wave[0] ** 2) - trapezoid(wave[0]) ** 2
    assert float(leonard.mean()) == pytest.approx(0.5 - 0.5 * 0.25)


@pytest.mark.parametrize("closure", [WALE(), DynamicSmagorinsky(), VanDriestSmagorinsky()])
def test_a_model_drains_energy_and_keeps_the_constraints(closure):
    start = perturbed(FLOW, seed=3, noise=0.1)
    with_model = ChannelFlow(
        (16, 25, 16), lengths=(math.pi, 1.0), viscosity=1 / 2000, dt=0.02, closure=closure
    )

    def fluctuation(state):
        velocity = FLOW.velocity(state)
        return float((velocity - velocity.mean((1, 3), keepdim=True)).square().mean())

    plain, drained = FLOW.advance(start, 20), with_model.advance(start, 20)
    assert fluctuation(drained) < fluctuation(plain)
    assert with_model.divergence(drained) < 1e-10
    assert float(with_model.bulk(drained)) == pytest.approx(2 / 3, abs=1e-13)


def test_refusals():
    with pytest.raises(DataError, match="constant = -1"):
        WALE(-1)
    with pytest.raises(DataError, match="constant = -1"):
        VanDriestSmagorinsky(-1)
    with pytest.raises(DataError, match="ratio = 1"):
        DynamicSmagorinsky(1)
