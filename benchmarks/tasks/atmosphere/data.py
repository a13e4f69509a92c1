"""The data of the atmosphere task: opened or simulated, split by time, cut into forecasts."""

from dataclasses import dataclass

from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.atmosphere.config import AtmosphereConfig
from pushforward.datasets.atmosphere import CO2_PER_AIR, CarbonData, CarbonWindow, open_carbon
from pushforward.simulators.atmosphere import CarbonSimulation
from pushforward.simulators.errors import DataError
from pushforward.surrogates.training import Progress

__all__ = ["ForecastSet", "cut_forecasts", "simulated_data", "split"]


@dataclass(frozen=True)
class ForecastSet:
    """The forecasts that every row makes.

    Parameters
    ----------
    window : a batch of starts, with all the steps of a forecast.
    starts : index of each start in the data.
    times : of the starts, as text.
    """

    window: CarbonWindow
    starts: list[int]
    times: list[str]

    def risen(self, ppm: float) -> CarbonWindow:
        """The same with more CO2 everywhere and always: transport leaves a uniform rise as it is,
        so this is the truth from starts that hold so much more."""
        rise = ppm * CO2_PER_AIR
        w = self.window
        return CarbonWindow(w.concentration + rise, w.airmass, w.inputs, w.surface_mass)


def simulation(config: AtmosphereConfig) -> CarbonSimulation:
    """What simulates the data."""
    return CarbonSimulation(
        n_lat=config.grid[0],
        n_lon=config.grid[1],
        layers=config.levels,
        days=config.days,
        frame_hours=config.step_hours,
        step_hours=config.step_hours / 2,
        spin_up_days=config.spin_up_days,
    )


def simulated_data(config: AtmosphereConfig, folder: RunFolder) -> CarbonData:
    """Data simulated into the run's folder, unless they are there."""
    path = folder.predictions / "data.nc"
    if not path.exists():
        simulator = simulation(config)
        with Progress(simulator.frames, "simulated CO2") as progress:
            simulator.write(
                path,
                seed=config.data_seed,
                progress=lambda done: progress.advance(done - progress.done),
            )
    return open_carbon(path)


def split(config: AtmosphereConfig, data: CarbonData) -> tuple[CarbonData, CarbonData]:
    """Training times from the beginning, test times from the end; what lies between, the
    validation share, keeps the two apart. With test data of their own, all of `data` is training.

    Raises
    ------
    DataError : a test part shorter than one forecast; test data on another grid.
    """
    if config.test_data is not None:
        test = open_carbon(config.test_data, levels=len(data.level))
        if test.grid != data.grid or test.step_hours != data.step_hours:
            raise DataError(
                f"{config.test_data}: {test.grid.n_lat} x {test.grid.n_lon} cells every "
                f"{test.step_hours:g} h; the training data have {data.grid.n_lat} x "
                f"{data.grid.n_lon} every {data.step_hours:g} h. Use data of one kind."
            )
        return data, _long_enough(config, test)
    first = round(len(data) * config.train_share)
    second = round(len(data) * (config.train_share + config.validation_share))
    return data.part(0, first), _long_enough(config, data.part(second, len(data)))


def _long_enough(config: AtmosphereConfig, test: CarbonData) -> CarbonData:
    steps = forecast_steps(config, test)
    if len(test) <= steps:
        raise DataError(
            f"{len(test)} times are for testing, but a forecast of {config.lead_days} days takes "
            f"{steps}. Use more data, shorter forecasts, or smaller shares for training."
        )
    return test


def forecast_steps(config: AtmosphereConfig, data: CarbonData) -> int:
    """Steps of a forecast."""
    return round(config.lead_days * 24 / data.step_hours)


def cut_forecasts(config: AtmosphereConfig, test: CarbonData) -> ForecastSet:
    """Starts at equal distances whose forecasts fit into the test part and cross no gap."""
    steps = forecast_steps(config, test)
    every = round(config.start_every_days * 24 / test.step_hours)
    free = set(test.starts(steps).tolist())
    starts = [s for s in range(0, len(test) - steps, every) if s in free]
    if not starts:
        raise DataError(
            f"no forecast of {config.lead_days} days starts between the gaps of the test part. "
            "Use shorter forecasts, or start more often."
        )
    window = test.windows(starts, steps)
    return ForecastSet(
        window, [test.start + s for s in starts], [str(test.times[s]) for s in starts]
    )
