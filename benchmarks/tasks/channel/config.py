"""Configuration of the channel task: what a run does, and its presets."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward.benchmarks.tasks.configuration import TaskConfig, check_known, make_stages
from pushforward.datasets.channel import CHANNEL_SIMULATIONS
from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel import Precision, Target
from pushforward.surrogates.training import Optimisation, Stage

__all__ = ["CHANNEL_PRESETS", "CLOSURES", "MODELS", "SIZES", "ChannelConfig"]

MODELS = ("ifactformer", "ifactformer_chained", "fno", "ifno")
CLOSURES = ("dynamic_smagorinsky", "wale", "no_model")

# Sizes within a few per cent of the parameters of the parallel transformer, and gradient steps as a
# multiple of its own, such that all train for about the same time (measured on one CPU core).
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "ifactformer": {"dim": 12, "heads": 2, "dim_head": 4, "iterations": 2},
        "ifactformer_chained": {"dim": 12, "heads": 2, "dim_head": 4, "iterations": 2},
        "fno": {"width": 3, "modes": [3, 4, 3], "layers": 2, "hidden": 16},
        "ifno": {"width": 4, "modes": [3, 5, 3], "layers": 2, "hidden": 16},
    },
    "small": {
        "ifactformer": {
            "dim": 32, "heads": 4, "dim_head": 8, "kernel_multiplier": 12, "iterations": 4
        },
        "ifactformer_chained": {
            "dim": 32, "heads": 4, "dim_head": 8, "kernel_multiplier": 12, "iterations": 4
        },
        "fno": {"width": 6, "modes": [6, 8, 5], "layers": 3, "hidden": 64},
        "ifno": {"width": 10, "modes": [5, 10, 5], "layers": 4, "hidden": 128},
    },
    "paper": {
        "ifactformer": {"dim": 96, "heads": 5, "dim_head": 96, "iterations": 10},
        "ifactformer_chained": {"dim": 96, "heads": 5, "dim_head": 96, "iterations": 10},
        "fno": {"width": 12, "modes": [8, 8, 8], "layers": 4, "hidden": 1920},
        "ifno": {"width": 24, "modes": [8, 8, 8], "layers": 10, "hidden": 2000},
    },
}  # fmt: skip
PACE: dict[str, dict[str, float]] = {
    "tiny": {},
    "small": {"ifactformer_chained": 1.2, "fno": 4.3, "ifno": 2.1},
    "paper": {},
}


@dataclass(frozen=True)
class ChannelConfig(TaskConfig):
    """Train four emulators of filtered channel flow; judge one step, many steps and long-run
    statistics beside persistence, the mean profile, and large-eddy simulation on the same grid.

    Parameters
    ----------
    seed
        of initial weights and batches
    n_seeds
        seeds seed, seed + 1, ... are run
    data
        file of filtered flows, made by `pushforward simulate channel` or of the published layout;
        simulated if not given
    simulation
        preset of `pushforward simulate channel` that is simulated: smoke, small, paper
    test_runs
        runs that are judged, the last ones
    validation_runs
        runs before those that no training and no test sees, for one's own choices
    validate
        judge on the validation runs instead, to choose by
    models
        of ifactformer, ifactformer_chained, fno, ifno
    size
        of the networks: tiny, small, paper
    precision
        of the transformers' hidden layers; bfloat16 is quicker on processors with matrix units
    positions
        of the transformers: true, or as released
    quadrature
        weights in the transformers' sums over y
    target
        what the networks learn: the change beyond convection, the increment, or the next field as
        published
    constrained
        impose no slip, no divergence and the mass flux on every step
    noise
        on training states, as a share of the fluctuations' rms
    unrolls
        steps of push-forward in training, stage by stage
    unroll_steps
        gradient steps of each stage, of the parallel transformer; the others take more, as they
        are quicker, so that all train for about the same time
    batch_size
        windows a gradient step
    optimisation
        AdamW; its number of steps is replaced by those of the stages
    start_every
        frames between the starts of short forecasts
    horizons
        steps after which short forecasts are judged
    rollout_steps
        steps of the long roll-out
    les
        sub-grid models of the large-eddy rows: dynamic_smagorinsky, wale, no_model
    les_frames
        frames of their long runs; a simulation costs more than a network
    """

    SWEEP = ("seed", "n_seeds", "models")

    seed: int = 0
    n_seeds: int = 3
    data: str | None = None
    simulation: Literal["smoke", "small", "paper"] = "small"
    test_runs: int = 2
    validation_runs: int = 1
    validate: bool = False
    models: list[str] = field(default_factory=lambda: list(MODELS))
    size: Literal["tiny", "small", "paper"] = "small"
    precision: Precision = "bfloat16"
    positions: Literal["true", "released"] = "true"
    quadrature: bool = True
    target: Target = "convected"
    constrained: bool = True
    noise: float = 0.1
    unrolls: list[int] = field(default_factory=lambda: [1, 2])
    unroll_steps: list[int] = field(default_factory=lambda: [400, 150])
    batch_size: int = 4
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            learning_rate=5e-3, weight_decay=1e-4, schedule="cosine", clip_norm=1.0
        )
    )
    start_every: int = 50
    horizons: list[int] = field(default_factory=lambda: [1, 5, 10, 50])
    rollout_steps: int = 1000
    les: list[str] = field(default_factory=lambda: list(CLOSURES))
    les_frames: int = 400

    def __post_init__(self) -> None:
        self.check_counts("n_seeds", "test_runs", "batch_size", "start_every", "rollout_steps")
        check_known("model", self.models, MODELS)
        check_known("sub-grid model", self.les, CLOSURES)
        check_known("size", [self.size], SIZES)
        check_known("simulation", [self.simulation], CHANNEL_SIMULATIONS)
        make_stages(self.unroll_steps, self.unrolls)
        if not self.horizons or min(self.horizons) < 1:
            raise DataError(f"horizons = {self.horizons}; give steps from 1 on.")
        if self.validate and self.validation_runs < 1:
            raise DataError("validate needs validation_runs of at least 1.")

    def stages(self, model: str) -> list[Stage]:
        """The curriculum of a model."""
        pace = PACE[self.size].get(model, 1.0)
        return make_stages([round(pace * steps) for steps in self.unroll_steps], self.unrolls)


def _small() -> ChannelConfig:
    return ChannelConfig()


def _smoke() -> ChannelConfig:
    return ChannelConfig(
        n_seeds=1,
        simulation="smoke",
        test_runs=1,
        size="tiny",
        unrolls=[1, 2],
        unroll_steps=[6, 3],
        batch_size=2,
        start_every=3,
        horizons=[1, 3],
        rollout_steps=12,
        les=["wale"],
        les_frames=6,
    )


def _paper() -> ChannelConfig:
    """The published sizes, 32 x 33 x 16 points, 21 runs, 30 passes. For a GPU."""
    return ChannelConfig(
        simulation="paper",
        test_runs=1,
        validation_runs=4,
        size="paper",
        unrolls=[1, 4],
        unroll_steps=[30000, 8000],
        batch_size=5,
        optimisation=Optimisation(
            learning_rate=5e-4, weight_decay=1e-2, schedule="cosine", clip_norm=1.0
        ),
        les_frames=1000,
    )


CHANNEL_PRESETS = {"smoke": _smoke, "small": _small, "paper": _paper}
"""Name -> configuration: `smoke` (seconds), `small` (the committed leaderboard), `paper`."""
