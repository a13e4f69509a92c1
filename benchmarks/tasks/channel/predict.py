"""A trained emulator of channel flow applied to a file of velocities; forecasts out as netCDF."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from pushforward.benchmarks.tasks.channel.data import channel_grid
from pushforward.benchmarks.tasks.channel.rows import load_emulator
from pushforward.benchmarks.tasks.origin import model_origin
from pushforward.datasets import open_channel
from pushforward.datasets.channel import write_channel_forecasts
from pushforward.datasets.forecasts import new_file
from pushforward.simulators.errors import DataError
from pushforward.surrogates.training.devices import resolve_device

__all__ = ["predict"]

log = logging.getLogger(__name__)


def predict(
    folder: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    steps: int | None = None,
    runs: Sequence[int] | None = None,
    start: int = 0,
    every: int | None = None,
    device: str = "auto",
) -> Path:
    """Go on from runs of a file with a trained emulator, and write what it forecasts.

    Parameters
    ----------
    folder : of the saved emulator.
    data : velocities on its grid, whose frames are as far apart as those it was trained on.
    out : netCDF file to write, in the layout of `open_channel_forecasts`; must not exist.
    steps : of the emulator; default: from the first start to the last frame of the data.
    runs : numbers of the runs to go on from; default: all.
    start : frame of the first start.
    every : frames between starts; from all of them the data must last for `steps`. Default: one
        start a run, whose forecast may pass the end of the data.
    device : auto, cpu, cuda, cuda:N.

    Returns
    -------
    The path.

    Raises
    ------
    DataError : no emulator there; another grid; runs or frames that are not in the data; an
        existing file.
    """
    path = new_file(out)
    device = resolve_device(device)
    source = open_channel(data)
    model = load_emulator(Path(folder), channel_grid(source)).to(device)
    chosen = list(range(len(source))) if runs is None else list(runs)
    if wrong := [r for r in chosen if r not in range(len(source))]:
        raise DataError(f"--runs {wrong}: {data} has the runs 0 to {len(source) - 1}.")
    if not 0 <= start < source.frames:
        raise DataError(f"--start {start}: {data} has the frames 0 to {source.frames - 1}.")
    ahead = source.frames - 1 - start if steps is None else steps
    if ahead < 1:
        raise DataError(f"{data} ends at frame {start}. Give --steps, or an earlier --start.")
    starts = [start] if every is None else list(range(start, source.frames - ahead, every))
    if not starts:
        raise DataError(
            f"{data} has {source.frames} frames, too few for {ahead} steps from frame {start}. "
            "Give fewer --steps, or leave --every out to go beyond the data."
        )
    places = [(run, frame) for frame in starts for run in chosen]
    first = torch.cat([source.velocity(run, frame, frame + 1) for run, frame in places])
    log.info("%s: %d forecasts of %d steps", folder, len(places), ahead)
    with torch.inference_mode():
        found = model.rollout(first.to(device).double(), ahead)
    for (run, frame), bounded in zip(places, found.bounded_steps.tolist(), strict=True):
        if bounded < ahead:
            log.warning("run %d from frame %d left the bounded range", run, frame)
    return write_channel_forecasts(
        path,
        found.velocity,
        source,
        run=[run for run, _ in places],
        start=[frame for _, frame in places],
        attributes=model_origin(model, folder),
    )
