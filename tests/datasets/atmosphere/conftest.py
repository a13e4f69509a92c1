"""A tiny consistent data set in CarbonBench's schema."""

import numpy as np
import pytest

from pushforward.datasets.atmosphere import make_dataset
from pushforward.simulators.atmosphere import latlon_grid

EDGES = np.array([1013.0, 900.0, 500.0, 10.0])


def small_dataset(times=8, grid=(4, 8), seed=0, hours=6):
    """Air that weighs what its pressures say, CO2 near 400 ppm, weather that is noise."""
    rng = np.random.default_rng(seed)
    n_lat, n_lon = grid
    cells = latlon_grid(n_lat, n_lon)
    shape, levels = (times, 3, *grid), len(EDGES) - 1
    surface = 1 + 0.01 * rng.standard_normal((times, *grid))
    blocks = {
        "p_bottom": EDGES[:-1, None, None] * surface[:, None],
        "p_top": EDGES[1:, None, None] * surface[:, None],
        "co2massmix": 607.75 + rng.standard_normal(shape),
        "gph_bottom": np.broadcast_to(np.arange(levels)[:, None, None] * 5.0, shape),
        "gph_top": np.broadcast_to(np.arange(1, levels + 1)[:, None, None] * 5.0, shape),
        **{k: rng.standard_normal(shape) for k in ("q", "t", "u", "v")},
        **{k: rng.random((times, *grid)) for k in ("blh", "orography", "tisr")},
        "cell_area": np.broadcast_to(cells.cell_area.numpy(), (times, *grid)),
        **{
            f"co2flux_{k}": 1e-9 * rng.standard_normal((times, *grid))
            for k in ("anthro", "land", "ocean")
        },
    }
    thickness = 100 * (blocks["p_bottom"] - blocks["p_top"])
    blocks["airmass"] = thickness / 9.80665 * blocks["cell_area"][:, None] * 1e-12
    time = np.datetime64("2018-01-01T00", "ns") + np.arange(times) * np.timedelta64(hours, "h")
    return make_dataset(
        blocks,
        time=time,
        level=np.array([1013.0, 700.0, 200.0]),
        lat=cells.lat.numpy(),
        lon=cells.lon.numpy(),
    )


@pytest.fixture
def make_small():
    return small_dataset


@pytest.fixture
def dataset():
    return small_dataset()
