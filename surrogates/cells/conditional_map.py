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
    Dose,
    Drugs,
    chunk_from_plain,
    chunk_to_plain,
    encode_conditions,
)
from pushforward.surrogates.cells.costs import soft_threshold
from pushforward.surrogates.cells.dose_response import DoseResponse

__all__ = ["ConditionalMongeMap"]


class ConditionalMongeMap(Surrogate):
    r"""A transport map that is told the condition.

        T(x | c) = x + s f((x − m)/s, e(c)),    e(c) = [ Σ_k w_k gelu(W_j c_jk + b_j) ]_j

    or, if a chunk is a `Dose` a that acts by Hill curves h_k,

        T(x | c) = x + s Σ_k h_k(a | e(c)) f_k((x − m)/s, e(c)).

    Each chunk j of the condition (dose, drug, cell line, …) has a layer of its own; the drugs of a
    set share it and are averaged, so that their order does not matter. f is a multilayer
    perceptron with GELU whose last layer starts at zero: training starts from "nothing happens",
    which is this package's choice, not the released code's. A map sends a cell to one place: it
    cannot split responders from non-responders that look alike before treatment.

    Parameters
    ----------
    dim : d, the number of coordinates of a cell.
    chunks : what a condition is made of, see `Number`, `Dose`, `Label`, `Drugs`, `Vector`; at most
        one `Dose`.
    hidden : widths of f; [64, 64, 64, 64] is the released code's (code).
    centre, scale : m (length d, default 0) and s > 0 (default 1).
    shrinkage : coordinates of the displacement below `shrinkage · s` become exactly zero
        (`soft_threshold`); 0 for none.
    seed : of the initial weights.

    Raises
    ------
    DataError : sizes that are not positive, no chunk, two chunks of one key, two doses; in
        `forward` cells of another dimension, a missing or unknown condition.

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
        doses = [chunk for chunk in self.chunks if isinstance(chunk, Dose)]
        read = [chunk for chunk in self.chunks if not isinstance(chunk, Dose)]
        if len(doses) > 1:
            raise DataError(
                f"{[chunk.key for chunk in doses]} are both a Dose; one scales the displacement. "
                "Give the others as Number."
            )
        if min([dim, *hidden, *(chunk.units for chunk in read)]) < 1:
            raise DataError(
                f"dim = {dim}, hidden = {tuple(hidden)}, units = "
                f"{[c.units for c in read]}; all must be at least 1."
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
            MLP(c.width, c.units, hidden=(), generator=generator) for c in read
        )
        width = sum(c.units for c in read)
        self.response: DoseResponse | None = None
        for dose in doses:
            self.response = DoseResponse(width, dose.curves, centre=dose.centre, scale=dose.scale)
        outputs = dim * (doses[0].curves if doses else 1)
        self.net = MLP(
            dim + width, outputs, hidden=self.hidden, generator=generator, zero_last=True
        )

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

    @torch.no_grad()
    def half_doses(self, conditions: Sequence[Condition]) -> Float[Tensor, "conditions curves"]:
        """The doses that bring half of each condition's effects, in the unit of the doses.

        Parameters
        ----------
        conditions : a dose in them is not needed, and makes no difference.

        Raises
        ------
        DataError : no chunk is a `Dose`; what `encode` refuses.
        """
        keys = [chunk.key for chunk in self.chunks if isinstance(chunk, Dose)]
        if self.response is None:
            raise DataError(
                f"the map reads {[chunk.key for chunk in self.chunks]}, none of them a Dose, and "
                "has no half-effective doses. Describe the dose by Dose instead of Number."
            )
        context = self.encode(
            [{**condition, **dict.fromkeys(keys, 1.0)} for condition in conditions]
        )
        return self.response.log_half_dose(self._embed(context)[0]).exp()

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
        embedded, share = self._embed(self._context(condition))
        if inputs.ndim == 2 and len(embedded) == 1:
            embedded, share = embedded[0], share[0]
        elif inputs.ndim != 3 or len(embedded) not in (1, len(inputs)):
            raise DataError(
                f"cells of shape {tuple(inputs.shape)} and {len(embedded)} conditions; expected "
                "(n, d) and one condition, or (conditions, n, d) and as many conditions."
            )
        z = (inputs - self.centre) / self.scale
        beside = embedded.unsqueeze(-2).expand(*z.shape[:-1], embedded.shape[-1])
        effects = self.net(torch.cat([z, beside], -1)).unflatten(-1, (-1, self.dim))
        u = (share[..., None, :, None] * effects).sum(-2)
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

    def _embed(
        self, context: Context
    ) -> tuple[Float[Tensor, "conditions units"], Float[Tensor, "conditions effects"]]:
        """The encoded condition, and what share of each effect its dose brings (1 without one)."""
        n = len(context[0])
        parts, log_dose = [self.scale.new_zeros(n, 0)], self.scale.new_zeros(n, 1)
        encoders = iter(self.encoders)
        for chunk, part in zip(self.chunks, context, strict=True):
            weight, features = part[..., :1], part[..., 1:]
            if isinstance(chunk, Dose):
                log_dose = features[:, 0]
            else:
                parts.append((weight * nn.functional.gelu(next(encoders)(features))).sum(-2))
        embedded = torch.cat(parts, -1)
        if self.response is None:
            return embedded, self.scale.new_ones(n, 1)
        return embedded, self.response(log_dose, embedded)
