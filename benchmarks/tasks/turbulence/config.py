"""Configuration of the turbulence task: what a run does, and its presets."""

import math
from dataclasses import dataclass, field, replace

from pushforward.benchmarks.tasks.configuration import TaskConfig, check_known, make_stages
from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import stable_time_step
from pushforward.surrogates.training import Optimisation
from pushforward.surrogates.turbulence import CoarseFlow, Precision, Stage

__all__ = ["TURBULENCE_PRESETS", "FlowSet", "TurbulenceConfig"]

SIDE = 2 * math.pi


@dataclass(frozen=True)
class FlowSet:
    """Flows of one kind, started from random velocities of their own seed.

    Parameters
    ----------
    name
        of the split
    flows
        how many
    seed
        of the random initial velocities; no two sets may share one
    spin_up
        time units on the spin-up grid, thrown away; 0 starts on the reference grid at once
    settle
        time units on the reference grid before the first frame, thrown away
    time
        time units from the start of the forecasts on
    viscosity, drag, amplitude
        of the flow
    domain
        side of the square, in units of 2 pi
    """

    name: str
    flows: int
    seed: int
    time: float
    spin_up: float = 20.0
    settle: float = 5.0
    viscosity: float = 1e-3
    drag: float = 0.1
    amplitude: float = 1.0
    domain: int = 1


