"""The mass fixer: exact budgets, what each mode keeps, gradients, long float32 runs, errors."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import MassFixer

MODES = ("scale", "shift", "additive", "clip")
SPACE = (1, 2, 3)


def fields(*batch, seed=0, space=(3, 4, 6), dtype=torch.float64):
    """Mixing ratios about 600 and air masses that differ a hundredfold from layer to layer."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    layers = torch.logspace(0, 2, space[0], dtype=torch.float64)[:, None, None]
    before = (600 + 10 * rand(*batch, *space)).to(dtype)
    predicted = (601 + 12 * rand(*batch, *space)).to(dtype)
    air = layers * (1 + rand(*batch[:1], *space))
    return predicted, before, air.to(dtype), (air * (0.9 + 0.2 * rand(*air.shape))).to(dtype)


def mass(c, air):
    return (c.double() * air.double()).sum((-3, -2, -1))


@pytest.mark.parametrize("mode", MODES)
def test_budget_closes_with_and_without_sources(mode):
    predicted, before, air, after = fields(5)
    fixed = MassFixer(mode)(predicted, before, air, after)
    torch.testing.assert_close(mass(fixed, after), mass(before, air), rtol=1e-14, atol=0)
    generator = torch.Generator().manual_seed(1)
    surface = 50 * torch.randn(5, 4, 6, generator=generator, dtype=torch.float64)
    profile = torch.randn(5, 3, 4, 6, generator=generator, dtype=torch.float64)
    for sources, total in (
        (surface, surface.sum((1, 2))),
        (profile, profile.sum(SPACE)),
        (surface.sum((1, 2)), surface.sum((1, 2))),
        (surface[0], surface[0].sum().expand(5)),
    ):
        fixed = MassFixer(mode)(predicted, before, air, after, surface_mass=sources)
        expected = mass(before, air) + total
        torch.testing.assert_close(mass(fixed, after), expected, rtol=1e-14, atol=0)


def test_closed_forms_of_two_cells():
    """Air 1 and 3, then 2 and 2; mass 1·4 + 3·8 = 28; predicted 5 and 10, so 30 in mass."""
    c, air = torch.tensor([4.0, 8.0]).double(), torch.tensor([1.0, 3.0]).double()
    predicted, after = torch.tensor([5.0, 10.0]).double(), torch.tensor([2.0, 2.0]).double()
    for mode, expected in (
        ("scale", [5 * 28 / 30, 10 * 28 / 30]),
        ("shift", [4.5, 9.5]),
        ("additive", [4.5, 9.5]),
        ("clip", [5.0, 8.0 + 1.0]),  # bounds 4 … 8 hold at most 32: 26 + 2 of 6 free in cell one
    ):
        fixed = MassFixer(mode, axes=1)(predicted, c, air, after)
        if mode == "clip":
            expected = [5 + 3 * (28 - 26) / (2 * 3), 8.0]
        torch.testing.assert_close(fixed, torch.tensor(expected).double())
    uneven = torch.tensor([1.0, 3.0]).double()
    shifted = MassFixer("shift", axes=1)(predicted, c, air, uneven)  # 35 → 28: 3.5 from each
    torch.testing.assert_close(shifted, torch.tensor([1.5, 10 - 3.5 / 3]).double())


@pytest.mark.parametrize("mode", MODES)
def test_fixing_twice_is_fixing_once(mode):
    predicted, before, air, after = fields(2)
    fixer = MassFixer(mode)
    once = fixer(predicted, before, air, after)
    torch.testing.assert_close(fixer(once, before, air, after), once, rtol=1e-13, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_samples_and_tracers_do_not_see_each_other(mode):
    predicted, before, air, after = fields(3, 2)
    assert air.shape == (3, 3, 4, 6)
    together = MassFixer(mode)(predicted, before, air, after)
    for i in range(3):
        for tracer in range(2):
            alone = MassFixer(mode)(predicted[i, tracer], before[i, tracer], air[i], after[i])
            assert torch.equal(alone, together[i, tracer])


def test_uniform_fields_stay_uniform_except_under_shift():
    _, _, air, after = fields(2)
    flat = torch.full((2, 3, 4, 6), 600.0, dtype=torch.float64)
    for mode in MODES:
        fixed = MassFixer(mode)(flat, flat, air, after)
        spread = (fixed.amax(SPACE) - fixed.amin(SPACE)).max().item()
        assert (spread < 1e-9) == (mode != "shift"), mode
        rebalanced = after * (air.sum(SPACE) / after.sum(SPACE))[:, None, None, None]
        kept = MassFixer(mode)(flat, flat, air, rebalanced)
        torch.testing.assert_close(kept, flat, rtol=1e-13, atol=0)


def test_what_the_modes_keep():
    predicted, before, air, after = fields(2)
    additive = MassFixer("additive")(predicted, before, air, after)
    torch.testing.assert_close(additive.diff(dim=-1), predicted.diff(dim=-1), rtol=0, atol=1e-9)
    scaled = MassFixer("scale")(predicted - 500, before - 500, air, after)
    ratio = scaled / (predicted - 500)
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))


