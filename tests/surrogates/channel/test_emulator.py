"""Projection, constraints, normalisation, roll-outs, objectives, saving."""

import pytest
import torch

from pushforward.simulators.channel import Chebyshev, stretched_points
from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel import (
    FNO,
    IFNO,
    ChannelConstraints,
    ChannelEmulator,
    ChannelGrid,
    DivergenceFree,
    IFactFormer,
    StepObjective,
    convect,
    divergence,
    fit_emulator,
    reflect_y,
    reflect_z,
)
from pushforward.surrogates.training import Optimisation, Stage

LENGTHS = (6.0, 2.0)
GRIDS = {
    "chebyshev": ChannelGrid.chebyshev((8, 9, 6), LENGTHS),
    "stretched": ChannelGrid((8, 9, 6), LENGTHS, tuple((stretched_points(9) - 1).tolist())),
}
GRID = GRIDS["stretched"]


def fields(*shape, grid=GRID, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, *grid.shape, generator=generator, dtype=dtype)


def inner_product(grid, a, b):
    return grid.mean(a * b).sum(-1)


@pytest.mark.parametrize("name", GRIDS)
def test_projection_is_orthogonal_idempotent_and_exact(name):
    grid = GRIDS[name]
    project = DivergenceFree(grid)
    a, b = fields(2, grid=grid)
    once, other = project(a), project(b)
    assert divergence(once, grid).abs().max() < 1e-11
    assert once[:, :, [0, -1]].abs().max() < 1e-12
    torch.testing.assert_close(project(once), once, atol=1e-11, rtol=0)
    torch.testing.assert_close(
        inner_product(grid, once, b), inner_product(grid, a, other), atol=1e-11, rtol=0
    )
    torch.testing.assert_close(project(a.roll(3, 1)), once.roll(3, 1))
    torch.testing.assert_close(project(reflect_y(a)), reflect_y(once), atol=1e-9, rtol=0)
    torch.testing.assert_close(project(reflect_z(a)), reflect_z(once), atol=1e-9, rtol=0)
    assert project(a.float()).dtype == torch.float32


def test_projection_keeps_what_is_admissible():
    """u = dψ/dy, v = -dψ/dx with a polynomial ψ of a double zero at each wall, and W(y)."""
    grid = GRIDS["chebyshev"]
    x = 2 * torch.pi * torch.arange(8, dtype=torch.float64)[:, None, None] / 8
    y = torch.tensor(grid.y, dtype=torch.float64)[:, None]
    k = 2 * torch.pi / LENGTHS[0]
    one = torch.ones(8, 9, 6, dtype=torch.float64)
    u = -4 * y * (1 - y**2) * torch.sin(x) * one
    v = -k * (1 - y**2) ** 2 * torch.cos(x) * one
    w = (1 - y**2) * one
    flow = torch.stack((u, v, w))
    torch.testing.assert_close(DivergenceFree(grid)(flow), flow, atol=1e-12, rtol=0)
    assert divergence(flow, grid).abs().max() < 1e-12


def test_grid_derivative_and_weights():
    for grid, degree in ((GRIDS["chebyshev"], 8), (GRIDS["stretched"], 3)):
        y = torch.tensor(grid.y, dtype=torch.float64)
        torch.testing.assert_close(grid.derivative @ y**degree, degree * y ** (degree - 1))
        exact = 2 / (degree + 1) if degree % 2 == 0 else 0.0
        assert abs(grid.weights @ y**degree - exact) < 1e-12
    assert torch.equal(GRIDS["chebyshev"].derivative, Chebyshev(9).first)
    assert ChannelGrid.of(GRID.plain()) == GRID


