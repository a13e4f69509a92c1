"""The transport conserves, keeps uniform fields and bounds, has its symmetries and a gradient."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from pushforward.simulators.atmosphere import (
    SCHEMES,
    MassFluxes,
    SweptAreas,
    TracerTransport,
    close_columns,
    deformational_flow,
    from_stream_function,
    latlon_grid,
    solid_body_rotation,
)
from pushforward.simulators.errors import DataError

GRID = latlon_grid(8, 16)
LAYERS = 3
AIR = GRID.cell_area * torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)[:, None, None]


def random_winds(time, dt):
    """Mass-consistent 3-D fluxes, random from step to step and undone every other step."""
    return random_pair(int(time) // 2 % 50)[int(time) % 2]


@cache
def random_pair(number):
    """Fluxes and their opposites; in one row the air goes round by more than a cell a step."""
    generator = torch.Generator().manual_seed(number)

    def random(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5

    east = 0.1 * random(LAYERS, 8, 16) * AIR
    east[:, 1] = AIR[:, 1] * (2.6 + 0.1 * random(LAYERS, 16))
    north = 0.1 * random(LAYERS, 9, 16) * AIR.amin(-2, keepdim=True)
    north[:, [0, -1]] = 0
    share = torch.full((LAYERS,), 1 / LAYERS, dtype=torch.float64)
    fluxes = close_columns(east, north, share)
    return fluxes, fluxes.scaled(-1)


def random_state(solver, tracers=1, batch=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (*batch, tracers, LAYERS, 8, 16)
    q = torch.rand(shape, generator=generator, dtype=torch.float64)
    return solver.initial(q, air_mass=AIR.expand(*batch, LAYERS, 8, 16))


def eager(solver, state, n_steps, winds):
    for _ in range(n_steps):
        tracked = replace(state, tracer_mass=state.tracer_mass.clone().requires_grad_())
        after = solver.step(tracked, winds(state.time, solver.dt))
        state = replace(
            after,
            tracer_mass=after.tracer_mass.detach(),
            moments=after.moments.detach(),
        )
    return state


@pytest.mark.parametrize(
    ("scheme", "hundreds"),
    [
        *((name, 10) for name, scheme in SCHEMES.items() if not scheme.sheared),
        ("moments_sheared", 2),
        pytest.param("moments_sheared", 10, marks=pytest.mark.slow),
    ],
)
def test_uniform_stays_uniform_mass_is_kept_and_limited_schemes_stay_in_bounds(scheme, hundreds):
    solver = TracerTransport(GRID, scheme=scheme, dt=1)
    state = random_state(solver, tracers=2)
    constant = torch.full((1, LAYERS, 8, 16), 0.42, dtype=torch.float64)
    uniform = solver.initial(constant, air_mass=AIR)
    state = replace(
        state,
        tracer_mass=torch.cat((state.tracer_mass, uniform.tracer_mass)),
        moments=torch.cat((state.moments, uniform.moments)),
    )
    q = state.mixing_ratio
    drift, spread, out_of_bounds = 0.0, 0.0, 0.0
    total = state.tracer_mass.sum((-3, -2, -1))
    for _ in range(hundreds):
        state = solver.advance(state, 100, random_winds)
        drift = max(drift, float((state.tracer_mass.sum((-3, -2, -1)) / total - 1).abs().max()))
        now = state.mixing_ratio
        spread = max(spread, float((now[2] - 0.42).abs().max()))
        above, below = (
            now.amax((1, 2, 3)) - q.amax((1, 2, 3)),
            q.amin((1, 2, 3)) - now.amin((1, 2, 3)),
        )
        if SCHEMES[scheme].limiter == "monotone":
            out_of_bounds = max(out_of_bounds, float(above.max()), float(below.max()))
        elif SCHEMES[scheme].limiter == "positive":
            out_of_bounds = max(out_of_bounds, -float(now.min()))
    assert drift < 1e-13
    assert spread < 1e-12
    assert out_of_bounds < 1e-12
    assert float((now[0] - q[0]).abs().max()) > 0.01  # the tracer did move


@pytest.mark.parametrize("scheme", SCHEMES)
def test_kernels_equal_the_differentiable_steps(scheme):
    solver = TracerTransport(GRID, scheme=scheme, dt=1)
    state = random_state(solver, tracers=2, batch=(2,))
    fast, slow = solver.advance(state, 3, random_winds), eager(solver, state, 3, random_winds)
    for name in ("air_mass", "tracer_mass", "moments"):
        difference = getattr(fast, name) - getattr(slow, name)
        assert difference.numel() == 0 or float(difference.abs().max()) < 1e-12 * float(AIR.max())


@pytest.mark.parametrize("scheme", ["upwind", "ppm", "slopes", "moments", "moments_sheared"])
def test_unlimited_schemes_are_linear_and_have_an_exact_adjoint(scheme):
    solver = TracerTransport(GRID, scheme=scheme, dt=1)
    a, b = (random_state(solver, seed=s) for s in (1, 2))
    mixed = replace(
        a,
        tracer_mass=2 * a.tracer_mass - b.tracer_mass,
        moments=2 * a.moments - b.moments,
    )
    after = [solver.advance(s, 4, random_winds) for s in (a, b, mixed)]
    expected = 2 * after[0].tracer_mass - after[1].tracer_mass
    assert float((after[2].tracer_mass - expected).abs().max()) < 1e-14 * float(AIR.max())
    given = a.tracer_mass.clone().requires_grad_()
    moments = a.moments.clone().requires_grad_()
    out = solver.advance(replace(a, tracer_mass=given, moments=moments), 2, random_winds)
    dual = torch.rand(out.tracer_mass.shape, generator=torch.Generator().manual_seed(5))
    (out.tracer_mass * dual).sum().backward()
    pairing = (given.grad * a.tracer_mass).sum()
    if moments.numel():
        pairing = pairing + (moments.grad * a.moments).sum()
    assert float(pairing / (out.tracer_mass.detach() * dual).sum()) == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize(
    "scheme", ["van_leer", "ppm_monotone", "ppm_positive", "moments_monotone", "moments_sheared"]
)
def test_gradients_of_fluxes_and_tracers_agree_with_differences(scheme):
    solver = TracerTransport(latlon_grid(4, 6), scheme=scheme, dt=1)
    generator = torch.Generator().manual_seed(0)
    q = torch.rand((1, 1, 4, 6), generator=generator, dtype=torch.float64)
    state = solver.initial(q)
    psi = (
        0.05 * torch.rand((5, 6), generator=generator, dtype=torch.float64) * solver.grid.radius**2
    )
    fluxes = from_stream_function(solver.grid, lambda lon, lat: psi)

    def run(tracer, east):
        given = replace(state, tracer_mass=tracer * state.air_mass)
        after = solver.step(given, replace(fluxes, east=fluxes.east * east))
        return after.mixing_ratio

    ones = torch.ones_like(fluxes.east).requires_grad_()
    assert torch.autograd.gradcheck(run, (q.clone().requires_grad_(), ones), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("scheme", ["ppm_monotone", "moments", "moments_sheared"])
def test_turned_and_mirrored_problems_have_turned_and_mirrored_solutions(scheme):
    solver = TracerTransport(GRID, scheme=scheme, dt=1)
    winds = random_winds(0, 1)
    state = random_state(solver)
    plain = solver.step(state, winds).mixing_ratio
    turned = replace(
        state, tracer_mass=state.tracer_mass.roll(5, -1), moments=state.moments.roll(5, -1)
    )
    rolled = MassFluxes(winds.east.roll(5, -1), winds.north.roll(5, -1), winds.up.roll(5, -1))
    after = solver.step(turned, rolled).mixing_ratio
    assert torch.equal(after, plain.roll(5, -1))
    odd = torch.ones(state.moments.shape[-4], 1, 1, 1)
    if len(odd):  # moments 2 (y), 5 (xy) and 9 (yz), less the mass
        odd[[1, 4, 8]] = -1
    mirrored = replace(
        state, tracer_mass=state.tracer_mass.flip(-2), moments=odd * state.moments.flip(-2)
    )
    south = MassFluxes(winds.east.flip(-2), -winds.north.flip(-2), winds.up.flip(-2))
    after = solver.step(mirrored, south).mixing_ratio
    torch.testing.assert_close(after, plain.flip(-2), rtol=0, atol=1e-14)


def test_a_batch_holds_independent_copies_and_a_run_may_be_cut():
    solver = TracerTransport(GRID, scheme="moments", dt=1)
    batch = random_state(solver, batch=(2,))
    together = solver.advance(batch, 5, random_winds)
    for b in range(2):
        alone = replace(
            batch,
            air_mass=batch.air_mass[b],
            tracer_mass=batch.tracer_mass[b],
            moments=batch.moments[b],
        )
        alone = solver.advance(solver.advance(alone, 2, random_winds), 3, random_winds)
        assert torch.equal(alone.tracer_mass, together.tracer_mass[b])
        assert torch.equal(alone.moments, together.moments[b])
    assert together.time == 5


def hill(lon, lat):
    centre = (lat.cos() * (lon - 1.5 * math.pi).cos()).clamp(-1, 1)
    return torch.exp(-3 * (1 - centre))


def error_after_revolution(scheme, angle, n_lat, n_steps, tracer=hill):
    grid = latlon_grid(n_lat, 2 * n_lat)
    winds = solid_body_rotation(grid, angle=angle)
    solver = TracerTransport(grid, scheme=scheme, dt=12 * 86400 / n_steps)
    state = solver.initial([tracer])
    after = solver.advance(state, n_steps, winds)
    difference = (after.mixing_ratio - state.mixing_ratio)[0, 0]
    area, q = grid.cell_area, state.mixing_ratio[0, 0]
    return float(((area * difference**2).sum() / (area * q**2).sum()).sqrt())


@pytest.mark.parametrize(
    ("scheme", "limit", "order"),
    [("ppm", 0.02, 1.9), ("slopes", 0.05, 1.9), ("moments", 6e-4, 2.8)],
)
def test_a_hill_comes_back_from_round_the_equator_with_the_schemes_order(scheme, limit, order):
    errors = [error_after_revolution(scheme, 0.0, n, 4 * n) for n in (16, 32)]
    assert errors[1] < limit
    assert math.log2(errors[0] / errors[1]) > order


def bell(lon, lat):
    """Williamson's cosine bell."""
    r = (lat.cos() * (lon - 1.5 * math.pi).cos()).clamp(-1, 1).acos()
    return torch.where(r < 1 / 3, 500 * (1 + (3 * math.pi * r).cos()), 0.0)


