"""Configuration of the cells task: what a run does, and its presets."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pushforward.benchmarks.tasks.cells.models import MODELS
from pushforward.benchmarks.tasks.cells.question import SPLIT_KINDS
from pushforward.benchmarks.tasks.configuration import TaskConfig, check_known
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    ChoiceOptions,
    ConditionalRecipe,
    FlowNetworkOptions,
    FlowOptions,
    MongeOptions,
)
from pushforward.surrogates.training import Optimisation

__all__ = ["CELLS_PRESETS", "CellsConfig", "FeatureOptions"]


@dataclass(frozen=True)
class FeatureOptions:
    """The coordinates in which cells are moved and compared, fitted on training cells only.

    Parameters
    ----------
    n_genes
        how many of the most variable genes are kept
    n_components
        principal components
    unit_variance
        divide each gene by its standard deviation first
    """

    n_genes: int = 2000
    n_components: int = 20
    unit_variance: bool = False


@dataclass(frozen=True)
class CellsConfig(TaskConfig):
    """Hold cells out, fit models on the others, score them beside the reference rows.

    Parameters
    ----------
    data
        h5ad file, or several with the same genes; without it, cells are simulated
    population_key
        obs column that names the population (patient, donor)
    condition_key
        obs column that names the condition
    control
        label of the untreated condition
    drug_key
        obs column that names the drug of a condition, for conditional_map and split drug
    dose_key
        obs column of the dose, for conditional_map and split dose
    dose_curve
        hill: a dose scales the effect by Hill's curve, told the drug, which foretells doses between
        those seen; free: the network reads the logarithm of the dose, as in the paper
    descriptors
        CSV of drug descriptors, drugs in the first column; without it uns["descriptors"] of the
        data is taken, if there
    models
        rows to learn, by name
    split
        what is held out: a population, a condition, all conditions of its drug or of its dose, or
        a share of the cells of each
    treatment
        treated condition to predict; each one in turn if not given
    hold_out
        populations to leave out, one at a time; each in turn if not given
    seed
        first seed
    n_seeds
        number of seeds, from the first on
    n_draws
        random halvings of the held-out cells over which a score is averaged
    hidden
        widths of the network's hidden layers
    select_every
        steps between candidates for early stopping, which is chosen by leaving training
        populations out; 0 trains for all steps
    features
        genes and principal components
    objective
        what the map minimises
    optimisation
        how
    population_optimisation
        how the population-conditioned map is optimised; it starts from the mean shift, so briefly
    flow_network
        sizes of the flows; embedding is that of mfm (fm has none, one_hot its own)
    flow
        what the flows minimise
    flow_optimisation
        how; they start from the mean shift, so briefly
    calibration
        how the flows and the population-conditioned map are calibrated, by leaving training
        populations out
    conditional
        network, objective and optimisation of conditional_map
    simulation
        the cells that are simulated when no data are given
    """

    SWEEP = ("models", "seed", "n_seeds", "hold_out", "treatment")

    data: list[str] | None = None
    population_key: str = "patient_id"
    condition_key: str = "condition"
    control: str = "ctrl"
    drug_key: str | None = None
    dose_key: str | None = None
    dose_curve: Literal["hill", "free"] = "hill"
    descriptors: str | None = None
    models: list[str] = field(default_factory=lambda: ["monge_map"])
    split: str = "population"
    treatment: str | None = None
    hold_out: list[str] | None = None
    seed: int = 0
    n_seeds: int = 3
    n_draws: int = 10
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    select_every: int = 25
    features: FeatureOptions = field(default_factory=FeatureOptions)
    objective: MongeOptions = field(
        default_factory=lambda: MongeOptions(fit_eps=0.05, offset_spread=2.0)
    )
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=400))
    population_optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=40))
    flow_network: FlowNetworkOptions = field(default_factory=FlowNetworkOptions.small)
    flow: FlowOptions = field(default_factory=lambda: FlowOptions(offset_spread=1.0))
    flow_optimisation: Optimisation = field(default_factory=lambda: Optimisation(steps=60))
    calibration: ChoiceOptions = field(default_factory=ChoiceOptions)
    conditional: ConditionalRecipe = field(default_factory=ConditionalRecipe)
    simulation: PerturbedPopulations = field(default_factory=PerturbedPopulations)

    def __post_init__(self) -> None:
        check_known("model", self.models, MODELS)
        check_known("split", [self.split], SPLIT_KINDS)
        self.check_counts("n_seeds", "n_draws")
        if self.select_every < 0:
            raise DataError(f"select_every = {self.select_every} must be 0 or more.")

    def plain(self) -> dict[str, Any]:
        """All options as plain values."""
        content = super().plain()
        content["simulation"]["treatments"] = list(self.simulation.treatments)
        content["conditional"]["hidden"] = list(self.conditional.hidden)
        return content


def _small() -> CellsConfig:
    return CellsConfig()


def _smoke() -> CellsConfig:
    return CellsConfig(
        n_seeds=1,
        n_draws=4,
        hidden=[32, 32],
        select_every=20,
        features=FeatureOptions(n_components=10),
        objective=MongeOptions(
            fit_eps=0.05, offset_spread=2.0, batch_size=64, populations_per_step=2
        ),
        optimisation=Optimisation(steps=100),
        flow=FlowOptions(offset_spread=1.0, batch_size=64),
        flow_optimisation=Optimisation(steps=30),
        conditional=replace(
            ConditionalRecipe(),
            hidden=(32, 32),
            optimisation=Optimisation(steps=100, learning_rate=3e-3, schedule="cosine"),
        ),
        simulation=PerturbedPopulations(n_populations=3, n_cells=120, n_genes=100),
    )


def _paper() -> CellsConfig:
    """The conditional-Monge code's settings for one treatment (code): Euclidean cost, absolute
    entropic strengths 1 and 0.01, four layers of 64, AdamW 1e-4 with decay 1e-5, cosine to 1 %.
    The flows have the sizes and objective of the released organoid configuration (code)."""
    return replace(
        CellsConfig(),
        hidden=[64, 64, 64, 64],
        select_every=0,
        features=FeatureOptions(n_genes=1000, n_components=50),
        objective=MongeOptions(
            cost="euclidean",
            fit_eps=1.0,
            gap_eps=0.01,
            eps_unit="absolute",
            batch_size=512,
            populations_per_step=1,
        ),
        optimisation=Optimisation(
            steps=1000, learning_rate=1e-4, weight_decay=1e-5, schedule="cosine"
        ),
        flow_network=FlowNetworkOptions.paper(),
        flow=FlowOptions(
            coupling="independent",
            schedule="alternating",
            batch_size=1024,
            populations_per_step=1,
        ),
        flow_optimisation=Optimisation(steps=30_000, learning_rate=1e-4, weight_decay=0.0),
        calibration=ChoiceOptions(calibrate=False),
        dose_curve="free",
        conditional=ConditionalRecipe.paper(),
        simulation=PerturbedPopulations(n_populations=6, n_cells=1000, n_genes=1000),
    )


CELLS_PRESETS = {"smoke": _smoke, "small": _small, "paper": _paper}
"""Name -> configuration: `smoke` (seconds), `small` (the committed leaderboard), `paper`."""
