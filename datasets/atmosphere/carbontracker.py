"""CarbonTracker's daily files to CarbonBench's schema: regridded, aggregated, budgets closed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pushforward.datasets.atmosphere.budget import budget_residual, close_budget
from pushforward.datasets.atmosphere.coordinates import find_gaps, find_name, time_step_hours
from pushforward.datasets.atmosphere.layers import aggregate_layers
from pushforward.datasets.atmosphere.regrid import bilinear, cell_edges, conservative
from pushforward.datasets.atmosphere.units import CO2_PER_AIR, conversion
from pushforward.datasets.atmosphere.variables import LAYERS
from pushforward.datasets.atmosphere.writer import make_dataset
from pushforward.simulators.atmosphere import EARTH_RADIUS, latlon_grid
from pushforward.simulators.atmosphere.carbon_cycle import SOLAR_CONSTANT, cosine_zenith
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["build_carbontracker"]

PathLike = str | os.PathLike[str]

# Source variable -> (unit here, schema's name); at layer centres, layer boundaries, the surface.
CENTRES = {
    "temperature": ("K", "t"),
    "specific_humidity": ("kg kg-1", "q"),
    "u": ("m s-1", "u"),
    "v": ("m s-1", "v"),
}
BOUNDARIES = {"pressure": ("hPa", "p"), "gph": ("km", "gph")}
SURFACE = {"blh": ("m", "blh"), "orography": ("m2 s-2", "orography")}
FLUX = {
    "bio_flux_opt": "co2flux_land",
    "ocn_flux_opt": "co2flux_ocean",
    "fossil_flux_imp": "co2flux_anthro",
    "fire_flux_imp": "co2flux_anthro",
}
LEGACY_FILL = -1e30  # flux files mark missing values as -1e34 under the old attribute name
NOMINAL = {
    "l3": (1013, 971, 407),
    "l10": (1013, 1005, 995, 971, 943, 843, 642, 441, 243, 73),
}


def build_carbontracker(
    molefrac: Sequence[PathLike],
    flux: Sequence[PathLike],
    *,
    grid: tuple[int, int] = (32, 64),
    layers: Sequence[Sequence[int]] | str = "l10",
    step_hours: int = 6,
) -> "xr.Dataset":
    """Read `molefrac_glb3x2` and `flux1x1` files of consecutive days.

    Air and CO2 are regridded conservatively (nothing is lost, layer by layer), pressures, heights,
    temperature, humidity and winds bilinearly, fluxes conservatively. Layers are aggregated with
    `aggregate_layers`. States are interpolated in time to the steps, fluxes to the middle of each
    step. What CO2 then appears without a flux is added to the anthropogenic flux in proportion to
    its own pattern, so that the budget closes (`close_budget`). Incident solar radiation is
    computed from astronomy.

    Parameters
    ----------
    molefrac, flux : the files, in any order.
    grid : rows and columns.
    layers : name in `LAYERS`, or groups of source layers from the surface up.
    step_hours : between times.

    Returns
    -------
    A data set for `write_carbon` or `open_carbon`.

    Raises
    ------
    DataError : a file that cannot be read; a variable missing; units that do not match; missing
        days, listed; values that are not finite.
    """
    groups = LAYERS[layers] if isinstance(layers, str) else [list(g) for g in layers]
    states = _read_days(molefrac, [*CENTRES, *BOUNDARIES, *SURFACE, "co2", "air_mass"])
    fluxes = _read_days(flux, list(FLUX))
    cells = latlon_grid(*grid)
    target = (cells.lat.numpy(), cells.lon.numpy())
    times = states["time"]
    blocks = aggregate_layers(_layer_blocks(states, target), groups)
    plane = {name: bilinear(states[k], states["grid"], target) for k, (_, name) in SURFACE.items()}
    step = np.timedelta64(step_hours, "h")
    # States are known between the first and the last time; the first step starts on a whole one.
    first = times[0].astype("datetime64[D]")
    axis = np.arange(first, times[-1] + np.timedelta64(1, "s"), step)
    axis = axis[axis >= times[0]]
    if len(axis) < 2:
        raise DataError(f"{len(times)} times hold no two steps of {step_hours} h. Add days.")
    mass = blocks["co2massmix"] * blocks["airmass"]
    out = {k: _interpolated(v, times, axis) for k, v in blocks.items() if k != "co2massmix"}
    out["co2massmix"] = _interpolated(mass, times, axis) / out["airmass"]
    out |= {k: _interpolated(v, times, axis) for k, v in plane.items()}
    area = cells.cell_area.numpy()
    out["cell_area"] = np.broadcast_to(area, (len(axis), *grid))
    out["tisr"] = _solar(cells, axis)
    middle = axis + step // 2
    for source, name in FLUX.items():
        flow = _fluxes_on(fluxes[source], fluxes["grid"], target, area)
        flow = _interpolated(flow, fluxes["time"], middle)
        out[name] = out.get(name, 0.0) + flow
    seconds = 3600.0 * step_hours
    total = out["co2flux_land"] + out["co2flux_ocean"] + out["co2flux_anthro"]
    missing = budget_residual(out["co2massmix"], out["airmass"], total, area, seconds=seconds)
    out["co2flux_anthro"] = close_budget(out["co2flux_anthro"], missing, area, seconds=seconds)
    level = np.asarray(
        NOMINAL[layers] if isinstance(layers, str) and layers in NOMINAL else range(len(groups)),
        dtype=float,
    )
    return make_dataset(
        out, time=axis.astype("datetime64[ns]"), level=level, lat=target[0], lon=target[1]
    )


def _read_days(paths: Sequence[PathLike], names: list[str]) -> dict:
    """Variables of all files along time, latitudes rising, longitudes rising, surface first."""
    import xarray as xr

    if not paths:
        raise DataError("no files given; pass the daily files, molefrac and flux1x1.")
    parts = []
    for path in sorted(map(Path, paths)):
        if not path.is_file():
            raise DataError(f"no such file: {path}. Check the path.")
        try:
            with xr.open_dataset(path) as file:
                parts.append(_day(file, names, str(path)))
        except (OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read as netCDF: {error}.") from error
    parts.sort(key=lambda p: p["time"][0])
    joined = {k: np.concatenate([p[k] for p in parts]) for k in [*names, "time"]}
    step, hours = time_step_hours(joined["time"], "the files given")
    gaps = find_gaps(joined["time"], hours, step)
    if gaps:
        days = {str(g.after.astype("datetime64[D]") + 1) for g in gaps}
        listed = ", ".join(sorted(days)[:10])
        raise DataError(
            f"{sum(g.steps for g in gaps)} times are missing in {len(gaps)} gaps; the first day of "
            f"each: {listed}. Fetch the files of those days, or build the stretches apart."
        )
    return {**joined, "grid": parts[0]["grid"]}


def _day(file: "xr.Dataset", names: list[str], where: str) -> dict:
    missing = [n for n in names if n not in file]
    if missing:
        raise DataError(f"{where} lacks {', '.join(missing)}.")
    lat, lon = (find_name(k, file) for k in ("lat", "lon"))
    found: dict = {}
    file = file.sortby([lat, lon])
    steps = file.sizes["time"]
    for name in names:
        variable = file[name]
        vertical = [d for d in variable.dims if d in ("level", "boundary")]
        if "time" not in variable.dims:
            variable = variable.expand_dims(time=steps)
        variable = variable.transpose("time", *vertical, lat, lon)
        values = variable.values.astype(np.float64)
        values = np.where(values < LEGACY_FILL, np.nan, values)
        if name in FLUX:
            values = np.nan_to_num(values, nan=0.0)  # where a process does not occur
        if not np.isfinite(values).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise DataError(f"{where}: {name} is not finite at index {place} of {variable.dims}.")
        found[name] = values * _factor(name, str(variable.attrs.get("units", "")), where)
    if "pressure" in found and found["pressure"][0, 0].mean() < found["pressure"][0, -1].mean():
        for name in names:
            if found[name].ndim == 4:
                found[name] = found[name][:, ::-1]
    return {**found, "time": file["time"].values, "grid": (file[lat].values, file[lon].values)}


def _factor(name: str, units: str, where: str) -> float:
    wanted = {
        **{k: u for k, (u, _) in {**CENTRES, **BOUNDARIES, **SURFACE}.items()},
        **{k: "kg m-2 s-1" for k in FLUX},
        "co2": "1e-6 mol mol-1",
        "air_mass": "Pg",
    }[name]
    try:
        return conversion(name, units, wanted)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _layer_blocks(states: dict, target: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    source = states["grid"]
    air = conservative(states["air_mass"], source, target)
    co2 = conservative(states["co2"] * CO2_PER_AIR * states["air_mass"], source, target)
    blocks = {"airmass": air, "co2massmix": co2 / air}
    for name, (_, short) in CENTRES.items():
        blocks[short] = bilinear(states[name], source, target)
    for name, (_, short) in BOUNDARIES.items():
        edges = bilinear(states[name], source, target)
        blocks[f"{short}_bottom"], blocks[f"{short}_top"] = edges[:, :-1], edges[:, 1:]
    return blocks


def _fluxes_on(
    flux: np.ndarray,
    source: tuple[np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray],
    area: np.ndarray,
) -> np.ndarray:
    """Fluxes as intensities: amounts are regridded conservatively, then divided by the area."""
    edges = np.sin(np.radians(cell_edges(source[0], "lat")))
    rows = EARTH_RADIUS**2 * np.diff(edges) * 2 * np.pi / len(source[1])
    return conservative(flux * rows[:, None], source, target) / area


def _interpolated(values: np.ndarray, times: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Linear in time; the ends are held."""
    at = np.clip((axis - times[0]) / (times[1] - times[0]), 0, len(times) - 1)
    low = np.minimum(np.floor(at).astype(int), len(times) - 2)
    share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - share) + values[low + 1] * share


def _solar(cells: object, axis: np.ndarray) -> np.ndarray:
    """Radiation at the top of the atmosphere, J/m² in the hour before each time."""
    fields = []
    for time in axis:
        seconds = (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "s")
        ends = [seconds - 3600 * (k + 0.5) / 6 for k in range(6)]
        hour = torch.stack([cosine_zenith(cells, t) for t in ends]).mean(0)  # type: ignore[arg-type]
        fields.append((SOLAR_CONSTANT * 3600 * hour).numpy())
    return np.stack(fields)