def test_clipping_keeps_bounds_until_mass_forbids_it():
    predicted, before, air, after = fields(4)
    balanced = after * (air.sum(SPACE) / after.sum(SPACE))[:, None, None, None]
    fixed = MassFixer("clip")(predicted * 1.02 - 5, before, air, balanced)
    low, high = before.amin(SPACE), before.amax(SPACE)
    assert (fixed.amin(SPACE) >= low - 1e-9).all()
    assert (fixed.amax(SPACE) <= high + 1e-9).all()
    tracer = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(3)).double()
    raw = tracer - 0.3
    positive = MassFixer("clip", bounds=(0, None))(raw, tracer, air[:2], after[:2])
    assert positive.min() >= 0
    assert raw.min() < 0
    full = MassFixer("clip", bounds=(0.0, 1.0))(
        tracer, tracer, air[:2], after[:2], surface_mass=100 * after[:2]
    )
    torch.testing.assert_close(
        mass(full, after[:2]),
        mass(tracer + 0, air[:2]) + 100 * mass(torch.ones_like(tracer), after[:2]),
        rtol=1e-14,
        atol=0,
    )
    assert full.max() > 1


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode):
    predicted, before, air, after = fields(2, space=(2, 2, 3))
    surface = torch.rand(2, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    bounds = (590.0, 620.0) if mode == "clip" else None
    fixer = MassFixer(mode, bounds=bounds)

    def call(p, c, s):
        return fixer(p, c, air, after, surface_mass=s)

    inputs = [t.clone().requires_grad_() for t in (predicted, before, surface)]
    assert torch.autograd.gradcheck(call, inputs, eps=1e-4, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("mode", "steps"),
    [*((m, 300) for m in MODES), pytest.param("scale", 4384, marks=pytest.mark.slow)],
)
def test_three_years_of_float32_steps_with_pinned_mass(mode, steps):
    """A noisy model, 6 hours a step: pinned drift below 1e-9, even on a few cells."""
    generator = torch.Generator().manual_seed(0)
    _, c, air, _ = fields(1, space=(2, 4, 6), dtype=torch.float32)
    bounds = (0.0, 2000.0) if mode == "clip" else None
    fixer = MassFixer(mode, reference="pinned", bounds=bounds)
    first, added, usual = mass(c, air), 0.0, air
    for _ in range(steps):
        noise = torch.randn(c.shape, generator=generator)
        after = usual * (1 + 0.01 * torch.rand(air.shape, generator=generator))
        source = 0.5 * torch.randn(1, 4, 6, generator=generator)
        added = added + source.double().sum()
        c = fixer(600 + 0.99 * (c - 600) + noise, c, air, after, surface_mass=source)
        air = after
    assert c.dtype == torch.float32
    assert ((mass(c, air) - first - added) / (first + added)).abs().item() < 1e-9
    assert (c - 600).std() > 1


def test_rounding_of_stepwise_reference_adds_up_and_pinned_does_not():
    _, start, air, _ = fields(2, space=(2, 3, 4), dtype=torch.float32)
    drift = {}
    for reference in ("stepwise", "pinned"):
        c, fixer = start, MassFixer("scale", reference=reference)
        for _ in range(300):
            c = fixer(c * 1.01, c, air, air)
        drift[reference] = (mass(c, air) / mass(start, air) - 1).abs().max().item()
    assert drift["pinned"] < 2e-9
    assert drift["stepwise"] < 1e-7


def test_pinned_fixer_forgets_on_reset_and_refuses_another_batch():
    predicted, before, air, after = fields(2)
    fixer = MassFixer("additive", reference="pinned")
    fixer(predicted, before, air, after)
    again = fixer(predicted, before + 5, after, after)
    torch.testing.assert_close(mass(again, after), mass(before, air), rtol=1e-14, atol=0)
    with pytest.raises(DataError, match="Call reset\\(\\)"):
        fixer(predicted[:1], before[:1], air[:1], after[:1])
    fixer.reset()
    fresh = fixer(predicted, before + 5, after, after)
    torch.testing.assert_close(mass(fresh, after), mass(before + 5, after), rtol=1e-14, atol=0)


def test_one_broken_sample_leaves_the_others_alone():
    predicted, before, air, after = fields(3)
    predicted[1, 0, 0, 0] = math.nan
    for mode in MODES:
        fixed = MassFixer(mode)(predicted, before, air, after)
        assert torch.isfinite(fixed[[0, 2]]).all()
        assert torch.isnan(fixed[1]).any()
    short = [t.float() for t in (predicted, before, air, after)]
    assert torch.isfinite(MassFixer("scale")(*short)[[0, 2]]).all()


@pytest.mark.usefixtures("unchecked")
def test_errors_say_what_and_what_to_do():
    predicted, before, air, after = fields(2)
    with pytest.raises(DataError, match="mode = 'squeeze'; expected one of scale, shift"):
        MassFixer("squeeze")
    with pytest.raises(DataError, match="reference = 'first'"):
        MassFixer(reference="first")
    with pytest.raises(DataError, match="bounds belong to mode 'clip'"):
        MassFixer("scale", bounds=(0.0, 1.0))
    fixer = MassFixer()
    with pytest.raises(DataError, match="must have the same shape"):
        fixer(predicted[:1], before, air, after)
    with pytest.raises(DataError, match="does not fit a mixing ratio"):
        fixer(predicted, before, air[..., :-1], after)
    bad = after.clone()
    bad[1, 2, 0, 3] = -1
    with pytest.raises(DataError, match=r"airmass_next is -1 at index \(1, 2, 0, 3\)"):
        fixer(predicted, before, air, bad)
    with pytest.raises(DataError, match="surface_mass of shape"):
        fixer(predicted, before, air, after, surface_mass=torch.ones(7, 4, 6))
    with pytest.raises(DataError, match="Use mode 'additive'"):
        fixer(-predicted, before, air, after)
    empty = torch.zeros_like(before)
    assert torch.equal(fixer(empty, empty, air, after), empty)