@pytest.mark.parametrize("switches", [(1, 1, 1), (1, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_each_constraint_does_what_it_says(switches):
    no_slip, divergence_free, mass_flux = map(bool, switches)
    fix = ChannelConstraints(
        GRID, no_slip=no_slip, divergence_free=divergence_free, mass_flux=mass_flux
    )
    before, after = fields(2, 1)
    found = fix(after, before)
    assert (found[..., [0, -1], :].abs().max() < 1e-12) == (no_slip or divergence_free)
    assert (divergence(found, GRID).abs().max() < 1e-10) == divergence_free
    gap = GRID.mean(found[:, 0]) - GRID.mean(before[:, 0])
    assert (gap.abs().max() < 1e-12) == mass_flux
    torch.testing.assert_close(fix(found, before), found, atol=1e-10, rtol=0)


def emulator(kind=IFNO, **options):
    sizes = {
        IFNO: {"width": 4, "modes": (3, 4, 2), "layers": 2, "hidden": 8},
        FNO: {"width": 4, "modes": (3, 4, 2), "layers": 2, "hidden": 8},
        IFactFormer: {"dim": 12, "heads": 2, "dim_head": 4, "iterations": 2},
    }
    return ChannelEmulator(kind(GRID, **sizes[kind]), **options)


def still(model):
    """A network that says nothing."""
    torch.nn.init.zeros_(model.network.head[-1].weight)
    torch.nn.init.zeros_(model.network.head[-1].bias)
    return model


def lively(runs=2, time=5):
    """Noise on a mean profile, free of divergence."""
    parabola = torch.zeros(3, *GRID.shape, dtype=torch.float64)
    y = torch.tensor(GRID.y, dtype=torch.float64)
    parabola[0] = (1 - y**2)[:, None]
    return (parabola + 0.1 * DivergenceFree(GRID)(fields(runs, time))).float()


def test_calibration_takes_profile_and_scales():
    model, flows = emulator(target="increment"), lively(40, 3)
    model.calibrate(flows)
    y = torch.tensor(GRID.y)
    torch.testing.assert_close(model.mean[0, 0, :, 0], 1 - y**2, atol=5e-3, rtol=0)
    assert model.mean[1:].abs().max() == 0
    deviation = flows - model.mean
    expected = GRID.mean(deviation.double().square()).mean((0, 1)).sqrt()
    torch.testing.assert_close(model.scale.flatten().double(), expected, rtol=1e-5, atol=0)
    # Frames are independent here: a change has twice the variance of a fluctuation.
    ratio = (model.change_scale / model.scale).flatten()
    torch.testing.assert_close(ratio, torch.full((3,), 2**0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(model.energy, model.kinetic_energy(flows).mean())


@torch.no_grad()
def test_a_silent_network_is_persistence_or_the_mean_profile():
    flows = lively()
    for target in ("convected", "increment", "field"):
        model = still(emulator(target=target))
        model.calibrate(flows)
        expected = {
            "convected": convect(flows[:, 0], model.displacement, GRID),
            "increment": flows[:, 0],
            "field": model.mean.expand_as(flows[:, 0]),
        }[target]
        torch.testing.assert_close(model(flows[:, 0]), expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_convection_is_found_and_taken_out():
    """Structures that drift by 0.3 + 0.5 (1 - y²) a step: a silent network forecasts them."""
    y = torch.tensor(GRID.y, dtype=torch.float64)
    drift = 0.3 + 0.5 * (1 - y**2)
    first = fields(2)
    first = convect(first, torch.zeros(9), GRID) - first.mean((-3, -1), keepdim=True)
    modes = torch.fft.rfft(first, dim=-3)
    modes[..., -1, :, :] = 0  # the Nyquist mode cannot be shifted
    first = torch.fft.irfft(modes, n=8, dim=-3)
    flows = torch.stack([convect(first, t * drift, GRID) for t in range(5)], 1)
    model = still(emulator())
    model.calibrate(flows.float())
    cell = LENGTHS[0] / 4096
    assert (model.displacement - drift)[1:-1].abs().max() < cell
    model.displacement.copy_(drift)
    found = model(flows[:, 1].double())
    torch.testing.assert_close(found, flows[:, 2], atol=1e-10, rtol=0)


@torch.no_grad()
def test_roll_outs_keep_the_constraints_over_many_steps():
    model, flows = emulator(constraints={}), lively()
    model.calibrate(flows)
    model.change_scale.mul_(0.01)  # an untrained network leaves the range at once otherwise
    start = model.constraints(flows[:, 0].double(), flows[:, 0].double())
    found = model.rollout(start, 50, every=25)
    assert found.velocity.shape[1] == 2
    assert found.bounded_steps.tolist() == [50, 50]
    assert (found.velocity[:, -1] - start).abs().max() > 1e-3
    assert divergence(found.velocity[:, -1], GRID).abs().max() < 1e-10
    flux = [GRID.mean(u[:, 0]) for u in (found.velocity[:, -1], start)]
    torch.testing.assert_close(*flux, atol=1e-12, rtol=0)


@torch.no_grad()
def test_a_push_along_z_cancels_over_a_cycle_of_reflections():
    model, flows = still(emulator(target="increment")), lively()
    model.calibrate(flows)
    model.network.head[-1].bias[1:] = torch.tensor([0.2, 0.1])
    start = flows[:, 0].double()
    free = model.rollout(start, 8, reflections=False).velocity[:, -1]
    assert ((free - start)[:, 2] / model.change_scale[2]).mean() == pytest.approx(0.8, rel=1e-5)
    cycled = model.rollout(start, 8).velocity[:, -1]
    torch.testing.assert_close(cycled, start, atol=1e-6, rtol=0)
    first = model.rollout(start, 1).velocity[:, 0]
    torch.testing.assert_close(first, model(start))


@torch.no_grad()
def test_a_flow_that_leaves_the_range_is_reported_and_leaves_the_others_alone():
    model, flows = still(emulator(target="increment")), lively()
    model.calibrate(flows)
    model.network.head[-1].bias[0] = 0.05
    model.change_scale[0] = 1.0
    start = flows[:, 0].clone()
    start[1] = -start[1]  # runs down before it runs up
    found = model.rollout(start, 40, reflections=False)
    energy = [model.kinetic_energy(start + 0.05 * (t + 1) * torch.tensor([1.0, 0, 0])[:, None, None, None]) for t in range(40)]  # fmt: skip  # noqa: E501
    expected = [
        next(t for t in range(40) if not 0.5 < energy[t][i] / model.energy < 2) for i in range(2)
    ]
    assert found.bounded_steps.tolist() == expected
    assert expected[0] != expected[1]
    for i, steps in enumerate(expected):
        assert torch.isfinite(found.velocity[i, :steps]).all()
        assert torch.isnan(found.velocity[i, steps:]).all()


def test_batches_hold_symmetric_copies_of_the_data():
    flows = lively(1, 3)
    objective = StepObjective(flows, GRID, batch_size=32)
    windows = objective.draw(torch.Generator().manual_seed(0))
    copies = []
    for run in (flows[0, :2], flows[0, 1:]):
        for a in (run, reflect_y(run)):
            for b in (a, reflect_z(a)):
                copies += [b.roll((i, j), (2, 4)) for i in range(8) for j in range(6)]
    distance = (windows[:, None] - torch.stack(copies)).abs().amax((2, 3, 4, 5, 6))
    assert distance.amin(1).max() < 1e-6
    assert len(set(distance.argmin(1).tolist())) > 20


@pytest.mark.usefixtures("unchecked")
def test_loss_counts_persistence_as_one_and_push_forward_steps_alone():
    flows = lively(3, 40)
    model = still(emulator(target="increment"))
    model.calibrate(flows)
    objective = StepObjective(flows, GRID, batch_size=64)
    loss = objective(model, torch.Generator().manual_seed(0))["loss"].item()
    assert abs(loss - 1) < 0.05
    far = StepObjective(flows, GRID, unroll=3, batch_size=2)
    windows = far.draw(torch.Generator().manual_seed(1))
    fresh = emulator(FNO)
    fresh.calibrate(flows)
    with torch.no_grad():
        last = fresh(fresh(windows[:, 0]))
    alone = (GRID.mean(((fresh(last) - windows[:, 1]) / fresh.change_scale).square())).mean()
    found = far(fresh, torch.Generator().manual_seed(1))["loss"]
    torch.testing.assert_close(found, alone)
    weight = fresh.network.maps[0].weight
    gradients = [torch.autograd.grad(v, weight)[0] for v in (found, alone)]
    torch.testing.assert_close(*gradients)


@pytest.mark.usefixtures("unchecked")
def test_noise_is_admissible_and_of_the_asked_size():
    flows = lively(2, 3)
    model = emulator(constraints={})
    model.calibrate(flows)
    seen = []
    model.forward = lambda state: seen.append(state) or state
    StepObjective(flows, GRID, batch_size=16, noise=0.5)(model, torch.Generator().manual_seed(0))
    clean = StepObjective(flows, GRID, batch_size=16).draw(torch.Generator().manual_seed(0))[:, 0]
    kick = seen[0] - clean
    assert divergence(kick, GRID).abs().max() < 1e-4
    size = (kick / model.scale).square().mean().sqrt()
    assert 0.2 < size < 0.5  # the projection takes a part of white noise away


@pytest.mark.parametrize("kind", [IFactFormer, FNO, IFNO])
@pytest.mark.usefixtures("unchecked")
def test_training_learns_and_saved_models_come_back(kind, tmp_path):
    """A flow that only drifts along x: a shift by one cell a step, which all can learn a bit of."""
    first = lively(1, 1)[0, 0]
    flows = torch.stack([first.roll(t, 1) for t in range(12)])[None]
    model = emulator(kind, target="increment", constraints={"divergence_free": False})
    reports = fit_emulator(
        model, flows, stages=[Stage(30, 1), Stage(5, 2)], batch_size=4,
        optimisation=Optimisation(learning_rate=1e-2),
    )  # fmt: skip
    assert sum(reports[0].losses[-5:]) < 0.9 * sum(reports[0].losses[:5])
    model.save(tmp_path)
    again = ChannelEmulator.load(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(flows[:, 0]), model(flows[:, 0]))
    assert again.configuration() == model.configuration()


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused():
    model, flows = emulator(), lively()
    with pytest.raises(DataError, match="knows no training data yet"):
        model.rollout(flows[:, 0], 1)
    model.calibrate(flows)
    broken = flows[:, 0].clone()
    broken[1, 2, 3, 4, 5] = torch.nan
    for action, message in (
        (lambda: emulator(target="delta"), "target = 'delta'"),
        (lambda: ChannelEmulator({"kind": "unet"}), "unknown network 'unet'; known: ifactformer"),
        (lambda: model.rollout(flows[:, 0], 0), "steps = 0"),
        (lambda: model.rollout(broken, 1), r"first at \(1, 2, 3, 4, 5\)"),
        (lambda: model.rollout(flows[:, 0, ..., :4], 1), "IFNO made for"),
        (lambda: StepObjective(flows, GRID, unroll=5), "shorter than a window of 5"),
        (lambda: StepObjective(flows, GRID, noise=-1.0), "noise = -1.0"),
        (lambda: StepObjective(broken[None], GRID), "non-finite"),
        (lambda: fit_emulator(model, flows, stages=[], optimisation=Optimisation()), "no stages"),
    ):
        with pytest.raises(DataError, match=message):
            action()
