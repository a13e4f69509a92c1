"""A trained emulator of CO2 transport applied to a file of weather; forecasts out as netCDF."""

import logging
import os
from pathlib import Path

import numpy as np
import torch

from pushforward.benchmarks.tasks.atmosphere.rows import load_emulator
from pushforward.benchmarks.tasks.origin import model_origin
from pushforward.datasets.atmosphere import CarbonData, open_carbon, write_carbon_forecasts
from pushforward.datasets.forecasts import new_file
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import with_fixer
from pushforward.surrogates.training.devices import resolve_device

__all__ = ["predict"]

log = logging.getLogger(__name__)


def predict(
    folder: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    steps: int | None = None,
    start: str | None = None,
    every: int | None = None,
    free: bool = False,
    device: str = "auto",
) -> Path:
    """Forecast CO2 with a trained emulator in the weather and fluxes of a file.

    Parameters
    ----------
    folder : of the saved emulator.
    data : CO2 to start from, weather, air and fluxes, on its grid and layers, in CarbonBench's
        schema, whose times are as far apart as those it was trained on.
    out : netCDF file to write, in the layout of `open_carbon_forecasts`; must not exist.
    steps : of the emulator; default: from the first start to the last time of the data.
    start : date of the first start, as 2016-01-09T06; default: the first time of the data.
    every : steps between starts, as long as the data last; default: one start.
    free : without its mass fixer, as a run's rows NAME_free.
    device : auto, cpu, cuda, cuda:N.

    Returns
    -------
    The path.

    Raises
    ------
    DataError : no emulator there; another grid or other layers; a date or steps that the data do
        not have; an existing file.
    """
    path = new_file(out)
    device = resolve_device(device)
    model = load_emulator(Path(folder))
    source = open_carbon(data, levels=model.levels)
    found = (source.grid.n_lat, source.grid.n_lon)
    if found != tuple(model.network.grid):
        raise DataError(
            f"{data} has {found[0]} x {found[1]} rows and columns; the model in {folder} was made "
            f"for {' x '.join(map(str, model.network.grid))}. Regrid the data conservatively "
            "(pushforward.datasets.atmosphere.conservative), or train on its grid."
        )
    first = 0 if start is None else _index(source, start, data)
    ahead = len(source) - 1 - first if steps is None else steps
    if ahead < 1 or first + ahead >= len(source):
        raise DataError(
            f"{data} has {len(source) - 1 - first} steps from {source.times[first]} on; weather "
            f"and fluxes are needed for all {ahead}. Give fewer --steps, or an earlier --start."
        )
    starts = [first] if every is None else list(range(first, len(source) - ahead, every))
    window = source.windows(starts, ahead).to(device)
    log.info("%s: %d forecasts of %d steps", folder, len(starts), ahead)
    emulator = with_fixer(model, None) if free else model
    with torch.inference_mode():
        predicted = (
            emulator.to(device).rollout(window.concentration[:, 0], ahead, condition=window).cpu()
        )
    lost = ~torch.isfinite(predicted).flatten(1).all(1)
    for i in np.flatnonzero(lost.numpy()):
        log.warning("the forecast from %s left the bounded range", source.times[starts[i]])
    return write_carbon_forecasts(
        path,
        predicted,
        source,
        start=starts,
        attributes=model_origin(emulator, folder),
    )


def _index(data: CarbonData, start: str, path: object) -> int:
    """Index of a date, given as far as is needed to tell it from the others."""
    found = [
        i for i, time in enumerate(data.times) if str(time).replace(" ", "T").startswith(start)
    ]
    if not found:
        raise DataError(
            f"--start {start}: no time of {path} begins so; they run from {data.times[0]} to "
            f"{data.times[-1]} every {data.step_hours:g} h."
        )
    return found[0]