@pytest.mark.parametrize("scheme", ["van_leer", "ppm", "ppm_monotone", "moments_sheared"])
def test_the_way_over_the_poles_is_as_good_with_the_same_steps(scheme):
    angles = (0.0, math.pi / 2)
    errors = [error_after_revolution(scheme, angle, 32, 128, bell) for angle in angles]
    assert errors[1] < 1.7 * errors[0]


def test_swept_areas_carry_the_air_too():
    grid = latlon_grid(16, 32)
    solver = TracerTransport(grid, scheme="moments", dt=86400 / 8)
    rotation = solid_body_rotation(grid)
    given = rotation(0, solver.dt)
    areas = SweptAreas(given.east, given.north, given.up)
    air = grid.cell_area * (1 + hill(torch.deg2rad(grid.lon), torch.deg2rad(grid.lat)[:, None]))
    q = torch.full((1, 1, 16, 32), 0.42, dtype=torch.float64)
    state = solver.initial(q, air_mass=air[None])
    after = solver.advance(state, 96, lambda time, dt: areas)
    slow = eager(solver, state, 2, lambda time, dt: areas)
    fast = solver.advance(state, 2, lambda time, dt: areas)
    torch.testing.assert_close(fast.air_mass, slow.air_mass, rtol=1e-13, atol=0)
    assert float((after.mixing_ratio - 0.42).abs().max()) < 1e-13
    density = (after.air_mass / grid.cell_area - air / grid.cell_area).abs()
    assert float(density.max()) < 0.02  # it has gone round once
    assert float(after.air_mass.sum() / air.sum()) == pytest.approx(1, abs=1e-14)


