"""Emulators around their networks: centring, residual, fixer, fluxes, losses, training, errors."""

import math

import numpy as np
import pytest
import torch

from pushforward.datasets.atmosphere import CarbonWindow, carbon_statistics, open_carbon
from pushforward.datasets.atmosphere import make_dataset as dataset_of
from pushforward.simulators.atmosphere import latlon_grid
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import (
    SFNO,
    CarbonEmulator,
    GraphCast,
    MassFixer,
    SpectralLoss,
    SwinTransformer,
    TransportObjective,
    UNet,
    fit_emulator,
    with_fixer,
)
from pushforward.surrogates.training import Optimisation, Stage

GRID, LEVELS = (8, 16), 3


def network(kind=UNet, seed=0):
    sizes = {
        UNet: {"width": 8, "stages": 2},
        SFNO: {"width": 6, "depth": 1},
        SwinTransformer: {"width": 8, "depth": 1, "heads": 2},
        GraphCast: {"width": 6, "depth": 1, "refinements": 1},
    }
    return kind(10 * LEVELS + 7, LEVELS, grid=GRID, seed=seed, **sizes[kind])


def window(n=2, steps=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    layers = torch.tensor([1.0, 5.0, 20.0], dtype=dtype)[:, None, None]
    return CarbonWindow(
        600 + 10 * rand(n, steps + 1, LEVELS, *GRID),
        layers * (1 + 0.1 * rand(n, steps + 1, LEVELS, *GRID)),
        rand(n, steps, 9 * LEVELS + 7, *GRID),
        rand(n, steps, *GRID) - 0.3,
    )


def mass(c, air):
    return (c.double() * air.double()).sum((-3, -2, -1))


def still(model):
    """A network that says that nothing changes."""
    torch.nn.init.zeros_(model.network.head.weight)
    return model


def test_a_network_of_zeros_leaves_only_the_flux():
    w = window()
    model = still(CarbonEmulator(network())).eval()
    found = model(w.concentration[:, 0], condition=w)
    expected = w.concentration[:, 0].clone()
    expected[:, 0] += w.surface_mass[:, 0] / w.airmass[:, 1, 0]
    torch.testing.assert_close(found, expected)
    silent = still(CarbonEmulator(network(), explicit_flux=False)).eval()
    assert torch.equal(silent(w.concentration[:, 0], condition=w), w.concentration[:, 0])


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("reference", ["stepwise", "pinned"])
@pytest.mark.parametrize("mode", ["scale", "shift", "additive"])
def test_roll_outs_close_the_budget_with_the_data_s_own_fluxes(explicit, reference, mode):
    w = window(steps=6, dtype=torch.float64)
    fixer = MassFixer(mode, reference=reference)
    model = CarbonEmulator(network(), explicit_flux=explicit, fixer=fixer).double().eval()
    with torch.no_grad():
        found = model.rollout(w.concentration[:, 0], 6, condition=w)
        free = with_fixer(model, None).rollout(w.concentration[:, 0], 6, condition=w)
        model.rollout(w.concentration[:1, 0] + 7, 2, condition=window(1, 2, dtype=torch.float64))
        again = model.rollout(w.concentration[:, 0], 6, condition=w)
    expected = mass(w.concentration[:, 0], w.airmass[:, 0])[:, None] + w.surface_mass.sum(
        (2, 3)
    ).cumsum(1)
    torch.testing.assert_close(mass(found, w.airmass[:, 1:]), expected, rtol=1e-12, atol=0)
    assert (mass(free, w.airmass[:, 1:]) / expected - 1).abs().max() > 1e-6
    assert torch.equal(again, found)


@pytest.mark.parametrize("kind", [UNet, SFNO, SwinTransformer, GraphCast])
@pytest.mark.usefixtures("unchecked")
def test_a_centred_model_does_not_see_the_level_of_co2(kind):
    """At 30 ppm more, an additive fixer gives the same field and 30 ppm; uncentred, it does not."""
    w = window(dtype=torch.float64)
    rise = 30 * 44.009 / 28.9652
    steady = w.airmass[:, :1].expand(-1, 4, -1, -1, -1)
    w = CarbonWindow(w.concentration, steady, w.inputs, w.surface_mass)
    difference = {}
    for centred in (True, False):
        net = network(kind)
        if kind is SwinTransformer:
            for norm in net.blocks[0].norms:
                torch.nn.init.ones_(norm.weight)
        model = CarbonEmulator(net, centred=centred, fixer=MassFixer("additive"))
        model.offset.fill_(605.0)
        model.scale.fill_(3.0)
        model = model.double().eval()
        with torch.no_grad():
            low = model.rollout(w.concentration[:, 0], 3, condition=w)
            high = model.rollout(w.concentration[:, 0] + rise, 3, condition=w)
        difference[centred] = (high - low - rise).abs().max().item()
    assert difference[True] < 1e-9
    assert difference[False] > 1e-4


def test_fixer_waits_for_evaluation_unless_told():
    w = window()
    for always in (False, True):
        model = CarbonEmulator(network(), fixer=MassFixer("scale"), fix_in_training=always).train()
        found = model(w.concentration[:, 0], condition=w)
        start = mass(w.concentration[:, 0], w.airmass[:, 0]) + w.surface_mass[:, 0].sum((1, 2))
        closed = (mass(found, w.airmass[:, 1]) / start - 1).abs().max() < 1e-8
        assert closed == always
    sum(p.grad is None for p in model.parameters())
    found.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_sample_that_blows_up_leaves_the_others_alone():
    w = window(3, 4)
    model = CarbonEmulator(network(), fixer=MassFixer("scale")).eval()
    model.scale.fill_(10.0)
    good = model.rollout(w.concentration[:, 0], 4, condition=w)
    w.inputs[1, 2:] = 1e30
    found = model.rollout(w.concentration[:, 0], 4, condition=w)
    assert torch.equal(found[[0, 2]], good[[0, 2]])
    assert torch.isfinite(found[1, :2]).all()
    assert torch.isnan(found[1, 2:]).all()


def test_saved_emulators_are_the_same(tmp_path):
    w = window()
    fixer = MassFixer("clip", reference="pinned", bounds=(0, None))
    for kind in (UNet, SFNO, SwinTransformer, GraphCast):
        model = CarbonEmulator(network(kind), centred=False, fixer=fixer).eval()
        model.scale.fill_(2.5)
        model.save(tmp_path / kind.__name__)
        again = CarbonEmulator.load(tmp_path / kind.__name__)
        assert again.configuration() == model.configuration()
        one, two = (m.rollout(w.concentration[:, 0], 3, condition=w) for m in (model, again))
        assert torch.equal(one, two)


def test_spectral_loss_in_closed_form():
    """Scaling a field by a scales its power by a²: the loss is (a² − 1)². One zonal wave lost of
    two degrees with equal power: one of two degrees is off by 100 %."""
    loss = SpectralLoss(GRID)
    field = torch.randn(2, 3, *GRID, generator=torch.Generator().manual_seed(0)).double()
    assert loss(1.1 * field, field).item() == pytest.approx(0.21**2)
    assert loss(field.roll(3, -1), field).item() == pytest.approx(0, abs=1e-20)
    transform = loss.transform
    a = torch.zeros(8, 8, dtype=torch.complex128)
    a[2, 1] = a[5, 1] = 1.0
    whole = transform.inverse(a)
    a[5, 1] = 0.0
    assert loss(transform.inverse(a), whole).item() == pytest.approx(0.5)


def data(times=24, seed=0):
    """CO2 that the weather (u) changes by a known share of itself, plus fluxes."""
    rng = np.random.default_rng(seed)
    cells = latlon_grid(*GRID)
    edges = np.array([1013.0, 900.0, 500.0, 10.0])[:, None, None]
    shape = (times, LEVELS, *GRID)
    area = np.broadcast_to(cells.cell_area.numpy(), (times, *GRID))
    blocks = {
        "p_bottom": np.broadcast_to(edges[:-1], shape),
        "p_top": np.broadcast_to(edges[1:], shape),
        **{k: rng.standard_normal(shape) for k in ("u", "v", "q", "t", "gph_bottom", "gph_top")},
        **{k: rng.random((times, *GRID)) for k in ("blh", "orography", "tisr")},
        "cell_area": area,
        **{f"co2flux_{k}": np.zeros((times, *GRID)) for k in ("anthro", "land", "ocean")},
    }
    thickness = 100 * (blocks["p_bottom"] - blocks["p_top"])
    blocks["airmass"] = thickness / 9.80665 * area[:, None] * 1e-12
    change = 0.5 * blocks["u"][:-1]
    start = 607 + rng.standard_normal((1, *shape[1:]))
    blocks["co2massmix"] = np.concatenate([start, start + change.cumsum(0)])
    time = np.datetime64("2018-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h")
    level = np.array([1013.0, 700.0, 200.0])
    made = dataset_of(blocks, time=time, level=level, lat=cells.lat.numpy(), lon=cells.lon.numpy())
    return open_carbon(made).load()


@pytest.mark.usefixtures("unchecked")
def test_training_learns_a_known_change_and_resumes_to_the_same_weights(tmp_path):
    split = data()
    statistics = carbon_statistics(split)
    stages = [Stage(60, 1), Stage(2, 2)]
    settings = {"optimisation": Optimisation(learning_rate=1e-2), "batch_size": 8}
    models = [CarbonEmulator(network(SFNO)) for _ in range(2)]
    reports = fit_emulator(models[0], split, statistics, stages=stages, **settings)
    assert [len(r.losses) for r in reports] == [60, 2]
    assert np.mean(reports[0].losses[-5:]) < 0.35 * np.mean(reports[0].losses[:3])
    fit_emulator(models[1], split, statistics, stages=stages, folder=tmp_path, **settings)
    third = CarbonEmulator(network(SFNO, seed=9))
    fit_emulator(third, split, statistics, stages=stages, folder=tmp_path, **settings)
    for a, b, c in zip(*(m.parameters() for m in (*models, third)), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.usefixtures("unchecked")
def test_loss_is_the_weighted_square(monkeypatch):
    split = data()
    model = CarbonEmulator(network())
    model.calibrate(carbon_statistics(split))
    objective = TransportObjective(split, unroll=2, batch_size=3, spectral=0.0)
    truth = split.windows([0, 5], 2).concentration[:, 1:]
    error = model.delta_scale.sqrt() * torch.ones_like(truth)
    found = objective.loss(model, truth + error, truth)["loss"].item()
    weight = 10 / 3 * (1 / model.delta_scale).mean().item()
    assert found == pytest.approx(weight, rel=1e-3)
    assert objective.area.mean().item() == pytest.approx(1.0)
    near_pole = torch.zeros_like(truth)
    near_pole[..., 0, :] = 1.0
    equator = torch.zeros_like(truth)
    equator[..., 4, :] = 1.0
    parts = [objective.loss(model, truth + e, truth)["loss"].item() for e in (near_pole, equator)]
    row = latlon_grid(*GRID).cell_area[:, 0]
    assert parts[0] / parts[1] == pytest.approx((row[0] / row[4]).item(), rel=1e-3)


@pytest.mark.usefixtures("unchecked")
def test_errors_name_the_value():
    w, model = window(), CarbonEmulator(network()).eval()
    c = w.concentration[:, 0]
    broken = c.clone()
    broken[1, 0, 2, 3] = math.nan
    for call, message in (
        (lambda: model.rollout(c, 4, condition=w), "steps = 4, every = 1 for a window of 3"),
        (lambda: model.rollout(c[:, :2], 1, condition=w), "concentration has shape"),
        (lambda: model.rollout(c[:1], 1, condition=w), "airmass has shape"),
        (lambda: model.rollout(broken, 1, condition=w), r"not finite, first at \(1, 0, 2, 3\)"),
        (lambda: CarbonEmulator({"kind": "gru"}), "unknown network 'gru'; known: unet, swin"),
        (lambda: CarbonEmulator(UNet(3, 3, grid=GRID, width=8)), "leaves no channel"),
        (lambda: fit_emulator(model, data(4), None, stages=[], optimisation=Optimisation()), "no"),
        (lambda: TransportObjective(data(4), unroll=1, batch_size=0), "batch_size = 0"),
        (lambda: TransportObjective(data(4), unroll=9, batch_size=1), "no window of 9 steps"),
    ):
        with pytest.raises(DataError, match=message):
            call()
