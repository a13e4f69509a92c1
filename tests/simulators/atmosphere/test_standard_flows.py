"""The standard winds are those of the papers' velocity formulas, and balance in every cell."""

import math

import pytest
import torch

from pushforward.simulators.atmosphere import (
    TracerTransport,
    dcmip,
    deformational_flow,
    divergent_flow,
    latlon_grid,
    moving_vortices,
    solid_body_rotation,
    tracers,
)

GRID = latlon_grid(90, 180, radius=dcmip.RADIUS)
T = 12 * 86400.0
TIME = 0.2 * T
LON = torch.deg2rad(GRID.lon_edges[1:])  # of the east faces
LAT = torch.deg2rad(GRID.lat)[:, None]
FLAT = {
    "rotation": (
        solid_body_rotation(GRID, angle=0.7),
        lambda lon, lat, t: (
            2 * math.pi * (lat.cos() * math.cos(0.7) + lat.sin() * lon.cos() * math.sin(0.7))
        ),
    ),
    "case 1": (
        deformational_flow(GRID, case=1),
        lambda lon, lat, t: 12 * (lon / 2).sin() ** 2 * (2 * lat).sin() * math.cos(math.pi * t),
    ),
    "case 2": (
        deformational_flow(GRID, case=2),
        lambda lon, lat, t: 10 * lon.sin() ** 2 * (2 * lat).sin() * math.cos(math.pi * t),
    ),
    "case 4": (
        deformational_flow(GRID),
        lambda lon, lat, t: (
            10 * (lon - 2 * math.pi * t).sin() ** 2 * (2 * lat).sin() * math.cos(math.pi * t)
            + 2 * math.pi * lat.cos()
        ),
    ),
    "divergent": (
        divergent_flow(GRID),
        lambda lon, lat, t: (
            -5
            * ((lon - 2 * math.pi * t) / 2).sin() ** 2
            * (2 * lat).sin()
            * lat.cos() ** 2
            * math.cos(math.pi * t)
            + 2 * math.pi * lat.cos()
        ),
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_areas_swept_eastward_are_those_of_the_velocity(name):
    winds, velocity = FLAT[name]
    got = winds(TIME - 0.5, 1.0).east[0] / (GRID.radius * math.radians(GRID.spacing[0]))
    expected = GRID.radius / T * velocity(LON, LAT, TIME / T)
    assert float((got - expected).abs().max()) < 1e-3 * float(expected.abs().max())


def net_inflow(fluxes):
    return (
        fluxes.east.roll(1, -1) - fluxes.east - fluxes.north.diff(dim=-2) - fluxes.up.diff(dim=-3)
    )


@pytest.mark.parametrize("name", ["deformational_3d", "hadley_cell", "thin_clouds"])
def test_three_dimensional_flows_balance_in_every_cell(name):
    case = getattr(dcmip, name)(latlon_grid(12, 24, radius=dcmip.RADIUS), 6)
    fluxes = case.winds(0.1 * case.duration, 600.0)
    assert float((net_inflow(fluxes) / case.air_mass).abs().max()) < 1e-13
    assert float(fluxes.up.abs().max()) > 0


def test_draughts_of_the_deforming_case_are_those_of_the_formula():
    case = dcmip.deformational_3d(GRID, 12)
    fluxes = case.winds(TIME - 0.5, 1.0)
    p, b, top = case.pressure[5], 0.2, case.pressure[-1]
    shape = 1 + ((top - 1e5) / (b * top)).exp()
    shape = shape - ((p - 1e5) / (b * top)).exp() - ((top - p) / (b * top)).exp()
    lon = torch.deg2rad(GRID.lon) - 2 * math.pi * TIME / T
    omega = 23000 * math.pi / T * lon.sin() * LAT.cos() * math.cos(2 * math.pi * TIME / T) * shape
    got = -fluxes.up[5] * dcmip.GRAVITY / GRID.cell_area
    assert float((got - omega).abs().max()) < 1e-2 * float(omega.abs().max())


def test_vortices_are_carried_to_their_exact_place():
    grid = latlon_grid(24, 48)
    solver = TracerTransport(grid, dt=T / 8 / 24)
    state = solver.initial([tracers.vortices(0.0)])
    after = solver.advance(state, 24, moving_vortices(grid))
    exact = solver.initial([tracers.vortices(T / 8)])
    error = (after.mixing_ratio - exact.mixing_ratio).abs()
    assert float(error.max()) < 0.02
    assert float((state.mixing_ratio - exact.mixing_ratio).abs().max()) > 0.3


def test_the_overturning_and_the_deforming_tracers_come_back():
    grid = latlon_grid(18, 36, radius=dcmip.RADIUS)
    case = dcmip.hadley_cell(grid, 20)
    solver = TracerTransport(grid, dt=case.duration / 40)
    functions = [*case.tracers.values(), lambda lon, lat, p: p / 1e5 + 0 * lon * lat]
    state = solver.initial(functions, air_mass=case.air_mass, pressure=case.pressure)
    half = solver.advance(state, 20, case.winds)
    after = solver.advance(half, 20, case.winds)
    moved = (half.mixing_ratio - state.mixing_ratio)[1].abs().max()
    left = (after.mixing_ratio - state.mixing_ratio)[1].abs().max()
    assert float(left) < 0.1 * float(moved)
    torch.testing.assert_close(after.air_mass, state.air_mass, rtol=1e-12, atol=0)


def test_tracers_have_the_values_of_their_definitions():
    def at(function, lon, lat):
        point = [torch.tensor(x, dtype=torch.float64) for x in (lon, lat)]
        return float(function(*point))

    first = 5 * math.pi / 6
    assert at(tracers.cosine_bell, 1.5 * math.pi, 0.0) == pytest.approx(1000)
    assert at(tracers.cosine_bells, first + 0.25, 0.0) == pytest.approx(0.1 + 0.9 / 2)
    assert at(tracers.correlated_bells, first, 0.0) == pytest.approx(0.1)
    assert at(tracers.gaussian_hills, first, 0.0) == pytest.approx(
        0.95 * (1 + math.exp(-10 * (1 - math.cos(math.pi / 3))))
    )
    slot = 0.4
    assert at(tracers.slotted_cylinders, first, slot) == pytest.approx(0.1)
    assert at(tracers.slotted_cylinders, first, -slot) == pytest.approx(1.0)
    assert at(tracers.slotted_cylinders, first + math.pi / 3, slot) == pytest.approx(1.0)
    assert at(tracers.slotted_cylinders, first + math.pi / 3, -slot) == pytest.approx(0.1)
