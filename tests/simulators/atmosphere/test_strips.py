"""Strips share out a face's air rightly, give back what they were given, and cross the poles."""

import math
from dataclasses import replace

import pytest
import torch

from pushforward.simulators.atmosphere import (
    MassFluxes,
    TracerTransport,
    from_stream_function,
    latlon_grid,
    solid_body_rotation,
)
from pushforward.simulators.atmosphere.strips import STRIPS, flux_weights
from pushforward.simulators.errors import DataError

GRID = latlon_grid(12, 24)
PERIOD = 12 * 86400.0


def test_strips_of_a_row_have_equal_areas_and_take_what_a_parabolic_wind_gives_them():
    """Flux per degree u(φ) = 1 + 2φ + 3φ², integrated over each strip exactly."""
    degrees = torch.arange(-2, 3) * GRID.spacing[0]
    weights = flux_weights(GRID, "x")
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(12, dtype=torch.float64))
    for row in (0, 4, 11):
        centre = float(GRID.lat[row])
        south, north = (math.radians(centre + s * GRID.spacing[0] / 2) for s in (-1, 1))
        part = torch.linspace(0, 1, STRIPS + 1, dtype=torch.float64)
        sine = math.sin(south) + part * (math.sin(north) - math.sin(south))
        cut = torch.rad2deg(sine.clamp(-1, 1).asin())

        def upto(lat):
            return lat + lat**2 + lat**3

        expected = upto(cut).diff()
        half = GRID.spacing[0] / 2
        faces = torch.stack([upto(centre + d + half) - upto(centre + d - half) for d in degrees])
        torch.testing.assert_close(weights[row] @ faces.to(torch.float64), expected)


@pytest.fixture(scope="module")
def solver():
    return TracerTransport(GRID, scheme="moments_sheared", dt=PERIOD / 48)


def random_state(solver, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.rand((1, 1, 12, 24), generator=generator, dtype=torch.float64)
    return solver.initial(q)


def test_without_wind_everything_stays(solver):
    calm = from_stream_function(GRID, lambda lon, lat: 0 * lon * lat)
    state = random_state(solver)
    after = solver.advance(state, 5, lambda time, dt: calm)
    torch.testing.assert_close(after.tracer_mass, state.tracer_mass, rtol=1e-13, atol=0)
    scale = 1e-13 * float(state.tracer_mass.max())
    torch.testing.assert_close(after.moments, state.moments, rtol=0, atol=scale)


def bump(lon, lat):
    """A hill west of the pole's meridian, not symmetric in anything."""
    place = (lat.cos() * (lon - 1.4 * math.pi).cos() * 0.8 + 0.6 * lat.sin()).clamp(-1, 1)
    return torch.exp(-4 * (1 - place)) * (1 + 0.3 * lon.sin())


def turned_half(field):
    """(λ, φ) → (−λ, −φ): half a turn about the axis through (0, 0)."""
    return field.flip(-2).flip(-1).roll(1, -1)


def test_half_a_turn_over_both_poles_is_the_turned_field():
    errors = {}
    for scheme in ("moments", "moments_sheared"):
        solver = TracerTransport(GRID, scheme=scheme, dt=PERIOD / 48)
        state = solver.initial([bump])
        after = solver.advance(state, 24, solid_body_rotation(GRID, angle=math.pi / 2))
        difference = after.mixing_ratio - turned_half(state.mixing_ratio)
        errors[scheme] = float(difference.norm() / state.mixing_ratio.norm())
    assert errors["moments_sheared"] < 0.03
    assert errors["moments_sheared"] < errors["moments"] / 3


def test_a_turned_start_gives_the_turned_end(solver):
    odd = torch.tensor([-1.0, -1, 1, 1, 1]).reshape(5, 1, 1, 1)
    state = random_state(solver)
    other = replace(
        state,
        tracer_mass=turned_half(state.tracer_mass),
        moments=odd * turned_half(state.moments),
    )
    winds = solid_body_rotation(GRID, angle=math.pi / 2)
    ends = [solver.advance(s, 7, winds).mixing_ratio for s in (state, other)]
    torch.testing.assert_close(ends[1], turned_half(ends[0]), rtol=0, atol=1e-12)


def test_strips_are_not_emptied_where_the_cell_is_not(solver):
    """Strong shear: the wind becomes more even, uniform tracers stay so and air is kept."""
    generator = torch.Generator().manual_seed(3)
    random = torch.rand((13, 24), generator=generator, dtype=torch.float64)
    narrow = torch.cat((GRID.cell_area[:, 0], GRID.cell_area[-1:, 0]))[:, None]
    narrow = torch.minimum(narrow, narrow.roll(1, 0))
    winds = from_stream_function(GRID, lambda lon, lat: 0.8 * narrow * random)
    north = winds.north[0]
    five = torch.stack([north.roll(2 - d, -1) for d in range(5)])
    strips = torch.einsum("sd,dji->sji", flux_weights(GRID, "y")[0], five)
    leaving = strips[:, 1:].clamp(min=0) - strips[:, :-1].clamp(max=0)
    assert float((STRIPS * leaving / GRID.cell_area).max()) > 1  # a strip, before it is evened out
    uniform = solver.initial(torch.full((1, 1, 12, 24), 0.42, dtype=torch.float64))
    after = solver.advance(uniform, 20, lambda time, dt: winds)
    assert float((after.mixing_ratio - 0.42).abs().max()) < 1e-13
    torch.testing.assert_close(after.air_mass, uniform.air_mass, rtol=1e-12, atol=0)
    with pytest.raises(DataError, match=r"Courant number .*latitude -?[0-9]+\.5"):
        solver.advance(uniform, 1, lambda time, dt: winds.scaled(4))


def test_air_that_is_missing_or_goes_round_the_globe_is_refused(solver):
    state = random_state(solver)
    calm = from_stream_function(GRID, lambda lon, lat: 0 * lon * lat)
    east = calm.east.clone()
    east[0, 5] = 30 * GRID.cell_area[5, 0]
    around = MassFluxes(east, calm.north, calm.up)
    with pytest.raises(DataError, match=r"Courant number .*latitude -7\.5"):
        solver.advance(state, 1, lambda time, dt: around.scaled(2))
