"""Fitting a population flow: the network sized to the cells, trained and calibrated."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.flow_objective import (
    CellTypes,
    FlowObjective,
    FlowOptions,
    FlowTrainer,
    check_populations,
)
from pushforward.surrogates.cells.meta_flow import PAPER_SIZES, MetaFlowMatching
from pushforward.surrogates.cells.population_calibration import PopulationTransport
from pushforward.surrogates.cells.population_choice import (
    ChoiceOptions,
    FittedTransport,
    fit_transport,
)
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.training import Optimisation

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["FlowNetworkOptions", "centre_and_scale", "fit_flow", "mean_effect"]


@dataclass(frozen=True)
class FlowNetworkOptions:
    """Sizes of a population flow.

    Parameters
    ----------
    embedding
        how the flow sees the population: graph (nearest neighbours), set (a set transformer that
        moving cells can look into), one_hot (training populations by name) or none
    unseen
        what one_hot does with a population it was not trained on
    base
        where the flow starts: at the control cells, or at Gaussian noise
    width
        of the hidden layers
    layers
        hidden layers
    skips
        add each hidden layer's input to its output
    n_time
        features of the time
    fourier
        frozen random frequencies of the cell's coordinates
    fourier_scale
        their standard deviation
    embedding_width
        size of the population's vector
    embedding_layers
        graph convolutions
    neighbours
        of a cell in the graph; 0 leaves the graph out (DeepSets)
    inducing
        inducing points of the set transformer
    embed_cells
        cells that are embedded together
    ode_steps
        midpoint steps of a prediction
    """

    embedding: Literal["graph", "set", "one_hot", "none"] = "graph"
    unseen: Literal["refuse", "untrained", "average"] = "average"
    base: Literal["control", "gaussian"] = "control"
    width: int = 128
    layers: int = 3
    skips: bool = True
    n_time: int = 32
    fourier: int = 32
    fourier_scale: float = 0.2
    embedding_width: int = 32
    embedding_layers: int = 2
    neighbours: int = 20
    inducing: int = 16
    embed_cells: int = 256
    ode_steps: int = 20

    @classmethod
    def small(cls) -> "FlowNetworkOptions":
        """For a few populations of some hundred cells: the smaller, the less is memorised."""
        return cls(
            width=64,
            layers=2,
            n_time=8,
            fourier=16,
            embedding_width=8,
            embed_cells=128,
            ode_steps=10,
        )

    @classmethod
    def paper(cls) -> "FlowNetworkOptions":
        """The released organoid configuration (code); see `MetaFlowMatching.paper`."""
        return cls(**PAPER_SIZES)


def fit_flow(
    populations: Populations,
    *,
    network: FlowNetworkOptions | None = None,
    options: FlowOptions | None = None,
    optimisation: Optimisation | None = None,
    choice: ChoiceOptions | None = None,
    groups: Mapping[str, tuple[str, str]] | None = None,
    cell_types: CellTypes | None = None,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "flow",
) -> FittedTransport:
    """Fit meta flow matching, or one of its baselines, on several populations.

    Training starts from the mean shift of the training populations (at "nothing moves" with a
    Gaussian base), so that a short training is a small departure from it.

    Parameters
    ----------
    populations : training groups by name, each (control, treated).
    network, options, optimisation, choice : see the classes; defaults of each, with 2000 steps.
    groups : group -> (population, treatment), where a population has several treatments.
    cell_types : integer labels of control and treated cells by group: cells are paired within.
    seed, folder, fabric, label : as `fit_transport`.

    Returns
    -------
    FittedTransport: `model(control_cells)` predicts the treated cells of a whole population.

    Raises
    ------
    DataError : groups that are too small, not finite, or do not fit the options.
    DivergedError, InterruptedRun : as `train`.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import ChoiceOptions, FlowNetworkOptions, fit_flow
    >>> from pushforward.surrogates.training import Optimisation
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> fitted = fit_flow({"a": (x[:100], x[100:] + 2.0)}, choice=ChoiceOptions(calibrate=False),
    ...                   network=FlowNetworkOptions(embedding="none", width=32),
    ...                   optimisation=Optimisation(steps=100, learning_rate=0.01))
    >>> bool((fitted.model(x).mean(0) - x.mean(0) - 2).abs().max() < 0.5)
    True
    """
    network, options = network or FlowNetworkOptions(), options or FlowOptions()
    if choice is not None and choice.calibrate and network.base == "gaussian":
        raise DataError(
            "a flow from a Gaussian base moves noise, so no displacement of a control cell can be "
            "calibrated. Use ChoiceOptions(calibrate=False), or base 'control'."
        )
    check_populations(populations)
    people = dict(groups) if groups else {name: (name, "") for name in populations}
    treatments = sorted({treatment for _, treatment in people.values()})

    def build(chosen: Populations) -> tuple[nn.Module, PopulationTransport, FlowObjective]:
        centre, scale = centre_and_scale(chosen)
        model = MetaFlowMatching(
            next(iter(chosen.values()))[0].shape[1],
            populations=sorted({people[name][0] for name in chosen}),
            treatments=treatments if len(treatments) > 1 else (),
            centre=centre,
            scale=scale,
            seed=seed,
            **asdict(network),
        )
        if network.base == "control":
            with torch.no_grad():
                model.network.last.bias.copy_(mean_effect(chosen) / scale)
        objective = FlowObjective(
            chosen,
            options,
            groups={name: people[name] for name in chosen},
            cell_types=cell_types,
        )
        return FlowTrainer(model, len(chosen), options.schedule), model, objective

    return fit_transport(
        populations,
        build,
        groups=people,
        optimisation=optimisation or Optimisation(steps=2000),
        choice=choice or ChoiceOptions(calibrate=network.base == "control"),
        seed=seed,
        folder=folder,
        fabric=fabric,
        label=label,
    )


def centre_and_scale(populations: Populations) -> tuple[list[float], float]:
    """Mean of the control cells and one scalar scale: root of their mean variance."""
    control = torch.cat([c for c, _ in populations.values()])
    scale = control.std(0).square().mean().sqrt().item()
    return control.mean(0).tolist(), scale if scale > 0 else 1.0


def mean_effect(populations: Populations) -> torch.Tensor:
    """Mean over populations of mean(treated) - mean(control): the displacement of `mean_shift`."""
    return torch.stack([y.mean(0) - x.mean(0) for x, y in populations.values()]).mean(0)
