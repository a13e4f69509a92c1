"""The Monge map: one residual network that carries control cells to treated ones."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import MLP, Surrogate
from pushforward.surrogates.cells.costs import soft_threshold

__all__ = ["MongeMap"]


class MongeMap(Surrogate):
    r"""A transport map near the identity.

        T(x) = x + s prox(f((x − m)/s)),    f a multilayer perceptron with GELU

    m and s are the mean and one scalar scale of the training cells, so that the network sees
    numbers of order one and the map is equivariant to the units of x. The last layer starts at
    zero: training starts from "the treatment does nothing". prox is the soft threshold that makes
    displacements sparse, and does nothing by default.

    Parameters
    ----------
    dim : d, the number of coordinates of a cell.
    hidden : widths of f. [64, 64, 64, 64] is the released conditional-Monge code's (code).
    centre : m, length d; default 0.
    scale : s > 0; default 1.
    shrinkage : coordinates of the displacement below `shrinkage · s` become exactly zero
        (`soft_threshold`); 0, the default, for none.
    seed : of the initial weights.

    Raises
    ------
    DataError : sizes that are not positive, a centre of another length, a scale that is not
        positive; cells of another dimension in `forward`.

    References
    ----------
    Uscidda and Cuturi, "The Monge Gap", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import MongeMap
    >>> model = MongeMap(3)
    >>> x = torch.ones(2, 3)
    >>> bool(torch.equal(model(x), x))
    True
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        *,
        hidden: Sequence[int] = (64, 64, 64, 64),
        centre: Sequence[float] | None = None,
        scale: float = 1.0,
        shrinkage: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        if dim < 1 or any(width < 1 for width in hidden):
            raise DataError(f"dim = {dim}, hidden = {tuple(hidden)}; all must be at least 1.")
        if centre is not None and len(centre) != dim:
            raise DataError(f"centre has {len(centre)} entries; dim is {dim}.")
        if not scale > 0:
            raise DataError(f"scale = {scale} must be positive; give the spread of the cells.")
        if shrinkage < 0:
            raise DataError(f"shrinkage = {shrinkage} must not be negative.")
        self.dim, self.hidden, self.seed = dim, tuple(hidden), seed
        self.shrinkage = shrinkage
        middle = torch.zeros(dim) if centre is None else torch.tensor(list(centre))
        self.register_buffer("centre", middle)
        self.register_buffer("scale", torch.tensor(float(scale)))
        generator = torch.Generator().manual_seed(seed)
        self.net = MLP(dim, dim, hidden=self.hidden, generator=generator, zero_last=True)

    def configuration(self) -> dict[str, Any]:
        """Sizes and seed; centre and scale travel with the weights."""
        return {
            "dim": self.dim,
            "hidden": list(self.hidden),
            "shrinkage": self.shrinkage,
            "seed": self.seed,
        }

    def forward(
        self, inputs: Float[Tensor, "*batch d"], *, condition: None = None
    ) -> Float[Tensor, "*batch d"]:
        """Where each cell is sent; `condition` is accepted as every surrogate's is, and unused."""
        if inputs.shape[-1] != self.dim:
            raise DataError(
                f"cells have {inputs.shape[-1]} coordinates; this map was made for {self.dim}. "
                "Use the features the map was trained with."
            )
        u = self.net((inputs - self.centre) / self.scale)
        return inputs + self.scale * soft_threshold(u, self.shrinkage)
