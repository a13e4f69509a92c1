"""The data of the channel task: filtered flows, what is learned from, judged on and compared to."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.metrics.channel import (
    ChannelSpectra,
    channel_profiles,
    channel_spectra,
    fluctuation_energy,
    profile_error,
    spectra_error,
)
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.channel.config import ChannelConfig
from pushforward.datasets import ChannelData, open_channel
from pushforward.datasets.channel import CHANNEL_SIMULATIONS, generate_channel
from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel import ChannelGrid
from pushforward.surrogates.training import Progress

__all__ = ["ChannelProblem", "Windows", "channel_grid", "channel_problem", "open_or_simulate"]

HEIGHTS = (5.0, 15.0, 30.0, math.inf)  # y+ of the spectra; the last is the centre plane


@dataclass(frozen=True)
class Windows:
    """Short forecasts: where they start and what came after.

    Parameters
    ----------
    start : (n, 3, x, y, z).
    truth : (n, steps, 3, x, y, z).
    """

    start: Float[Tensor, "n 3 x y z"]
    truth: Float[Tensor, "n steps 3 x y z"]


@dataclass(frozen=True)
class ChannelProblem:
    """One data set, split, with the statistics that everything is compared to.

    Parameters
    ----------
    data : the whole of it.
    training : runs to learn from.
    judged : runs that forecasts start in.
    judged_runs : their numbers in the file.
    grid : where the velocities live.
    mean : (3, y), mean profile of the training runs, about which fluctuations are counted.
    profiles, spectra : of all runs: the best estimate of the flow's statistics there is.
    energy : mean fluctuation energy of all runs.
    planes : indices in y of the planes at each of the heights of the spectra.
    floor : errors of one half of the runs against the other, in the metrics' names.
    fingerprint : of the file.
    """

    data: ChannelData
    training: Float[Tensor, "runs time 3 x y z"]
    judged: Float[Tensor, "runs time 3 x y z"]
    judged_runs: tuple[int, ...]
    grid: ChannelGrid
    mean: Float[Tensor, "3 y"]
    profiles: dict[str, Float[np.ndarray, " half"]]
    spectra: ChannelSpectra
    energy: float
    planes: list[tuple[int, ...]]
    floor: dict[str, float]
    fingerprint: str

    @property
    def half_weights(self) -> Float[np.ndarray, " half"]:
        """Quadrature weights of the lower half."""
        half = (self.grid.shape[1] + 1) // 2
        weights = self.grid.weights[:half].clone()
        if self.grid.shape[1] % 2:
            weights[-1] /= 2
        return weights.numpy()

    @property
    def frame_spacing(self) -> float:
        """Time between frames in h/u_tau."""
        return self.data.time_step / self.data.friction_time

    def windows(self, every: int, steps: int) -> Windows:
        """Short forecasts that start every so many frames of the judged runs."""
        frames = self.judged.shape[1]
        if frames <= steps:
            raise DataError(
                f"runs of {frames} frames are too short for forecasts of {steps} steps. Give "
                "shorter --horizons, or longer runs."
            )
        starts = range(0, frames - steps, every)
        parts = [self.judged[:, s : s + steps + 1] for s in starts]
        together = torch.cat(parts)
        return Windows(together[:, 0], together[:, 1:])


def open_or_simulate(config: ChannelConfig, folder: RunFolder) -> ChannelData:
    """The file given, or one simulated into the run's folder."""
    if config.data is not None:
        return open_channel(config.data)
    path = folder.predictions / "data.nc"
    if not path.exists():
        with Progress(100, "simulated flows, percent") as progress:
            done = 0.0

            def report(share: float) -> None:
                nonlocal done
                done += share
                progress.advance(round(100 * done) - progress.done)

            generate_channel(CHANNEL_SIMULATIONS[config.simulation](), path, report=report)
    return open_channel(path)


def channel_problem(config: ChannelConfig, data: ChannelData) -> ChannelProblem:
    """Split the data and take its statistics.

    Raises
    ------
    DataError : too few runs, walls that are not at the ends of y, or values that are not finite.
    """
    training, validation, test = data.split(
        test=config.test_runs, validation=config.validation_runs
    )
    judged = validation if config.validate and validation is not None else test
    grid = channel_grid(data)
    everything, learned = data.load(), training.load()
    mean = learned.double().mean((0, 1, 3, 5))
    planes = _planes(grid, data.friction_reynolds)
    halves = [everything[i::2] for i in range(2)]
    profiles = [channel_profiles(part, fold=True) for part in (everything, *halves)]
    spectra = [channel_spectra(part, planes) for part in (everything, *halves)]
    problem = ChannelProblem(
        data,
        learned,
        judged.load(),
        judged.runs,
        grid,
        mean,
        profiles[0],
        spectra[0],
        float(fluctuation_energy(everything, mean, grid.weights).mean()),
        planes,
        {},
        _fingerprint(data),
    )
    for name, profile in profiles[1].items():
        error = profile_error(profile, profiles[2][name], problem.half_weights)
        problem.floor[f"error_{name}"] = error
    problem.floor["spectra_error"] = spectra_error(spectra[1], spectra[2])
    return problem


def channel_grid(data: ChannelData) -> ChannelGrid:
    """The grid of some data, between walls at -1 and 1."""
    y = (data.y.double() - 1).tolist()
    return ChannelGrid(data.shape, (data.lengths[0], data.lengths[2]), tuple(y))


def _planes(grid: ChannelGrid, friction_reynolds: float) -> list[tuple[int, ...]]:
    """The planes nearest to each height, at both walls."""
    ny = grid.shape[1]
    half = (ny + 1) // 2
    wall = (np.asarray(grid.y)[:half] + 1) * friction_reynolds
    planes: list[tuple[int, ...]] = []
    for height in HEIGHTS:
        j = half - 1 if math.isinf(height) else max(int(np.abs(wall - height).argmin()), 1)
        planes.append((j,) if j == ny - 1 - j else (j, ny - 1 - j))
    return planes


def _fingerprint(data: ChannelData) -> str:
    """Of the numbers, so that the same data give the same board wherever the file lies."""
    digest = hashlib.sha256()
    for run in range(len(data)):
        digest.update(data.velocity(run).numpy().tobytes())
    return digest.hexdigest()[:16]
