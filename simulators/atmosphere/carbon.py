"""The embedded data set: simulated CO2 with its meteorology, in CarbonBench's layout."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pushforward.simulators.atmosphere.carbon_model import CarbonModel, SurfaceFluxes
from pushforward.simulators.atmosphere.grid import latlon_grid
from pushforward.simulators.atmosphere.schemes import SchemeName
from pushforward.simulators.atmosphere.state import TracerState
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import provenance

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "CARBON_SIMULATIONS",
    "VARIABLES_2D",
    "VARIABLES_3D",
    "CarbonSimulation",
    "simulation_of",
]

# Name: unit and meaning; the order is that of the label coordinates.
VARIABLES_3D = {
    "airmass": ("Pg", "dry air of the cell"),
    "co2massmix": ("1e-6 kg kg-1", "CO2 mass mixing ratio of dry air"),
    "gph_bottom": ("km", "geopotential height of the lower face"),
    "gph_top": ("km", "geopotential height of the upper face"),
    "p_bottom": ("hPa", "pressure at the lower face"),
    "p_top": ("hPa", "pressure at the upper face"),
    "q": ("kg kg-1", "specific humidity"),
    "t": ("K", "temperature"),
    "u": ("m s-1", "eastward wind"),
    "v": ("m s-1", "northward wind"),
}
VARIABLES_2D = {
    "blh": ("m", "boundary layer height"),
    "cell_area": ("m2", "area of the cell"),
    "co2flux_anthro": ("kg m-2 s-1", "CO2 from fossil fuels and fires, mean of the coming step"),
    "co2flux_land": ("kg m-2 s-1", "CO2 from land, mean of the coming step"),
    "co2flux_ocean": ("kg m-2 s-1", "CO2 from the ocean, mean of the coming step"),
    "orography": ("m2 s-2", "surface geopotential"),
    "tisr": ("J m-2", "incident solar radiation at the top, integral of the hour before"),
}
BLOCK = 32  # frames written at a time


@dataclass(frozen=True)
class CarbonSimulation:
    """Two years of CO2 in weather-like winds, by default in the smallest of CarbonBench's grids.

    The winds are mass-consistent but not a solution of the equations of motion (`Weather`); land
    breathes with season and daylight (`Surface`); vertical diffusion follows a diurnal boundary
    layer, and a plume lifts air where the waves make rain (`CarbonModel`). Frames hold the 17
    variables of CarbonBench; a flux is the mean of what was applied from its frame to the next,
    so that M(t + Δt) − M(t) = Σ F A Δt to float32 rounding.

    Parameters
    ----------
    n_lat
        rows of the grid
    n_lon
        cells of a row
    layers
        layers, thin ones at the surface
    days
        length of what is stored
    frame_hours
        between stored frames
    step_hours
        of the solver; a divisor of frame_hours
    spin_up_days
        simulated before the first frame, from 400 ppm everywhere
    start
        date of the first frame, a day as YYYY-MM-DD
    scheme
        transport scheme, see `TracerTransport`

    Raises
    ------
    DataError : sizes that are not positive, steps that do not divide a frame, a date that is none.

    Examples
    --------
    >>> small = CarbonSimulation(n_lat=8, n_lon=16, layers=3, days=1, spin_up_days=1)
    >>> data = small.simulate(seed=0)
    >>> dict(data.sizes)["time"], data.variables_3d.dims
    (4, ('time', 'vari_3d', 'level', 'lat', 'lon'))
    """

    n_lat: int = 16
    n_lon: int = 32
    layers: int = 5
    days: int = 730
    frame_hours: int = 6
    step_hours: float = 3.0
    spin_up_days: int = 60
    start: str = "2016-01-01"
    scheme: SchemeName = "moments"

    def __post_init__(self) -> None:
        for name in ("days", "frame_hours", "step_hours"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} = {getattr(self, name)} must be positive.")
        if self.spin_up_days < 0:
            raise DataError(f"spin_up_days = {self.spin_up_days} must be at least 0.")
        whole = abs(self.steps_a_frame * self.step_hours - self.frame_hours) <= 1e-9
        if (24 * self.days) % self.frame_hours or self.steps_a_frame < 1 or not whole:
            raise DataError(
                f"days = {self.days}, frame_hours = {self.frame_hours}, step_hours = "
                f"{self.step_hours}: a frame must be a whole number of steps, and the whole time "
                "one of frames. Choose a step_hours that divides frame_hours."
            )
        self.start_seconds()
        latlon_grid(self.n_lat, self.n_lon)

    def plain(self) -> dict[str, Any]:
        """The values by name."""
        return asdict(self)

    @property
    def steps_a_frame(self) -> int:
        """Solver steps from a frame to the next."""
        return round(self.frame_hours / self.step_hours)

    @property
    def frames(self) -> int:
        """Stored frames."""
        return 24 * self.days // self.frame_hours

    def start_seconds(self) -> float:
        """Seconds from the new year to the first frame."""
        try:
            day = datetime.fromisoformat(self.start)
        except ValueError as error:
            raise DataError(f"start = {self.start!r}; expected a date as 2016-01-01.") from error
        return (day - datetime(day.year, 1, 1)).total_seconds()

    def model(self, *, seed: int, scheme: SchemeName | None = None) -> CarbonModel:
        """The solver behind the data, with another transport scheme if one is named."""
        return CarbonModel(
            latlon_grid(self.n_lat, self.n_lon),
            layers=self.layers,
            seed=seed,
            dt=3600 * self.step_hours,
            scheme=scheme or self.scheme,
        )

    def simulate(self, *, seed: int) -> "xr.Dataset":
        """All frames in memory; the same seed gives the same numbers."""
        frames = list(self._frames(seed))
        return self._dataset(0, seed, [f[0] for f in frames], [f[1] for f in frames])

    def write(
        self,
        path: str | PathLike[str],
        *,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """Write all frames as CF netCDF-4, a block at a time; nothing is left if it fails.

        Parameters
        ----------
        path : ends in .nc.
        seed : of winds and surface.
        progress : is told the frames done.
        """
        path = Path(path)
        if path.suffix != ".nc":
            raise DataError(f"{path} must end in .nc: the simulation is written as netCDF.")
        from netCDF4 import Dataset

        with atomic_path(path) as temporary:
            block: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
            done = 0
            for three, two in self._frames(seed):
                block[0].append(three)
                block[1].append(two)
                last = done + len(block[0]) == self.frames
                if len(block[0]) < BLOCK and not last:
                    continue
                part = self._dataset(done, seed, *block)
                if done == 0:
                    encoding = {v: {"zlib": True, "complevel": 1} for v in part.data_vars}
                    part.to_netcdf(temporary, unlimited_dims=["time"], encoding=encoding)
                else:
                    with Dataset(temporary, "a") as file:
                        span = slice(done, done + len(block[0]))
                        file["time"][span] = self._hours(done, len(block[0]))
                        file["variables_3d"][span] = part.variables_3d.values
                        file["variables_2d"][span] = part.variables_2d.values
                done += len(block[0])
                block = ([], [])
                if progress is not None:
                    progress(done)
        return path

    def _frames(self, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        model = self.model(seed=seed)
        per_day = round(24 / self.step_hours)
        start = self.start_seconds() - 86400.0 * self.spin_up_days
        state = model.advance(model.initial(time=start), per_day * self.spin_up_days)
        for _ in range(self.frames):
            before, applied = state, []
            for _ in range(self.steps_a_frame):
                applied.append(model.sources(state.time + model.dt / 2))
                state = model.step(state)
            mean = SurfaceFluxes(*(torch.stack(f).mean(0) for f in zip(*applied, strict=True)))
            yield _frame(model, before, mean)

    def _hours(self, first: int, count: int) -> np.ndarray:
        return self.frame_hours * np.arange(first, first + count)

    def _dataset(
        self, first: int, seed: int, three: list[np.ndarray], two: list[np.ndarray]
    ) -> "xr.Dataset":
        import xarray as xr

        grid = latlon_grid(self.n_lat, self.n_lon)
        configuration = self.plain()
        attributes = {
            "Conventions": "CF-1.10",
            "title": "Simulated CO2 in weather-like winds, CarbonBench layout",
            "simulation": json.dumps(configuration),
            **provenance(seed=seed, configuration=configuration),
        }
        epoch = f"hours since {self.start} 00:00:00"
        level = np.arange(self.layers, dtype=float)
        about = "layer from the surface up"
        coordinates: dict[str, Any] = {
            "time": (self._hours(first, len(three)), "time", epoch, "T"),
            "level": (level, None, "1", "Z"),
            "lat": (grid.lat.numpy(), "latitude", "degrees_north", "Y"),
            "lon": (grid.lon.numpy(), "longitude", "degrees_east", "X"),
        }
        for name, (values, standard_name, unit, axis) in coordinates.items():
            described = {"standard_name": standard_name} if standard_name else {"long_name": about}
            coordinates[name] = (name, values, {**described, "units": unit, "axis": axis})
        coordinates["time"][2]["calendar"] = "standard"
        coordinates["level"][2]["positive"] = "up"
        coordinates["vari_3d"] = ("vari_3d", np.array(list(VARIABLES_3D), object))
        coordinates["vari_2d"] = ("vari_2d", np.array(list(VARIABLES_2D), object))
        data = {}
        for name, labels, values in (
            ("variables_3d", VARIABLES_3D, three),
            ("variables_2d", VARIABLES_2D, two),
        ):
            dims: tuple[str, ...] = ("time", name.replace("iables", "i"), "level", "lat", "lon")
            described = {
                "long_name": f"variables named by {dims[1]}",
                "label_units": json.dumps({label: unit for label, (unit, _) in labels.items()}),
                "label_meanings": json.dumps({label: text for label, (_, text) in labels.items()}),
            }
            dims = dims if values[0].ndim == 4 else (*dims[:2], *dims[3:])
            data[name] = (dims, np.stack(values), described)
        return xr.decode_cf(xr.Dataset(data, coordinates, attributes))


# Named sizes: seconds, a minute or two, and the published study's grid.
CARBON_SIMULATIONS: dict[str, Callable[[], CarbonSimulation]] = {
    "smoke": lambda: CarbonSimulation(n_lat=8, n_lon=16, layers=3, days=20, spin_up_days=5),
    "small": CarbonSimulation,
    "paper": lambda: CarbonSimulation(n_lat=32, n_lon=64, layers=10, step_hours=2.0),
}


def simulation_of(attributes: dict[str, Any]) -> tuple[CarbonSimulation, int]:
    """The simulation and the seed that made a data set, from its attributes.

    Raises
    ------
    DataError : the data set is not one of `CarbonSimulation`.
    """
    if "simulation" not in attributes or "seed" not in attributes:
        raise DataError(
            "the data set has no attributes 'simulation' and 'seed': it was not made by "
            "`pushforward simulate atmosphere`, so its winds cannot be made again."
        )
    return CarbonSimulation(**json.loads(attributes["simulation"])), int(attributes["seed"])


def _frame(
    model: CarbonModel, state: TracerState, fluxes: SurfaceFluxes
) -> tuple[np.ndarray, np.ndarray]:
    met, grid = model.meteorology(state), model.grid
    three = {
        "airmass": state.air_mass / 1e12,
        "co2massmix": state.mixing_ratio[0] * 1e6,
        "gph_bottom": met.height[:-1] / 1e3,
        "gph_top": met.height[1:] / 1e3,
        "p_bottom": met.pressure[:-1] / 100,
        "p_top": met.pressure[1:] / 100,
        "q": met.humidity,
        "t": met.temperature,
        "u": met.u,
        "v": met.v,
    }
    two = {
        "blh": met.boundary_layer,
        "cell_area": grid.cell_area,
        "co2flux_anthro": fluxes.anthropogenic,
        "co2flux_land": fluxes.land,
        "co2flux_ocean": fluxes.ocean,
        "orography": model.surface.orography,
        "tisr": met.incident_solar,
    }
    return (
        np.stack([three[name].numpy() for name in VARIABLES_3D]).astype(np.float32),
        np.stack([two[name].numpy() for name in VARIABLES_2D]).astype(np.float32),
    )
