"""One Monge map for all conditions: drugs, doses, cell lines, populations."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import MLP, Surrogate
from pushforward.surrogates.cells.conditions import (
    Chunk,
    Condition,
    Context,
    Drugs,
    chunk_from_plain,
    chunk_to_plain,
    encode_conditions,
)
from pushforward.surrogates.cells.costs import soft_threshold

__all__ = ["ConditionalMongeMap"]


class ConditionalMongeMap(Surrogate):
    r"""A transport map that is told the condition.

        T(x | c) = x + s f((x − m)/s, e(c)),    e(c) = [ Σ_k w_k gelu(W_j c_jk + b_j) ]_j

    Each chunk j of the condition (dose, drug, cell line, …) has a layer of its own; the drugs of a
    set share it and are averaged, so that their order does not matter. f is a multilayer
    perceptron with GELU whose last layer starts at zero: training starts from "nothing happens",
    which is this package's choice, not the released code's. A map sends a cell to one place: it
    cannot split responders from non-responders that look alike before treatment.

    Parameters
    ----------
    dim : d, the number of coordinates of a cell.
    chunks : what a condition is made of, see `Number`, `Label`, `Drugs`, `Vector`.
    hidden : widths of f; [64, 64, 64, 64] is the released code's (code).
    centre, scale : m (length d, default 0) and s > 0 (default 1).
    shrinkage : coordinates of the displacement below `shrinkage · s` become exactly zero
        (`soft_threshold`); 0 for none.
    seed : of the initial weights.

    Raises
    ------
    DataError : sizes that are not positive, no chunk, two chunks of one key; in `forward` cells of
        another dimension, a missing or unknown condition.

    References
    ----------
    Driessen et al., "Towards generalizable single-cell perturbation modeling via the conditional
    Monge gap", 2025.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import ConditionalMongeMap, Number
    >>> model = ConditionalMongeMap(3, [Number("dose", transform="log")])
    >>> x = torch.ones(2, 3)
    >>> bool(torch.equal(model(x, condition={"dose": 100.0}), x))
    True
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        chunks: Sequence[Chunk | Mapping[str, Any]],
        *,
        hidden: Sequence[int] = (64, 64, 64, 64),
        centre: Sequence[float] | None = None,
        scale: float = 1.0,
        shrinkage: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        self.chunks = [chunk_from_plain(c) if isinstance(c, Mapping) else c for c in chunks]
        keys = [chunk.key for chunk in self.chunks]
        if not keys or len(set(keys)) < len(keys):
            raise DataError(f"chunks {keys}; expected at least one, each key once.")
        if min([dim, *hidden, *(chunk.units for chunk in self.chunks)]) < 1:
            raise DataError(
                f"dim = {dim}, hidden = {tuple(hidden)}, units = "
                f"{[c.units for c in self.chunks]}; all must be at least 1."
            )
        if centre is not None and len(centre) != dim:
            raise DataError(f"centre has {len(centre)} entries; dim is {dim}.")
        if not scale > 0 or shrinkage < 0:
            raise DataError(
                f"scale = {scale} must be positive, shrinkage = {shrinkage} not negative."
            )
        self.dim, self.hidden, self.seed = dim, tuple(hidden), seed
        self.shrinkage = shrinkage
        middle = torch.zeros(dim) if centre is None else torch.tensor(list(centre))
        self.register_buffer("centre", middle)
        self.register_buffer("scale", torch.tensor(float(scale)))
        generator = torch.Generator().manual_seed(seed)
        self.encoders = nn.ModuleList(
            MLP(c.width, c.units, hidden=(), generator=generator) for c in self.chunks
        )
        width = dim + sum(c.units for c in self.chunks)
        self.net = MLP(width, dim, hidden=self.hidden, generator=generator, zero_last=True)

    @classmethod
    def paper(
        cls, dim: int, chunks: Sequence[Chunk], *, seed: int = 0, **statistics: Any
    ) -> "ConditionalMongeMap":
        """The released code's network: four layers of 64 after the chunks' layers (code).

        Give `Drugs` 50 units and the dose 1, their defaults. The objective and the optimisation
        of the paper are `ConditionalRecipe.paper()`.
        """
        return cls(dim, chunks, hidden=(64, 64, 64, 64), seed=seed, **statistics)

    def configuration(self) -> dict[str, Any]:
        """Sizes, chunks and seed; centre and scale travel with the weights."""
        return {
            "dim": self.dim,
            "chunks": [chunk_to_plain(chunk) for chunk in self.chunks],
            "hidden": list(self.hidden),
            "shrinkage": self.shrinkage,
            "seed": self.seed,
        }

    @property
    def oracles(self) -> list[str]:
        """Keys of chunks whose table was made from treated cells of the very drugs asked for."""
        return [c.key for c in self.chunks if isinstance(c, Drugs) and c.table.oracle]

    def encode(self, conditions: Sequence[Condition]) -> Context:
        """Conditions as tensors on the model's device, to be passed to `forward` again and again.

        Raises
        ------
        DataError : a part is missing, unknown or not finite; says which.
        """
        context = encode_conditions(self.chunks, conditions)
        return tuple(part.to(self.centre.device) for part in context)

    def forward(
        self,
        inputs: Float[Tensor, "*batch n d"],
        *,
        condition: Condition | Sequence[Condition] | Context | None = None,
    ) -> Float[Tensor, "*batch n d"]:
        """Where each cell is sent under a condition.

        Parameters
        ----------
        inputs : cells, (n, d), or populations of cells, (conditions, n, d).
        condition : one condition for all cells, one for each population, or what `encode` gave.
        """
        if inputs.shape[-1] != self.dim:
            raise DataError(
                f"cells have {inputs.shape[-1]} coordinates; this map was made for {self.dim}. "
                "Use the features the map was trained with."
            )
        embedded = self._embed(self._context(condition))
        if inputs.ndim == 2 and len(embedded) == 1:
            embedded = embedded[0]
        elif inputs.ndim != 3 or len(embedded) not in (1, len(inputs)):
            raise DataError(
                f"cells of shape {tuple(inputs.shape)} and {len(embedded)} conditions; expected "
                "(n, d) and one condition, or (conditions, n, d) and as many conditions."
            )
        z = (inputs - self.centre) / self.scale
        beside = embedded.unsqueeze(-2).expand(*z.shape[:-1], embedded.shape[-1])
        u = self.net(torch.cat([z, beside], -1))
        return inputs + self.scale * soft_threshold(u, self.shrinkage)

    def _context(self, condition: Condition | Sequence[Condition] | Context | None) -> Context:
        if condition is None:
            raise DataError(
                f"no condition given; this map needs {[chunk.key for chunk in self.chunks]}."
            )
        if isinstance(condition, Mapping):
            return self.encode([condition])
        if all(isinstance(part, Tensor) for part in condition):
            return tuple(condition)  # type: ignore[arg-type]
        return self.encode(condition)  # type: ignore[arg-type]

    def _embed(self, context: Context) -> Float[Tensor, "conditions units"]:
        parts = []
        for encoder, part in zip(self.encoders, context, strict=True):
            weight, features = part[..., :1], part[..., 1:]
            parts.append((weight * nn.functional.gelu(encoder(features))).sum(-2))
        return torch.cat(parts, -1)
