"""Learned models of coarse turbulence: plain scheme, invariants, symmetries, sizes, errors."""

import dataclasses
import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    divergence,
    project,
    solve_diffusion,
)
from pushforward.surrogates.turbulence import (
    CoarseFlow,
    LearnedCorrection,
    LearnedInterpolation,
    TemporalStencil,
)
from pushforward.surrogates.turbulence.objective import half_turn, mirror_x

FLOW = CoarseFlow((16, 16), dt=0.02)
SMALL = {"hidden": 6, "layers": 2}


def velocity(*batch, flow=FLOW, seed=0):
    """A smooth velocity free of divergence."""
    solver = FiniteVolumeSolver(flow.shape, domain=flow.domain, viscosity=0.1, dt=flow.dt)
    return solver.initial(seed=seed, max_velocity=2.0, batch=batch)


def awakened(model, seed=1, gain=0.3):
    """Give the last layer, zero at first, some weights."""
    last = model.network.convolutions[-1]
    with torch.no_grad():
        last.weight.normal_(0, gain, generator=torch.Generator().manual_seed(seed))
        last.bias.normal_(0, gain, generator=torch.Generator().manual_seed(seed + 1))
    return model


def every_model(flow=FLOW):
    return [
        awakened(LearnedInterpolation(flow, **SMALL)),
        awakened(LearnedInterpolation(flow, bundle=2, order=2, head=3, **SMALL)),
        awakened(LearnedCorrection(flow, **SMALL)),
        *(
            awakened(TemporalStencil(flow, frames=4, memory=m, features=3, bundle=2, **SMALL))
            for m in ("raw", "lagt", "legt", "legs")
        ),
    ]


def test_published_sizes():
    assert LearnedInterpolation.paper().n_parameters == 255_096
    assert LearnedInterpolation.paper(hidden=256).n_parameters == 3_231_864
    model = TemporalStencil.paper()
    assert model.n_parameters == 5_236_704
    assert (model.frames, model.bundle, model.memory.channels) == (32, 4, 512)


