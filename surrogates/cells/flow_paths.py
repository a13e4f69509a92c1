"""Paths through populations at several times: chained transport plans, straight or curved."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from scipy.interpolate import make_interp_spline
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import solve_sample

__all__ = ["SnapshotPaths", "TrajectoryOptions", "check_snapshots"]


@dataclass(frozen=True)
class TrajectoryOptions:
    """Paths between measured times, and batches of them.

    Parameters
    ----------
    coupling
        ot glues exact optimal transport plans between neighbouring times; independent pairs at
        random
    bridge
        σ of the Brownian bridge between neighbouring times (SB-CFM), in the unit of the cells;
        the plans then are the entropic ones of strength 2 σ²
    curvature
        none takes straight lines between neighbouring times; mean lets the mean of the population
        follow a cubic spline through all measured means, while cells keep straight lines about it
    batch_size
        points a step
    """

    coupling: Literal["ot", "independent"] = "ot"
    bridge: float = 0.0
    curvature: Literal["none", "mean"] = "none"
    batch_size: int = 256

    def __post_init__(self) -> None:
        for name, known in (("coupling", ("ot", "independent")), ("curvature", ("none", "mean"))):
            if getattr(self, name) not in known:
                raise DataError(f"{name} = {getattr(self, name)!r}; choose one of {known}.")
        if self.bridge < 0 or self.batch_size < 1:
            raise DataError(
                f"bridge = {self.bridge}, batch_size = {self.batch_size}; must be at least 0 and 1."
            )
        if self.bridge and self.coupling == "independent":
            raise DataError("a Brownian bridge needs coupling 'ot' (entropic); got 'independent'.")


class SnapshotPaths:
    r"""Draws points of paths through snapshots, and their velocities.

        s = (t − t_k)/(t_{k+1} − t_k),   x_t = (1 − s) x_k + s x_{k+1} + c(t) + σ √(s(1 − s)) z

    (x_k, x_{k+1}) come from the plan between neighbouring snapshots. c(t) is the cubic spline
    (not-a-knot) through the snapshots' means minus their piecewise linear interpolation: it is
    zero at every measured time, so all marginals there are kept. A single cell's curvature cannot
    be measured, because no cell is seen twice; that of the mean can. With two snapshots c = 0,
    with three the spline is a parabola.

    Parameters
    ----------
    times : ascending.
    populations : cells (n_k, d) at each time.
    options : see `TrajectoryOptions`.

    Raises
    ------
    DataError : other numbers of times and populations, times not ascending, fewer than 2 times,
        fewer than 2 cells, NaN.

    References
    ----------
    Tong et al., "Improving and generalizing flow-based generative models with minibatch optimal
    transport", TMLR 2024 (OT-CFM, SB-CFM along time); splines through several marginals: Rohbeck
    et al., "Modeling complex system dynamics with flow matching across time and conditions", 2025.
    """

    def __init__(
        self, times: Sequence[float], populations: Sequence[Tensor], options: TrajectoryOptions
    ):
        check_snapshots(times, populations)
        self.times, self.options = torch.tensor([float(t) for t in times]), options
        self.populations = list(populations)
        means = torch.stack([p.mean(0) for p in populations]).double().cpu().numpy()
        degree = min(len(times) - 1, 3)
        spline = make_interp_spline([float(t) for t in times], means, k=degree)
        self._means = torch.from_numpy(means).float()
        self._curve, self._slope = spline, spline.derivative()
        self.plans = [self._plan(a, b) for a, b in itertools.pairwise(populations)]

    def _plan(self, a: Tensor, b: Tensor) -> Tensor | None:
        """Rows of the plan, each a law over the next snapshot; None for independence."""
        if self.options.coupling == "independent":
            return None
        eps = 2 * self.options.bridge**2
        plan = solve_sample(a, b, eps=eps, tol=1e-3).plan if eps else solve_sample(a, b).plan
        return plan / plan.sum(1, keepdim=True)

    def draw(
        self, interval: int, n: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"], Float[Tensor, "n d"]]:
        """Points x_t, times t and velocities of n paths between snapshots `interval` and the next.

        Times are spread over the interval by stratified sampling.
        """
        s = (torch.arange(n) + torch.rand(n, generator=generator)) / n
        x, velocity = self.at(interval, s, generator)
        width = self.times[interval + 1] - self.times[interval]
        return x, self.times[interval] + s * width, velocity

    def at(
        self, interval: int, s: Float[Tensor, " n"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Points and velocities of random paths at shares s of an interval."""
        here, there = self.populations[interval], self.populations[interval + 1]
        first = torch.randint(len(here), (len(s),), generator=generator)
        plan = self.plans[interval]
        if plan is None:
            second = torch.randint(len(there), (len(s),), generator=generator)
        else:
            second = torch.multinomial(plan[first].cpu(), 1, generator=generator)[:, 0]
        x0, x1 = here[first], there[second]
        width = (self.times[interval + 1] - self.times[interval]).item()
        share = s[:, None].to(x0)
        x, velocity = x0 + share * (x1 - x0), (x1 - x0) / width
        if self.options.curvature == "mean":
            shift, slope = self._bend(interval, s)
            x, velocity = x + shift.to(x), velocity + slope.to(x)
        if self.options.bridge:
            z = torch.randn(x.shape, generator=generator).to(x)
            inside = (share * (1 - share)).clamp_min(1e-4)
            x = x + self.options.bridge * inside.sqrt() * z
            velocity = (
                velocity + self.options.bridge * (1 - 2 * share) / (2 * inside.sqrt()) * z / width
            )
        return x, velocity

    def _bend(self, interval: int, s: Tensor) -> tuple[Tensor, Tensor]:
        """c(t) and its derivative."""
        a, b = self.times[interval].item(), self.times[interval + 1].item()
        t = a + s.double().numpy() * (b - a)
        m0, m1 = self._means[interval], self._means[interval + 1]
        curve = torch.from_numpy(self._curve(t)).float()
        slope = torch.from_numpy(self._slope(t)).float()
        return curve - (m0 + s[:, None] * (m1 - m0)), slope - (m1 - m0) / (b - a)


def check_snapshots(times: Sequence[float], populations: Sequence[Tensor] | None) -> None:
    """Refuse times that do not ascend, and populations that are missing, tiny or not finite."""
    if len(times) < 2 or any(not a < b for a, b in itertools.pairwise(times)):
        raise DataError(f"times {list(times)}; expected at least 2, ascending.")
    if populations is None:
        return
    if len(populations) != len(times):
        raise DataError(f"{len(times)} times and {len(populations)} populations; give one each.")
    for time, cells in zip(times, populations, strict=True):
        if cells.ndim != 2 or len(cells) < 2:
            raise DataError(
                f"time {time}: cells of shape {tuple(cells.shape)}; expected (cells, "
                "coordinates) with at least 2 cells."
            )
        bad = int((~torch.isfinite(cells)).any(1).sum())
        if bad:
            raise DataError(f"time {time}: {bad} of {len(cells)} cells hold NaN or infinity.")
