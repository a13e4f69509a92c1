"""Meta flow matching: a flow whose velocity depends on the whole population it moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.population_calibration import Calibration, PopulationTransport
from pushforward.surrogates.cells.population_graph import GraphEmbedding
from pushforward.surrogates.cells.population_set import SetEmbedding, TokenReader
from pushforward.surrogates.cells.velocity import VelocityNetwork
from pushforward.surrogates.flow import ODESampler
from pushforward.surrogates.training import stream

__all__ = ["MetaFlowMatching", "PopulationCode"]

Embedding = Literal["graph", "set", "one_hot", "none"]
PAPER_SIZES: dict[str, Any] = {
    "width": 512,
    "layers": 7,
    "n_time": 128,
    "fourier": 128,
    "fourier_scale": 0.01,
    "embedding_width": 128,
    "neighbours": 100,
    "embed_cells": 1024,
    "ode_steps": 50,
}
MOST_CHUNKS = 8  # a population of more than 8 embed_cells is thinned evenly


@dataclass(frozen=True)
class PopulationCode:
    """What the velocity knows of p populations: a vector each, and for "set" cells with tokens."""

    vector: Tensor
    tokens: Tensor | None = None
    cells: Tensor | None = None


class MetaFlowMatching(PopulationTransport):
    r"""Transport of a population by a flow that sees the population.

        dx/dt = s v((x − m)/s, t | φ(p₀), c),   x(0) ~ p₀,   prediction x(1)

    φ embeds the control cells: a graph network over nearest neighbours ("graph"; DeepSets at
    `neighbours = 0`), or a set transformer whose tokens every moving cell can look at ("set"). The
    baselines are the same class: "none" is plain flow matching, "one_hot" knows training
    populations by name. c is the one-hot treatment. m and s are the mean and one scalar scale of
    the training cells. `fit_flow` may add a `Calibration` of x(1) − x(0): on a population unlike
    the training ones, believing a part of the displacement is often the better answer.

    Parameters
    ----------
    dim : d, coordinates of a cell.
    embedding : "graph", "set", "one_hot" or "none".
    populations : names that "one_hot" knows.
    unseen : what "one_hot" does with another name: "refuse" (the default: it cannot know),
        "untrained" (a column that training never touched, as the released code has it), or
        "average" (the mean of the known ones' columns).
    treatments : names of the conditions; needed if there is more than one.
    base : "control": the flow starts at the control cells; "gaussian": at a normal law of mean m
        and deviation s, and the control cells are seen through φ alone.
    width, layers, skips, n_time, fourier, fourier_scale : see `VelocityNetwork`.
    embedding_width, embedding_layers, neighbours : see `GraphEmbedding`.
    inducing : see `SetEmbedding`.
    embed_cells : cells that are embedded together in training; a larger population is embedded in
        parts of about this size, whose vectors are averaged, because the reach of k neighbours
        depends on the number of cells.
    ode_steps : midpoint steps from 0 to 1 (two calls of the network each).
    centre, scale : m and s; default 0 and 1.
    seed : of the initial weights, and of the Gaussian base.

    Raises
    ------
    DataError : unknown choices, sizes that are not positive; in use, a population of one cell,
        cells of another dimension, NaN, a population or treatment that is not known.

    References
    ----------
    Atanackovic, Zhang, Amos, Blanchette, Lee, Bengio, Tong, Neklyudov, "Meta Flow Matching:
    Integrating Vector Fields on the Wasserstein Manifold", ICLR 2025.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import MetaFlowMatching
    >>> model = MetaFlowMatching(2, width=16, neighbours=5)
    >>> x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.equal(model(x), x))  # untrained, nothing moves
    True
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        *,
        embedding: Embedding = "graph",
        populations: Sequence[str] = (),
        unseen: Literal["refuse", "untrained", "average"] = "refuse",
        treatments: Sequence[str] = (),
        base: Literal["control", "gaussian"] = "control",
        width: int = 128,
        layers: int = 3,
        skips: bool = True,
        n_time: int = 32,
        fourier: int = 32,
        fourier_scale: float = 0.2,
        embedding_width: int = 32,
        embedding_layers: int = 2,
        neighbours: int = 20,
        inducing: int = 16,
        embed_cells: int = 256,
        ode_steps: int = 20,
        centre: Sequence[float] | None = None,
        scale: float = 1.0,
        seed: int = 0,
    ):
        super().__init__()
        self._settings = {
            "dim": dim,
            "embedding": embedding,
            "populations": list(populations),
            "unseen": unseen,
            "treatments": list(treatments),
            "base": base,
            "width": width,
            "layers": layers,
            "skips": skips,
            "n_time": n_time,
            "fourier": fourier,
            "fourier_scale": fourier_scale,
            "embedding_width": embedding_width,
            "embedding_layers": embedding_layers,
            "neighbours": neighbours,
            "inducing": inducing,
            "embed_cells": embed_cells,
            "ode_steps": ode_steps,
            "seed": seed,
        }
        _check_settings(self._settings, centre, scale)
        self.dim, self.embedding, self.base, self.unseen = dim, embedding, base, unseen
        self.populations, self.treatments = tuple(populations), tuple(treatments)
        self.embed_cells, self.ode_steps, self.seed = embed_cells, ode_steps, seed
        middle = torch.zeros(dim) if centre is None else torch.tensor(list(centre))
        self.register_buffer("centre", middle)
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.calibration = Calibration(dim)
        generator = torch.Generator().manual_seed(seed)
        self.embed: nn.Module | None = None
        self.reader: TokenReader | None = None
        context = 0
        if embedding == "graph":
            self.embed = GraphEmbedding(
                dim,
                width=embedding_width,
                layers=embedding_layers,
                neighbours=neighbours,
                generator=generator,
            )
            context = embedding_width
        elif embedding == "set":
            self.embed = SetEmbedding(
                dim,
                width=embedding_width,
                inducing=inducing,
                fourier=fourier,
                fourier_scale=fourier_scale,
                generator=generator,
            )
            n_query = dim + 2 * fourier + n_time
            self.reader = TokenReader(dim, n_query, embedding_width, embedding_width, generator)
            context = embedding_width + self.reader.n_out
        elif embedding == "one_hot":
            context = len(populations) + 1
        self.network = VelocityNetwork(
            dim,
            context + len(treatments),
            width=width,
            layers=layers,
            skips=skips,
            n_time=n_time,
            fourier=fourier,
            fourier_scale=fourier_scale,
            generator=generator,
        )

    @classmethod
    def paper(cls, dim: int, **options: Any) -> "MetaFlowMatching":
        """The sizes of the released organoid configuration (code); `options` override them.

        Seven layers of 512 with skips, 128 time features, 128 frequencies of scale 0.01, two graph
        convolutions of 128 over 100 neighbours. The released letters network has four layers
        without skips and three convolutions of 64 over 50 neighbours.
        """
        return cls(dim, **{**PAPER_SIZES, **options})

    def configuration(self) -> dict[str, Any]:
        """All settings; centre, scale and calibration travel with the weights."""
        return dict(self._settings)

    def encode(self, cells: Float[Tensor, "p n d"]) -> PopulationCode:
        """Code of p populations of n cells each, as they are in training: all cells at once."""
        if self.embed is None:
            return PopulationCode(cells.new_zeros(len(cells), 0))
        z = (cells - self.centre) / self.scale
        if self.embedding == "set":
            vector, tokens = self.embed(z)
            return PopulationCode(vector, tokens, z)
        return PopulationCode(self.embed(z))

    def code_of(self, names: Sequence[str]) -> PopulationCode:
        """Code of populations that are known by name ("one_hot")."""
        rows = []
        for name in names:
            row = torch.zeros(len(self.populations) + 1, device=self.centre.device)
            if name in self.populations:
                row[self.populations.index(name)] = 1
            elif self.unseen == "untrained":
                row[-1] = 1
            elif self.unseen == "average":
                row[:-1] = 1 / len(self.populations)
            else:
                raise DataError(
                    f"population {name!r} was not in training, so a one-hot model knows nothing "
                    f"of it (known: {', '.join(self.populations)}). Use embedding 'graph' or "
                    "'set', or say unseen='average' or 'untrained'."
                )
            rows.append(row)
        return PopulationCode(torch.stack(rows))

    def velocity(
        self,
        x: Float[Tensor, "p m d"],
        t: Float[Tensor, "p m"],
        code: PopulationCode,
        treatment: Float[Tensor, "p treatments"],
    ) -> Float[Tensor, "p m d"]:
        """dx/dt of points of p populations, in the units of x per unit time."""
        z = (x - self.centre) / self.scale
        context = [torch.cat((code.vector, treatment), -1)[:, None].expand(-1, x.shape[1], -1)]
        if self.reader is not None and code.tokens is not None and code.cells is not None:
            features = torch.cat((z, self.network.features(z), self.network.time(t)), -1)
            context.append(self.reader(z, features, code.cells, code.tokens))
        return self.scale * self.network(z, t, torch.cat(context, -1))

    def treatment_row(self, name: str | None) -> Float[Tensor, " treatments"]:
        """The one-hot condition of a treatment."""
        row = torch.zeros(len(self.treatments), device=self.centre.device)
        if not self.treatments:
            return row
        if name not in self.treatments:
            raise DataError(
                f"treatment {name!r} was not in training (known: {', '.join(self.treatments)}). "
                "Name one of them: condition={'treatment': ...}."
            )
        row[self.treatments.index(name)] = 1
        return row

    def forward(
        self,
        inputs: Float[Tensor, "n d"],
        *,
        condition: Mapping[str, str] | None = None,
    ) -> Float[Tensor, "n d"]:
        """Where the cells of one population go.

        Parameters
        ----------
        inputs : all control cells of the population.
        condition : {"population": name ("one_hot"), "treatment": name (several treatments)}.
        """
        condition = condition or {}
        if inputs.ndim != 2 or inputs.shape[-1] != self.dim:
            raise DataError(
                f"cells of shape {tuple(inputs.shape)}; this flow was made for (cells, "
                f"{self.dim}). Use the features it was trained with."
            )
        bad = int((~torch.isfinite(inputs)).any(-1).sum())
        if bad:
            raise DataError(f"{bad} of {len(inputs)} cells hold NaN or infinity.")
        code = self._code(inputs, condition)
        treatment = self.treatment_row(condition.get("treatment"))[None]

        def field(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x[None], t[None], code, treatment)[0]

        sampler = ODESampler(field, method="midpoint", steps=self.ode_steps)
        moved = sampler.sample(self._start(inputs), enable_grad=True).x
        return self.calibration(inputs, moved)

    def _start(self, inputs: Tensor) -> Tensor:
        if self.base == "control":
            return inputs
        noise = torch.randn(inputs.shape, generator=stream(self.seed, "base")).to(inputs)
        return self.centre + self.scale * noise

    def _code(self, inputs: Tensor, condition: Mapping[str, str]) -> PopulationCode:
        if self.embedding == "one_hot":
            return self.code_of([condition.get("population", "")])
        if self.embed is None:
            return self.encode(inputs[None])
        most = MOST_CHUNKS * self.embed_cells
        if len(inputs) > most:
            index = torch.linspace(0, len(inputs) - 1, most, device=inputs.device).round().long()
            inputs = inputs[index]
        parts = max(len(inputs) // self.embed_cells, 1)
        size = len(inputs) // parts
        code = self.encode(torch.stack([inputs[i::parts][:size] for i in range(parts)]))
        vector = nn.functional.normalize(code.vector.mean(0, keepdim=True), dim=-1)
        if code.tokens is None or code.cells is None:
            return PopulationCode(vector)
        tokens, cells = (z.flatten(0, 1)[None] for z in (code.tokens, code.cells))
        return PopulationCode(vector, tokens, cells)


def _check_settings(
    settings: Mapping[str, Any], centre: Sequence[float] | None, scale: float
) -> None:
    choices = {
        "embedding": ("graph", "set", "one_hot", "none"),
        "unseen": ("refuse", "untrained", "average"),
        "base": ("control", "gaussian"),
    }
    for name, known in choices.items():
        if settings[name] not in known:
            raise DataError(f"{name} = {settings[name]!r}; choose one of {known}.")
    positive = ("dim", "width", "layers", "n_time", "embedding_width", "embedding_layers")
    for name in (*positive, "inducing", "ode_steps", "fourier"):
        if settings[name] < 1:
            raise DataError(f"{name} = {settings[name]}; must be at least 1.")
    if settings["n_time"] % 2:
        raise DataError(f"n_time = {settings['n_time']}; sines and cosines need an even number.")
    if settings["neighbours"] < 0 or settings["embed_cells"] < 2:
        raise DataError(
            f"neighbours = {settings['neighbours']}, embed_cells = {settings['embed_cells']}; "
            "must be at least 0 and 2."
        )
    if settings["embedding"] == "one_hot" and not settings["populations"]:
        raise DataError("embedding 'one_hot' needs the names of the training populations.")
    if centre is not None and len(centre) != settings["dim"]:
        raise DataError(f"centre has {len(centre)} entries; dim is {settings['dim']}.")
    if not scale > 0:
        raise DataError(f"scale = {scale} must be positive; give the spread of the cells.")