@pytest.mark.parametrize(
    "model",
    [
        LearnedInterpolation(FLOW, **SMALL),
        TemporalStencil(FLOW, frames=3, features=2, bundle=3, **SMALL),
        LearnedCorrection(FLOW, **SMALL),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_zero_network_is_the_central_scheme_with_limiter(model):
    """Compared with the solver's own pieces; its Lax-Wendroff value tends to the central one as
    its dt → 0, so the advection is taken from a solver of tiny dt."""
    history = velocity(2, 3)
    solver = FiniteVolumeSolver(
        FLOW.shape,
        domain=FLOW.domain,
        viscosity=FLOW.viscosity,
        drag=FLOW.drag,
        forcing=KolmogorovForcing(FLOW.amplitude, FLOW.wavenumber),
        dt=1e-9,
        diffusion="implicit",
    )
    expected, state = [], history[:, -1]
    for _ in range(5):
        state = project(state + FLOW.dt * solver.tendency(state), solver.spacing)
        state = solve_diffusion(state, solver.spacing, FLOW.viscosity * FLOW.dt)
        expected.append(state)
    found = model.rollout(history, 5)
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=1e-4, atol=2e-5)
    assert (found[:, -1] - history[:, -1]).abs().max() > 0.05


@pytest.mark.parametrize("model", every_model(), ids=lambda m: f"{type(m).__name__}")
def test_every_step_is_free_of_divergence_and_equivariant_to_shifts(model):
    history = velocity(2, 4)
    with torch.no_grad():
        found = model.rollout(history, 5)
        shifted = model.rollout(history.roll((3, 8), (-2, -1)), 5)  # 8 cells: two waves of 4
    plain = LearnedInterpolation(FLOW, **SMALL).rollout(history, 5)
    assert (found - plain).abs().max() > 1e-3
    assert divergence(found, (FLOW.spacing,) * 2).abs().max() < 5e-5
    torch.testing.assert_close(shifted, found.roll((3, 8), (-2, -1)), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("model", every_model()[:2] + every_model()[3:5], ids=lambda m: m.bundle)
def test_interpolating_models_keep_momentum(model):
    """Without drag the mean velocity changes by dt times the mean force, which is zero."""
    flow = dataclasses.replace(FLOW, drag=0.0)
    history = velocity(2, 4) + torch.tensor([0.3, -0.2])[:, None, None]
    with torch.no_grad():
        found = model.rollout(history, 6, condition=flow)
    drift = found.mean((-2, -1)) - history[:, -1:].mean((-2, -1))
    assert drift.abs().max() < 1e-6


def test_what_the_network_does_not_share():
    """Mirror and half turn are symmetries of the plain scheme, not of an arbitrary network: that
    is why training draws mirrored windows."""
    history = velocity(2, 1, seed=3)
    for move in (half_turn, lambda v: mirror_x(v).roll(2, -1)):
        plain = LearnedInterpolation(FLOW, **SMALL)
        torch.testing.assert_close(
            plain.rollout(move(history), 3), move(plain.rollout(history, 3)), rtol=1e-4, atol=2e-5
        )
        learned = awakened(LearnedInterpolation(FLOW, **SMALL))
        with torch.no_grad():
            change = learned.rollout(move(history), 3) - move(learned.rollout(history, 3))
        assert change.abs().max() > 1e-3


def test_step_operators_agree_with_the_solvers(unchecked):
    for dtype, tolerance in ((torch.float32, 2e-6), (torch.float64, 1e-13)):
        flow = CoarseFlow((15, 12), domain=(15.0, 12.0), viscosity=0.3, dt=0.5, amplitude=0.0)
        v = torch.randn(3, 2, 15, 12, generator=torch.Generator().manual_seed(0)).to(dtype)
        spacing = flow.grid.spacing
        expected = solve_diffusion(project(v, spacing), spacing, flow.viscosity * flow.dt)
        torch.testing.assert_close(flow.relax(v), expected, rtol=0, atol=tolerance)


def test_network_is_called_at_once_and_after_every_bundle(monkeypatch):
    model = TemporalStencil(FLOW, frames=2, features=2, bundle=4, **SMALL)
    calls = []
    trunk = type(model.network).trunk
    monkeypatch.setattr(
        type(model.network), "trunk", lambda self, x: calls.append(1) or trunk(self, x)
    )
    model.rollout(velocity(1, 2), 4)
    assert len(calls) == 1
    model.rollout(velocity(1, 2), 9)
    assert len(calls) == 1 + 3


def test_bundles_go_on_where_single_calls_do():
    """Raw frames: a roll-out of two bundles equals two forward passes chained by hand."""
    model = awakened(TemporalStencil(FLOW, frames=3, memory="raw", bundle=2, **SMALL))
    history = velocity(2, 3)
    first = model(history)
    second = model(torch.cat([history, first], 1))
    torch.testing.assert_close(model.rollout(history, 4), torch.cat([first, second], 1))
    kept = model.rollout(history, 4, every=2)
    torch.testing.assert_close(kept, torch.stack([first[:, 1], second[:, 1]], 1))


def test_other_flows_are_conditions(tmp_path):
    """A larger domain and another viscosity, same spacing and step."""
    model = every_model()[0]
    wide = CoarseFlow(
        (32, 16), domain=(4 * math.pi, 2 * math.pi), viscosity=5e-4, drag=0.0, amplitude=0.0,
        dt=FLOW.dt,
    )  # fmt: skip
    narrow = dataclasses.replace(wide, shape=(16, 16), domain=FLOW.domain)
    v = velocity(1)
    with torch.no_grad():
        twice = model(torch.cat([v, v], -2), condition=wide)
        once = model(v, condition=narrow)
    torch.testing.assert_close(twice[..., :16, :], once, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", every_model(), ids=lambda m: type(m).__name__)
def test_saved_models_come_back(model, tmp_path):
    history = velocity(1, 4)
    model.calibrate(velocity(3, 4, seed=5))
    model.save(tmp_path)
    again = type(model).load(tmp_path)
    assert torch.equal(again.rollout(history, 3), model.rollout(history, 3))


def test_calibration_gives_every_feature_unit_size():
    model = TemporalStencil(FLOW, frames=4, features=4, **SMALL)
    history = velocity(3, 4)
    model.calibrate(history)
    features = model.memory.features(model.memory.begin(history)) * model.scale
    torch.testing.assert_close(features.square().mean((0, 2, 3)), torch.ones(8))


def test_wrong_input_is_refused(unchecked):
    model = TemporalStencil(FLOW, frames=3, **SMALL)
    with pytest.raises(DataError, match="2 frames given; TemporalStencil needs 3"):
        model(velocity(2))
    with pytest.raises(DataError, match=r"expected \(..., time, 2, 16, 16\)"):
        model(torch.zeros(3, 2, 32, 32))
    bad = velocity(3)
    bad[1, 0, 2, 5] = math.nan
    with pytest.raises(DataError, match=r"not finite, first at index \(1, 0, 2, 5\)"):
        model(bad)
    with pytest.raises(DataError, match="made for spacing 0.392699"):
        model(torch.zeros(3, 2, 32, 32), condition=CoarseFlow((32, 32), dt=0.02))
    with pytest.raises(DataError, match="viscosity = -1.0"):
        CoarseFlow(viscosity=-1.0)
    with pytest.raises(DataError, match="are not square"):
        CoarseFlow((32, 16))
    with pytest.raises(DataError, match="dt = 0 positive"):
        CoarseFlow(dt=0)
    with pytest.raises(DataError, match="bundle = 0"):
        TemporalStencil(FLOW, bundle=0)
    with pytest.raises(DataError, match="head = 2"):
        LearnedInterpolation(FLOW, head=2)
    with pytest.raises(DataError, match="steps = 0"):
        model.rollout(velocity(3), 0)


def test_a_blown_up_flow_leaves_the_others_alone():
    model = LearnedInterpolation(FLOW, **SMALL)
    history = velocity(2, 1)
    wild = torch.cat([history[:1], 1e30 * history[1:]])
    found = model.rollout(wild, 6)
    assert not torch.isfinite(found[1]).all()
    assert torch.equal(found[0], model.rollout(history[:1], 6)[0])