@dataclass(frozen=True)
class TurbulenceConfig(TaskConfig):
    """Train coarse models on a down-sampled finite-volume reference; judge them by duration and
    seconds beside coarse, finer and spectral solvers.

    Parameters
    ----------
    seed
        first seed of the learned models
    n_seeds
        number of seeds, from the first on
    reference_cells
        cells a side of the reference (finite volumes, van Leer), for a side of 2 pi
    coarse_cells
        cells a side on which models work and everything is compared
    spin_up_cells
        cells a side on which flows grow from their random start before they are refined
    stride
        learned models and spectral solvers take steps this many times the finite-volume solver's
        at the same resolution, whose Courant number is 1/2 at speed 7
    finite_volume
        resolutions of the finite-volume rows
    spectral
        resolutions of the spectral rows
    data
        file of flows to learn from, made by `pushforward simulate turbulence` or of a published
        layout, on the coarse grid and with the models' step between frames; simulated if not given
    train_flows
        flows to learn from, where they are simulated
    train_time
        time units of each
    test_flows
        flows to forecast
    test_time
        time units to forecast
    other_flows
        flows of each out-of-distribution set; 0 leaves these sets out
    other_time
        time units to forecast there
    spin_up
        time units on the spin-up grid
    settle
        time units on the reference grid, thrown away
    models
        learned rows, of li, lc, tsm and li_bundled, tsm_bundled: learned interpolation, learned
        correction, temporal stencil, and the first and last with one network call for several steps
    hidden
        channels of the networks
    layers
        hidden layers of the networks
    precision
        of the hidden layers: bfloat16 is several times quicker on processors with matrix units
    frames
        history of tsm
    memory
        of tsm: raw, lagt, legt, legs
    features
        coefficients of its memory for each component
    bundle
        steps a network call of tsm_bundled and li_bundled
    unrolls
        time steps of the training roll-outs, stage by stage
    unroll_steps
        gradient steps of each stage
    batch_size
        windows a gradient step
    optimisation
        AdamW; its number of steps is replaced by those of the stages
    """

    SWEEP = ("seed", "n_seeds")

    seed: int = 0
    n_seeds: int = 3
    reference_cells: int = 256
    coarse_cells: int = 32
    spin_up_cells: int = 64
    stride: int = 2
    finite_volume: list[int] = field(default_factory=lambda: [32, 64, 128])
    spectral: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    data: str | None = None
    train_flows: int = 16
    train_time: float = 16.0
    test_flows: int = 16
    test_time: float = 10.0
    other_flows: int = 8
    other_time: float = 6.0
    spin_up: float = 20.0
    settle: float = 2.0
    models: list[str] = field(default_factory=lambda: ["li", "lc", "tsm", "tsm_bundled"])
    hidden: int = 32
    layers: int = 6
    precision: Precision = "bfloat16"
    frames: int = 4
    memory: str = "raw"
    features: int = 6
    bundle: int = 4
    unrolls: list[int] = field(default_factory=lambda: [4, 8, 16, 32])
    unroll_steps: list[int] = field(default_factory=lambda: [400, 250, 150, 200])
    batch_size: int = 8
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            learning_rate=2e-3, weight_decay=1e-4, schedule="cosine", clip_norm=1.0
        )
    )

    def __post_init__(self) -> None:
        self.check_counts("n_seeds", "stride", "train_flows", "test_flows", "batch_size", "bundle")
        check_known("model", self.models, ("li", "li_bundled", "lc", "tsm", "tsm_bundled"))
        make_stages(self.unroll_steps, self.unrolls)
        for cells in (self.coarse_cells, *self.finite_volume, *self.spectral):
            if self.reference_cells % cells:
                raise DataError(
                    f"{cells} cells do not divide the reference's {self.reference_cells}."
                )
        for cells in self.finite_volume:
            if cells % self.coarse_cells:
                raise DataError(f"{self.coarse_cells} coarse cells do not divide {cells}.")

    @property
    def stages(self) -> list[Stage]:
        """The curriculum."""
        return make_stages(self.unroll_steps, self.unrolls)

    @property
    def frame_steps(self) -> int:
        """Steps of the reference between two coarse frames."""
        return self.stride * self.reference_cells // self.coarse_cells

    def time_step(self, cells: int) -> float:
        """Step of a finite-volume solver with so many cells for a side of 2 pi."""
        return stable_time_step((SIDE / cells, SIDE / cells))

    @property
    def frame_spacing(self) -> float:
        """Time units between coarse frames: the learned models' step."""
        return self.frame_steps * self.time_step(self.reference_cells)

    def coarse_flow(self, flows: FlowSet) -> CoarseFlow:
        """The flow of a set on the coarse grid."""
        cells = self.coarse_cells * flows.domain
        return CoarseFlow(
            (cells, cells),
            domain=(SIDE * flows.domain, SIDE * flows.domain),
            viscosity=flows.viscosity,
            drag=flows.drag,
            amplitude=flows.amplitude,
            dt=self.frame_spacing,
        )

    @property
    def training(self) -> FlowSet:
        """The flows to learn from."""
        return self._set("training", self.train_flows, 909, self.train_time)

    @property
    def test_sets(self) -> list[FlowSet]:
        """The flows to forecast: of the same kind first, then of others."""
        sets = [self._set("kolmogorov", self.test_flows, 42, self.test_time)]
        if self.other_flows:
            few, time = self.other_flows, self.other_time
            decaying = FlowSet(
                "decaying", few, 43, time, spin_up=0.0, settle=4.5, drag=0.0, amplitude=0.0
            )
            sets += [
                decaying,
                replace(self._set("double_reynolds", few, 44, time), viscosity=5e-4),
                replace(self._set("double_domain", -(-few // 2), 45, time), domain=2),
            ]
        return sets

    def _set(self, name: str, flows: int, seed: int, time: float) -> FlowSet:
        return FlowSet(name, flows, seed, time, spin_up=self.spin_up, settle=self.settle)


def _small() -> TurbulenceConfig:
    return TurbulenceConfig()


def _smoke() -> TurbulenceConfig:
    return TurbulenceConfig(
        n_seeds=1,
        reference_cells=64,
        coarse_cells=16,
        spin_up_cells=32,
        finite_volume=[16, 32],
        spectral=[16],
        train_flows=2,
        train_time=2.5,
        test_flows=2,
        test_time=2.0,
        other_flows=1,
        other_time=1.0,
        spin_up=3.0,
        settle=1.0,
        models=["li", "tsm_bundled"],
        hidden=8,
        layers=2,
        frames=6,
        memory="legt",
        features=4,
        unrolls=[2, 4],
        unroll_steps=[10, 5],
        batch_size=4,
    )


def _paper() -> TurbulenceConfig:
    """Sizes towards the papers': 1024² to 64², networks of 64 channels and 6 layers, roll-outs of
    32 steps. For a GPU."""
    return TurbulenceConfig(
        reference_cells=1024,
        coarse_cells=64,
        spin_up_cells=128,
        stride=1,
        finite_volume=[64, 128, 256, 512],
        spectral=[64, 128, 256],
        train_flows=32,
        train_time=30.0,
        test_time=15.0,
        other_flows=8,
        other_time=15.0,
        spin_up=40.0,
        hidden=64,
        layers=6,
        precision="bfloat16",
        frames=32,
        memory="lagt",
        features=256,
        bundle=4,
        unrolls=[8, 16, 32],
        unroll_steps=[4000, 8000, 20000],
        batch_size=16,
    )


TURBULENCE_PRESETS = {"smoke": _smoke, "small": _small, "paper": _paper}
"""Name -> configuration: `smoke` (seconds), `small` (the committed leaderboard), `paper`."""
