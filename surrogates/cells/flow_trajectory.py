"""A flow through populations measured at several times, each cell destroyed by its measurement."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.cells.flow_paths import check_snapshots
from pushforward.surrogates.cells.meta_flow import MetaFlowMatching, PopulationCode
from pushforward.surrogates.flow import ODESampler

__all__ = ["TrajectoryFlow"]

STEPS_PER_INTERVAL = 10  # midpoint steps between two measured times


class TrajectoryFlow(Surrogate):
    r"""dx/dt = v(x, t | φ(P(t))): one flow over all measured times.

    φ(P(t)) embeds the population last seen at or before t: with embedding "graph" or "set" this
    is meta flow matching along time, with "none" plain (OT- or SB-) conditional flow matching.

    Parameters
    ----------
    times : measured times, ascending; t is scaled to [0, 1] inside.
    flow : settings of the `MetaFlowMatching` whose velocity this is, with `dim`.

    Raises
    ------
    DataError : fewer than 2 times, not ascending; in use, an interval outside the measured times.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import TrajectoryFlow
    >>> model = TrajectoryFlow([0.0, 1.0, 3.0], {"dim": 2, "embedding": "none"})
    >>> x = torch.ones(4, 2)
    >>> bool(torch.equal(model.predict(x, 1.0, 2.0), x))  # untrained, nothing moves
    True
    """

    def __init__(self, times: Sequence[float], flow: dict[str, Any]):
        super().__init__()
        check_snapshots(times, None)
        self.times = tuple(float(t) for t in times)
        self.flow = MetaFlowMatching(**flow)

    def configuration(self) -> dict[str, Any]:
        """Times, and the settings of the flow."""
        return {"times": list(self.times), "flow": self.flow.configuration()}

    def code(self, populations: Float[Tensor, "p n d"]) -> PopulationCode:
        """Embeddings of populations."""
        return self.flow.encode(populations)

    def velocity(
        self, x: Float[Tensor, "p m d"], time: Float[Tensor, "p m"], code: PopulationCode
    ) -> Float[Tensor, "p m d"]:
        """dx/dt, in units of x per unit of the given times."""
        first, last = self.times[0], self.times[-1]
        scaled = (time - first) / (last - first)
        none = x.new_zeros(len(x), 0)
        return self.flow.velocity(x, scaled, code, none) / (last - first)

    def forward(
        self, inputs: Float[Tensor, "n d"], *, condition: dict[str, float] | None = None
    ) -> Float[Tensor, "n d"]:
        """`predict(inputs, condition["start"], condition["end"])`; default: from first to last."""
        condition = condition or {}
        start, end = condition.get("start", self.times[0]), condition.get("end", self.times[-1])
        return self.predict(inputs, start, end)

    def predict(self, cells: Float[Tensor, "n d"], start: float, end: float) -> Tensor:
        """Where the population `cells`, seen at `start`, is at `end`.

        Raises
        ------
        DataError : times outside the measured range or not ascending, cells of another dimension.
        """
        if not self.times[0] <= start < end <= self.times[-1]:
            raise DataError(
                f"from {start} to {end}; expected ascending times within the measured "
                f"{self.times[0]} to {self.times[-1]}."
            )
        if cells.ndim != 2 or cells.shape[1] != self.flow.dim:
            raise DataError(
                f"cells of shape {tuple(cells.shape)}; this flow was made for (cells, "
                f"{self.flow.dim})."
            )
        code = self.code(cells[None])

        def field(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x[None], t.expand(len(x))[None], code)[0]

        intervals = 1 + sum(start < t < end for t in self.times)
        grid = torch.linspace(0.0, 1.0, STEPS_PER_INTERVAL * intervals + 1)
        span = end - start
        sampler = ODESampler(
            lambda x, t: span * field(x, start + span * t), method="midpoint", time_grid=grid
        )
        return sampler.sample(cells).x
