"""Large-eddy simulation from a coarse field, on the coarse grid's own number of points."""

import math
import time

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from pushforward.benchmarks.tasks.channel.data import ChannelProblem
from pushforward.simulators.channel import (
    WALE,
    ChannelFlow,
    Chebyshev,
    DynamicSmagorinsky,
)
from pushforward.simulators.channel.flow import Closure
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.surrogates.channel import ChannelGrid, DivergenceFree

__all__ = ["LargeEddySimulation", "dns_seconds_per_frame"]

COURANT = 0.9  # at the start of a forecast; the scheme's limit is 1.7, bursts go above the start


class LargeEddySimulation:
    """Forecasts by the package's solver with a sub-grid model.

    The grid has the data's points in x and z and as many Chebyshev points in y. A start is
    interpolated onto them by cubic splines and projected onto fields free of slip and divergence;
    frames are evaluated at the data's points by the solver's own polynomial. The time step is the
    longest that divides a frame and whose Courant number is at most 0.9 at the start.

    Parameters
    ----------
    problem : the data's grid, viscosity and frame spacing.
    closure : dynamic_smagorinsky, wale, or no_model.
    """

    def __init__(self, problem: ChannelProblem, closure: str):
        closures: dict[str, Closure | None] = {
            "dynamic_smagorinsky": DynamicSmagorinsky(),
            "wale": WALE(),
            "no_model": None,
        }
        if closure not in closures:
            raise DataError(f"unknown sub-grid model {closure!r}; known: {', '.join(closures)}.")
        self.problem, self.closure = problem, closures[closure]
        grid = problem.grid
        self.projection = DivergenceFree(ChannelGrid.chebyshev(grid.shape, grid.lengths))
        wall = Chebyshev(grid.shape[1])
        self.to_solver = torch.from_numpy(
            CubicSpline(np.asarray(grid.y), np.eye(grid.shape[1]))(wall.points.numpy())
        )
        self.to_data = wall.interpolation(torch.tensor(grid.y, dtype=torch.float64).clamp(-1, 1))

    def forecast(
        self, start: Float[Tensor, "n 3 x y z"], steps: int
    ) -> Float[Tensor, "n steps 3 x y z"]:
        """Frames after a start; not a number from where the simulation blew up."""
        velocity = self.projection(along_y(self.to_solver, start.double()))
        trial = self._flow(velocity, dt=1.0)
        spacing = self.problem.data.time_step
        parts = math.ceil(spacing * trial.courant(trial.from_velocity(velocity)) / COURANT)
        flow = self._flow(velocity, dt=spacing / parts)
        state = flow.from_velocity(velocity)
        frames: list[Tensor] = []
        for _ in range(steps):
            try:
                state = flow.advance(state, parts)
            except DivergedError:
                break
            frames.append(along_y(self.to_data, flow.velocity(state)).float())
        blank = torch.full_like(start, torch.nan, dtype=torch.float32)
        return torch.stack([*frames, *[blank] * (steps - len(frames))], 1)

    def _flow(self, velocity: Tensor, *, dt: float) -> ChannelFlow:
        problem = self.problem
        bulk = self.projection.grid.mean(velocity[:, 0]).mean()
        return ChannelFlow(
            problem.grid.shape,
            lengths=problem.grid.lengths,
            viscosity=problem.data.viscosity,
            driving="flux",
            bulk_velocity=float(bulk),
            closure=self.closure,
            dt=dt,
        )


def along_y(
    matrix: Float[Tensor, "p q"], field: Float[Tensor, "*batch x q z"]
) -> Float[Tensor, "*batch x p z"]:
    """A matrix applied along y."""
    return torch.einsum("pq,...xqz->...xpz", matrix, field)


def dns_seconds_per_frame(problem: ChannelProblem, *, steps: int = 4) -> float:
    """Seconds the simulation behind the data takes for a frame, on its own grid and time step.

    Raises
    ------
    DataError : the file doesn't say them.
    """
    attributes = problem.data.attributes
    for name in ("dns_points", "dt_dns", "stride"):
        if name not in attributes:
            raise DataError(f"{problem.data.path} has no attribute {name!r}.")
    points = [int(n) for n in np.atleast_1d(attributes["dns_points"])]
    grid = problem.grid
    flow = ChannelFlow(
        (points[0], points[1], points[2]),
        lengths=grid.lengths,
        viscosity=problem.data.viscosity,
        dt=float(attributes["dt_dns"]),
    )
    state = flow.advance(flow.laminar(), 2)
    least = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        state = flow.advance(state, steps)
        least = min(least, (time.perf_counter() - begun) / steps)
    return least * int(attributes["stride"])
