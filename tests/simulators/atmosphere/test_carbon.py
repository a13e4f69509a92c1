"""Columns mix as they should; the seeded winds are consistent; the data set closes its budgets."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.simulators.atmosphere import (
    CARBON_PER_AIR,
    VARIABLES_2D,
    VARIABLES_3D,
    CarbonSimulation,
    TracerTransport,
    Weather,
    convect,
    diffuse,
    latlon_grid,
    mix_columns,
    simulation_of,
)
from pushforward.simulators.errors import DataError

SMALL = CarbonSimulation(n_lat=8, n_lon=16, layers=3, days=2, spin_up_days=2)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def data():
    return SMALL.simulate(seed=0)


def variable(data, name):
    kind = "3d" if name in VARIABLES_3D else "2d"
    return data[f"variables_{kind}"].sel({f"vari_{kind}": name}).values.astype(float)


def test_diffusion_is_backward_euler_of_the_exchange_matrix():
    air, amounts = 1 + random(4, 2, 2), random(3, 4, 2, 2, seed=1)
    exchange = 2 * random(3, 2, 2, seed=2)
    got = diffuse(amounts, air, exchange)
    for j in range(2):
        for i in range(2):
            matrix = torch.diag(air[:, j, i])
            for k, e in enumerate(exchange[:, j, i]):
                pair = torch.zeros(4, dtype=torch.float64)
                pair[k], pair[k + 1] = 1, -1
                matrix = matrix + e * torch.outer(pair, pair)
            q = torch.linalg.solve(matrix, amounts[:, :, j, i].T)
            torch.testing.assert_close(got[:, :, j, i], (air[:, j, i, None] * q).T)


def test_convection_lifts_what_a_plume_by_hand_lifts():
    air = torch.tensor([2.0, 2.0, 2.0], dtype=torch.float64).reshape(3, 1, 1)
    amounts = torch.tensor([4.0, 0.0, 0.0], dtype=torch.float64).reshape(3, 1, 1)  # q = 2, 0, 0
    updraft = torch.tensor([0.5, 0.8], dtype=torch.float64).reshape(2, 1, 1)
    got = convect(amounts, air, updraft).flatten()
    # 0.5 kg leave the lowest layer with q = 2; 0.3 kg of q = 0 join; all is left in the third.
    torch.testing.assert_close(got, torch.tensor([3.0, 0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("operator", [diffuse, convect])
def test_columns_keep_mass_uniform_mixing_ratios_and_bounds(operator):
    air, q, flux = 1 + random(5, 3, 4), random(2, 5, 3, 4, seed=1), 0.3 * random(4, 3, 4, seed=2)
    after = operator(q * air, air, flux)
    torch.testing.assert_close(after.sum(-3), (q * air).sum(-3), rtol=1e-14, atol=0)
    assert float((after / air).max()) <= float(q.max())
    assert float((after / air).min()) >= float(q.min())
    uniform = operator(0.42 * air, air, flux) / air
    torch.testing.assert_close(uniform, torch.full_like(air, 0.42), rtol=1e-14, atol=0)


def test_strong_mixing_makes_a_column_uniform_and_flattens_the_moments():
    grid = latlon_grid(4, 8)
    solver = TracerTransport(grid, scheme="moments", dt=1)
    air = grid.cell_area * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[:, None, None]
    state = solver.initial(random(1, 3, 4, 8), air_mass=air)
    mixed = mix_columns(state, exchange=1e7 * air[1:])
    spread = mixed.mixing_ratio.amax(-3) - mixed.mixing_ratio.amin(-3)
    assert float(spread.max()) < 1e-6
    x_slope = mixed.moments[0, 0] / air
    assert float((x_slope.amax(0) - x_slope.amin(0)).max()) < 1e-6
    assert float((mixed.moments[0, 5] / air).abs().max()) < 1e-6  # the slope along z
    with pytest.raises(DataError, match="Lower the step"):
        convect(air, air, air[1:])


def test_winds_are_seeded_keep_the_layers_shares_and_blow_like_weather():
    grid = latlon_grid(16, 32)
    weather = Weather(grid, layers=4, seed=1)
    solver = TracerTransport(grid, scheme="upwind", dt=10800)
    state = solver.initial(torch.full((1, 4, 16, 32), 0.42), air_mass=weather.initial_air_mass())
    after = solver.advance(state, 40, weather)
    column = after.air_mass.sum(0)
    share = after.air_mass / column
    expected = weather.share[:, None, None].expand_as(share)
    torch.testing.assert_close(share, expected, rtol=1e-12, atol=0)
    pressure = 9.80665 * column / grid.cell_area
    assert 300 < float(pressure.std()) < 2500  # Pa
    assert float((after.mixing_ratio / state.mixing_ratio - 1).abs().max()) < 1e-13
    u, v = weather.velocity(weather(0.0, 1.0), state.air_mass, 1.0)
    assert 15 < float(u.amax()) < 80
    assert 5 < float(v.abs().amax()) < 50
    assert torch.equal(weather(5.0, 1.0).east, Weather(grid, layers=4, seed=1)(5.0, 1.0).east)
    assert not torch.equal(weather(5.0, 1.0).east, Weather(grid, layers=4, seed=2)(5.0, 1.0).east)


def test_the_data_set_has_the_layout_and_closes_its_carbon_budget(data):
    assert data.variables_3d.dims == ("time", "vari_3d", "level", "lat", "lon")
    assert data.variables_2d.dims == ("time", "vari_2d", "lat", "lon")
    assert list(data.vari_3d.values) == list(VARIABLES_3D) == sorted(VARIABLES_3D)
    assert list(data.vari_2d.values) == list(VARIABLES_2D) == sorted(VARIABLES_2D)
    assert data.variables_3d.dtype == np.float32
    assert np.isfinite(data.variables_3d).all()
    assert np.isfinite(data.variables_2d).all()
    mass = (variable(data, "co2massmix") * variable(data, "airmass")).sum((1, 2, 3))  # 1e6 kg
    flux = sum(variable(data, f"co2flux_{part}") for part in ("anthro", "land", "ocean"))
    added = (flux * variable(data, "cell_area")).sum((1, 2)) * 21600 / 1e6
    assert np.abs(np.diff(mass) - added[:-1]).max() < 1e-7 * mass[0]
    assert np.abs(added).max() > 1e-6 * mass[0]
    ppm = variable(data, "co2massmix") / CARBON_PER_AIR
    assert 385 < ppm.min() < ppm.mean() < ppm.max() < 480
    assert ppm[-1, 0].std() > 2 * ppm[-1, -1].std()  # sources are at the surface
    air = 9.80665 * 1e12 * variable(data, "airmass") / variable(data, "cell_area")[:, None] / 100
    depth = variable(data, "p_bottom") - variable(data, "p_top")
    np.testing.assert_allclose(air, depth, rtol=1e-5)


def test_the_file_equals_what_is_simulated_and_names_its_simulation(tmp_path, data):
    path = SMALL.write(tmp_path / "co2.nc", seed=0)
    with xr.open_dataset(path) as written:
        xr.testing.assert_equal(written.load(), data)
        simulation, seed = simulation_of(written.attrs)
        assert written.lat.attrs["standard_name"] == "latitude"
        assert json.loads(written.variables_3d.attrs["label_units"])["airmass"] == "Pg"
    assert (simulation, seed) == (SMALL, 0)
    other = SMALL.simulate(seed=1)
    assert not np.array_equal(other.variables_3d, data.variables_3d)
    model = simulation.model(seed=seed, scheme="upwind")
    air = torch.from_numpy(variable(data, "airmass")[0]) * 1e12
    q = torch.from_numpy(variable(data, "co2massmix")[0]) * 1e-6
    start = simulation.start_seconds()
    after = model.advance(model.restart(air, q, time=start), simulation.steps_a_frame)
    ppm = variable(data, "co2massmix") / CARBON_PER_AIR
    difference = (after.mixing_ratio[0] / CARBON_PER_AIR * 1e6).numpy() - ppm[1]
    change = ppm[1] - ppm[0]
    assert difference.std() < 0.5 * change.std()  # closer than persistence


def test_what_cannot_be_simulated_is_refused_and_nothing_is_left(tmp_path):
    for match, options in (
        ("does not divide|whole number", {"step_hours": 4.0}),
        ("days = 0", {"days": 0}),
        ("expected a date", {"start": "January"}),
        ("even number", {"n_lon": 15}),
    ):
        with pytest.raises(DataError, match=match):
            CarbonSimulation(**options)
    with pytest.raises(DataError, match="must end in .nc"):
        SMALL.write(tmp_path / "co2.zarr", seed=0)
    fast = CarbonSimulation(
        n_lat=32, n_lon=64, layers=3, days=2, spin_up_days=0, frame_hours=48, step_hours=48.0
    )
    with pytest.raises(DataError, match="Courant number"):
        fast.write(tmp_path / "co2.nc", seed=0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="simulate atmosphere"):
        simulation_of({})