def refused(match, call):
    with pytest.raises(DataError, match=match):
        call()


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_transported_is_refused_before_anything_is_done():
    solver = TracerTransport(GRID, dt=1)
    state = random_state(solver)
    before = state.tracer_mass.clone()
    strong = random_winds(0, 1).scaled(20)
    refused(r"Courant number .*latitude .*longitude .*Lower dt", lambda: solver.step(state, strong))
    refused(r"Courant number", lambda: solver._eager_step(state, strong))
    missing = random_winds(0, 1).scaled(1)
    missing.east[0, 2, 3] = math.nan
    refused("not finite", lambda: solver.step(state, missing))
    assert torch.equal(state.tracer_mass, before)
    holed = replace(state, tracer_mass=torch.full_like(before, math.nan))
    refused("tracer_mass has .* non-finite", lambda: solver.advance(holed, 1, random_winds))
    negative = replace(state, air_mass=-state.air_mass)
    refused("air_mass is -", lambda: solver.advance(negative, 1, random_winds))
    refused("dt = 0", lambda: TracerTransport(GRID, dt=0))
    refused("choose one of upwind", lambda: TracerTransport(GRID, scheme="ppm5", dt=1))
    refused("even number", lambda: latlon_grid(8, 15))
    refused("case = 3", lambda: deformational_flow(GRID, case=3))


@pytest.mark.usefixtures("unchecked")
def test_fluxes_of_the_wrong_shape_or_through_a_wall_are_refused():
    good = random_winds(0, 1)
    refused("one face more", lambda: MassFluxes(good.east, good.north[:, :-1], good.up))
    refused("pass a pole", lambda: MassFluxes(good.east, good.north + 1, good.up))
    refused("surface or the top", lambda: MassFluxes(good.east, good.north, good.up + 1))
    solver = TracerTransport(GRID, dt=1)
    other = solid_body_rotation(latlon_grid(4, 8))
    refused("air mass has", lambda: solver.advance(random_state(solver), 1, other))
    unknown = torch.zeros(1, 1, 3, 3)
    refused("expected", lambda: solver.initial(unknown, air_mass=torch.ones(1, 3, 3)))
