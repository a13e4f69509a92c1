"""Exact linear flows: Poiseuille, diffusion from rest, Stokes modes, Orr-Sommerfeld waves."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch

from pushforward.simulators.channel import ChannelFlow, Chebyshev, orr_sommerfeld
from pushforward.simulators.channel.wall_normal import apply
from pushforward.simulators.errors import DataError

# reference: Chebyshev N = 110 by others; the third is Orszag's of 1971.
EIGENVALUES = {
    (7500, 1.0): 0.24989154 + 0.00223498j,
    (8000, 1.0): 0.24707506 + 0.00266441j,
    (10000, 1.0): 0.23752649 + 0.00373967j,
    (5000, 1.0): 0.26813148 - 0.00175035j,
    (2000, 1.0): 0.31210030 - 0.01979866j,
    (5772.22, 1.02056): 0.26942961 + 0j,
}


@pytest.mark.parametrize("case", EIGENVALUES)
def test_orr_sommerfeld_eigenvalues(case):
    assert orr_sommerfeld(*case, n=97).omega == pytest.approx(EIGENVALUES[case], abs=1e-7)


def test_an_oblique_wave_is_a_plane_one_at_a_lower_reynolds_number():
    alpha, beta, re = 0.8, 0.6, 10000.0
    oblique = orr_sommerfeld(re, alpha, beta=beta, n=97).omega / alpha
    plane = orr_sommerfeld(re * alpha, 1.0, n=97).omega
    assert oblique == pytest.approx(plane, abs=1e-7)
    with pytest.raises(DataError, match=r"reynolds = -1"):
        orr_sommerfeld(-1, 1.0)


def test_poiseuille_flow_stays_to_rounding():
    for driving in ({"driving": "flux"}, {"driving": "gradient", "pressure_gradient": 0.02}):
        flow = ChannelFlow((8, 33, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.05, **driving)
        state = flow.laminar()
        later = flow.advance(state, 20)
        assert float((later.mean - state.mean).abs().max()) < 1e-13
        # Transforms of a constant row leave a last bit that depends on the buffers' alignment.
        assert float(later.v.abs().max()) < 1e-16
        assert float(later.pressure_gradient) == pytest.approx(0.02, rel=1e-10)


def test_the_flow_from_rest_follows_its_series():
    nu, gradient = 0.05, 1.0
    flow = ChannelFlow(
        (4, 33, 4),
        lengths=(6.0, 3.0),
        viscosity=nu,
        dt=0.02,
        driving="gradient",
        pressure_gradient=gradient,
    )
    rest = flow.laminar()._replace(mean=torch.zeros(2, 33, dtype=torch.float64))
    state = flow.advance(rest, 100)
    series = torch.zeros(33, dtype=torch.float64)
    for n in range(1, 40):
        p = (n - 0.5) * math.pi
        decay = math.exp(-nu * p**2 * state.time)
        series += (-1) ** (n + 1) * 2 / p**3 * decay * torch.cos(p * flow.y)
    exact = gradient / nu * ((1 - flow.y**2) / 2 - series)
    assert float((state.mean[0] - exact).abs().max()) < 2e-4


@pytest.mark.parametrize("parity", ["even", "odd"])
def test_stokes_modes_decay_at_their_rate(parity):
    """v even: p tan p = -k tanh k; v odd: p cot p = k coth k; rate -ν(k² + p²)."""
    k, nu = 1.0, 0.02
    if parity == "even":
        p = scipy.optimize.brentq(lambda p: p * np.tan(p) + k * np.tanh(k), 1.6, 3.1)
    else:
        p = scipy.optimize.brentq(lambda p: p / np.tan(p) - k / np.tanh(k), 3.2, 4.7)
    flow = ChannelFlow(
        (4, 33, 4),
        lengths=(2 * math.pi, 3.0),
        viscosity=nu,
        dt=0.02,
        driving="gradient",
        pressure_gradient=0.0,
    )
    y = flow.y
    if parity == "even":
        shape = torch.cos(p * y) / math.cos(p) - torch.cosh(k * y) / math.cosh(k)
    else:
        shape = torch.sin(p * y) / math.sin(p) - torch.sinh(k * y) / math.sinh(k)
    state = wave(flow, shape.to(torch.complex128), 1e-9)
    later = flow.advance(state, 40)
    ratio = later.v[:, 1, 0] @ state.v[:, 1, 0].conj() / state.v[:, 1, 0].norm() ** 2
    rate = math.log(abs(complex(ratio))) / later.time
    assert rate == pytest.approx(-nu * (k**2 + p**2), rel=2e-6)


def test_wall_normal_vorticity_decays_at_its_rate():
    nu = 0.02
    flow = ChannelFlow(
        (4, 33, 4),
        lengths=(2 * math.pi, math.pi),
        viscosity=nu,
        dt=0.02,
        driving="gradient",
        pressure_gradient=0.0,
    )
    state = flow.laminar()
    state.g[:, 1, 1] = 1e-9 * torch.sin(math.pi * (flow.y + 1))
    later = flow.advance(state, 50)
    ratio = float((later.g[:, 1, 1].real / state.g[:, 1, 1].real)[10])
    rate = -nu * (1 + 4 + math.pi**2)
    assert math.log(ratio) / later.time == pytest.approx(rate, rel=1e-5)


@pytest.mark.parametrize(("reynolds", "beta"), [(7500, 0.0), (8000, 0.5)])
def test_the_nonlinear_solver_grows_orr_sommerfeld_waves(reynolds, beta):
    """Growth rate and frequency within 1e-4 of the linear theory, plane and oblique."""
    flow = ChannelFlow(
        (4, 65, 4),
        lengths=(2 * math.pi, 2 * math.pi / (beta or 1.0)),
        viscosity=1 / reynolds,
        dt=0.05,
    )
    mode = orr_sommerfeld(reynolds, 1.0, beta=beta)
    at = Chebyshev(len(mode.y)).interpolation(flow.y).to(torch.complex128)
    column = 1 if beta else 0
    state = wave(flow, at @ mode.v, 1e-7, column)
    later = flow.advance(state, 80)
    before, after = state.v[:, 1, column], later.v[:, 1, column]
    ratio = complex((after @ before.conj()) / before.norm() ** 2)
    growth = math.log(abs(ratio)) / later.time
    turned = -np.angle(ratio) / later.time
    turn = 2 * math.pi / later.time
    turned += turn * round((mode.omega.real - turned) / turn)
    assert growth == pytest.approx(mode.omega.imag, rel=1e-4)
    assert turned == pytest.approx(mode.omega.real, rel=1e-4)
    assert flow.divergence(later) < 1e-10


def wave(flow, shape, strength, column=0):
    """Laminar flow (or rest) plus the real part of one wave in v."""
    state = flow.laminar()
    state.v[:, 1, column] = strength * shape
    if column == 0:
        state.v[:, -1, 0] = strength * shape.conj()
    return state._replace(phi=apply(flow.wall.second, state.v) - flow.plane.k2 * state.v)
