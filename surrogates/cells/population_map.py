"""The population-conditioned Monge map: one step instead of a flow, with the same embedding."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import MLP
from pushforward.surrogates.cells.flow_fitting import centre_and_scale, mean_effect
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions
from pushforward.surrogates.cells.population_calibration import Calibration, PopulationTransport
from pushforward.surrogates.cells.population_choice import (
    ChoiceOptions,
    FittedTransport,
    fit_transport,
)
from pushforward.surrogates.cells.population_graph import GraphEmbedding
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.training import Optimisation

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["PopulationMongeMap", "fit_population_map"]


class PopulationMongeMap(PopulationTransport):
    r"""A transport map that sees the population it moves.

        T(x | X) = x + s f([(x − m)/s, φ((X − m)/s)])

    φ is the graph embedding of meta flow matching, f a multilayer perceptron with GELU that starts
    at zero. `fit_population_map` may add a `Calibration` of the displacements.

    Parameters
    ----------
    dim : d, coordinates of a cell.
    hidden : widths of f.
    embedding_width, embedding_layers, neighbours : see `GraphEmbedding`.
    centre, scale : m and s; default 0 and 1.
    seed : of the initial weights.

    Raises
    ------
    DataError : sizes that are not positive; a population of one cell, another dimension, NaN.

    References
    ----------
    Uscidda and Cuturi, "The Monge Gap", ICML 2023; Atanackovic et al., "Meta Flow Matching", 2025.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import PopulationMongeMap
    >>> x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.equal(PopulationMongeMap(2)(x), x))
    True
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        *,
        hidden: Sequence[int] = (64, 64),
        embedding_width: int = 16,
        embedding_layers: int = 2,
        neighbours: int = 20,
        centre: Sequence[float] | None = None,
        scale: float = 1.0,
        seed: int = 0,
    ):
        super().__init__()
        sizes = (dim, *hidden, embedding_width, embedding_layers)
        if min(sizes) < 1 or not scale > 0:
            raise DataError(f"sizes {sizes} must be at least 1 and scale = {scale} positive.")
        self._settings = {
            "dim": dim,
            "hidden": list(hidden),
            "embedding_width": embedding_width,
            "embedding_layers": embedding_layers,
            "neighbours": neighbours,
            "seed": seed,
        }
        self.dim = dim
        middle = torch.zeros(dim) if centre is None else torch.tensor(list(centre))
        self.register_buffer("centre", middle)
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.calibration = Calibration(dim)
        generator = torch.Generator().manual_seed(seed)
        self.embed = GraphEmbedding(
            dim,
            width=embedding_width,
            layers=embedding_layers,
            neighbours=neighbours,
            generator=generator,
        )
        self.net = MLP(
            dim + embedding_width, dim, hidden=hidden, generator=generator, zero_last=True
        )

    def configuration(self) -> dict[str, Any]:
        """Sizes and seed; centre, scale and calibration travel with the weights."""
        return dict(self._settings)

    def forward(
        self, inputs: Float[Tensor, "*p n d"], *, condition: Mapping[str, str] | None = None
    ) -> Float[Tensor, "*p n d"]:
        """Where the cells of whole populations (n, d) or (p, n, d) go; `condition` is unused."""
        return self.calibration(inputs, inputs + self._displacement(inputs))

    def _displacement(self, inputs: Tensor) -> Tensor:
        if inputs.shape[-1] != self.dim:
            raise DataError(
                f"cells have {inputs.shape[-1]} coordinates; this map was made for {self.dim}. "
                "Use the features the map was trained with."
            )
        z = (inputs - self.centre) / self.scale
        code = self.embed(z if z.ndim == 3 else z[None])
        code = code[:, None] if z.ndim == 3 else code
        return self.scale * self.net(torch.cat((z, code.expand(*z.shape[:-1], -1)), -1))


def fit_population_map(
    populations: Populations,
    *,
    hidden: tuple[int, ...] = (64, 64),
    options: MongeOptions | None = None,
    optimisation: Optimisation | None = None,
    choice: ChoiceOptions | None = None,
    groups: Mapping[str, tuple[str, str]] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "population map",
) -> FittedTransport:
    """Fit a population-conditioned Monge map; calibrated as in `fit_transport`.

    Training starts from the mean shift, so that a short training is a small departure from it.
    Each batch is embedded as the population it was drawn from, so that the map meets a new
    sample of each training population in every step.

    Parameters
    ----------
    populations : training populations by name, each (control, treated).
    hidden : widths of the network.
    options : the objective; default `MongeOptions()`.
    optimisation, choice : see the classes; default 40 steps.
    groups : group -> (population, treatment): whole populations are left out in the calibration.
        The map does not know the treatment.
    seed, folder, fabric, label : as `fit_transport`.

    Raises
    ------
    DataError, DivergedError, InterruptedRun : as `fit_transport`.
    """
    options = options or MongeOptions()

    def build(chosen: Populations) -> tuple[nn.Module, PopulationTransport, MongeObjective]:
        objective = MongeObjective(chosen, options)
        centre, scale = centre_and_scale(chosen)
        dim = len(centre)
        model = PopulationMongeMap(dim, hidden=hidden, centre=centre, scale=scale, seed=seed)
        with torch.no_grad():
            cast(nn.Linear, model.net.layers[-1]).bias.copy_(mean_effect(chosen) / scale)
        return model, model, objective

    return fit_transport(
        populations,
        build,
        groups=dict(groups) if groups else {name: (name, "") for name in populations},
        optimisation=optimisation or Optimisation(steps=40),
        choice=choice or ChoiceOptions(),
        seed=seed,
        folder=folder,
        fabric=fabric,
        label=label,
    )
