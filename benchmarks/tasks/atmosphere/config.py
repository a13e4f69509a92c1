"""Configuration of the atmosphere task: what a run does, and its presets."""

from dataclasses import dataclass, field
from typing import Literal

from pushforward.benchmarks.tasks.configuration import TaskConfig, check_known, make_stages
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import NETWORKS, MassFixer
from pushforward.surrogates.training import Optimisation, Stage

__all__ = ["ATMOSPHERE_PRESETS", "AtmosphereConfig"]

SIZES: dict[str, dict[str, dict[str, int]]] = {
    "tiny": {
        "unet": {"width": 8, "stages": 3},
        "swin": {"width": 8, "depth": 1, "heads": 2},
        "sfno": {"width": 8, "depth": 1},
        "graphcast": {"width": 8, "depth": 1, "refinements": 1},
    },
    "small": {
        "unet": {"width": 32},
        "swin": {"width": 64, "depth": 4, "heads": 4, "patch": 2},
        "sfno": {"width": 48, "depth": 3},
        "graphcast": {"width": 32, "depth": 2, "refinements": 2},
    },
}


@dataclass(frozen=True)
class AtmosphereConfig(TaskConfig):
    """Train four emulators of CO2 transport; forecast from starts in a test period; score them
    with and without mass fixer and centring, beside persistence and first-order upwind transport.

    Parameters
    ----------
    seed
        of initial weights and batches
    n_seeds
        seeds seed, seed + 1, ... are run
    data
        data in CarbonBench's schema (zarr, .zarr.zip, netCDF); simulated if not given
    test_data
        more such data, to forecast; then all of `data` is for training
    stations
        folder of ObsPack netCDF files to compare the forecasts with
    grid
        rows and columns of the simulated data
    levels
        layers of the simulated data
    days
        of simulated data
    step_hours
        between times of the simulated data
    spin_up_days
        simulated before the first time
    data_seed
        of the simulated weather and fluxes
    train_share, validation_share
        of the times, from their beginning; what is left is for testing
    lead_days
        of a forecast
    start_every_days
        between the starts of forecasts in the test period
    rise
        ppm added to the starts of a second set of learned forecasts, as if CO2 had risen since
        training
    models
        networks, of unet, swin, sfno, graphcast
    uncentred
        also train every network without centring
    size
        of the networks: tiny, small, paper
    fixer
        mode of the mass fixer
    fixer_reference
        of the mass fixer: stepwise or pinned
    unrolls, unroll_steps
        lengths of the training roll-outs, in order, and gradient steps of each
    batch_size
        windows of single steps
    learning_rate
        largest; after a linear warm-up, cosine to a hundredth of it in single steps
    warm_up
        steps of the warm-up
    rollout_rate
        constant learning rate of longer roll-outs, as a share of `learning_rate`
    spectral
        share of the spectral loss
    speed_steps, speed_repeats
        forward steps timed, and how often
    """

    SWEEP = ("seed", "n_seeds", "models", "uncentred")

    seed: int = 0
    n_seeds: int = 1
    data: str | None = None
    test_data: str | None = None
    stations: str | None = None
    grid: list[int] = field(default_factory=lambda: [16, 32])
    levels: int = 5
    days: int = 730
    step_hours: int = 6
    spin_up_days: int = 60
    data_seed: int = 0
    train_share: float = 0.6
    validation_share: float = 0.04
    lead_days: int = 90
    start_every_days: int = 30
    rise: float = 30.0
    models: list[str] = field(default_factory=lambda: list(NETWORKS))
    uncentred: bool = True
    size: Literal["tiny", "small", "paper"] = "small"
    fixer: Literal["scale", "shift", "additive", "clip"] = "scale"
    fixer_reference: Literal["stepwise", "pinned"] = "pinned"
    unrolls: list[int] = field(default_factory=lambda: [1, 3, 8])
    unroll_steps: list[int] = field(default_factory=lambda: [2000, 500, 150])
    batch_size: int = 4
    learning_rate: float = 3e-3
    warm_up: int = 100
    rollout_rate: float = 0.1
    spectral: float = 0.1
    speed_steps: int = 120
    speed_repeats: int = 5

    def __post_init__(self) -> None:
        check_known("model", self.models, NETWORKS)
        make_stages(self.unroll_steps, self.unrolls)
        if len(self.grid) != 2:
            raise DataError(f"grid = {self.grid} must be rows and columns.")
        self.check_counts(
            "n_seeds",
            "levels",
            "days",
            "step_hours",
            "lead_days",
            "start_every_days",
            "batch_size",
            "speed_steps",
            "speed_repeats",
        )
        if not 0 < self.train_share < self.train_share + self.validation_share < 1:
            raise DataError(
                f"train_share = {self.train_share} and validation_share = "
                f"{self.validation_share} must be positive and leave something for testing."
            )
        if self.test_data is not None and self.data is None:
            raise DataError(
                f"test_data = {self.test_data!r} needs data to train on: give data too."
            )
        MassFixer(self.fixer, reference=self.fixer_reference)

    @property
    def stages(self) -> list[Stage]:
        """Stages of training."""
        return make_stages(self.unroll_steps, self.unrolls)

    @property
    def optimisation(self) -> Optimisation:
        """Of single steps; as published but for the numbers of steps."""
        return Optimisation(
            learning_rate=self.learning_rate,
            weight_decay=0.1,
            schedule="cosine",
            clip_norm=32.0,
            warm_up=self.warm_up,
        )

    @property
    def variants(self) -> list[str]:
        """Networks to train: each centred, and without centring if asked."""
        plain = list(self.models)
        return [*plain, *(f"{m}_uncentred" for m in plain)] if self.uncentred else plain


def _small() -> AtmosphereConfig:
    return AtmosphereConfig(n_seeds=3)


def _smoke() -> AtmosphereConfig:
    return AtmosphereConfig(
        grid=[8, 16],
        levels=3,
        days=24,
        spin_up_days=2,
        train_share=0.5,
        lead_days=8,
        start_every_days=2,
        models=["unet", "sfno"],
        uncentred=False,
        size="tiny",
        unrolls=[1, 3],
        unroll_steps=[20, 3],
        warm_up=2,
        batch_size=4,
        speed_steps=4,
        speed_repeats=2,
    )


def _paper() -> AtmosphereConfig:
    """The published sizes, batch and number of steps on simulated 5.625-degree data, for a GPU.

    The published curriculum goes 3, 5, … 31 with two epochs each on 17 years; here it is given in
    gradient steps.
    """
    return AtmosphereConfig(
        n_seeds=3,
        grid=[32, 64],
        levels=10,
        days=1461,
        size="paper",
        unrolls=[1, *range(3, 32, 2)],
        unroll_steps=[100_000, *[400] * 15],
        batch_size=64,
        learning_rate=1e-3,
        warm_up=1000,
        rollout_rate=0.01,
    )


ATMOSPHERE_PRESETS = {"smoke": _smoke, "small": _small, "paper": _paper}
"""Name -> configuration: `smoke` (seconds), `small` (the committed leaderboard), `paper`."""
