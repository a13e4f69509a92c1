"""From a simulation to what a coarse grid sees: filters over the planes, samples between the walls.

A filter of constant width in x and z keeps ∇·u = 0 as long as ∂/∂y is taken on the fine grid;
points dropped in y can't be differentiated to the same accuracy, so the divergence of a coarse
field by its own points is not 0.
"""

import math
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.channel.chebyshev import Chebyshev
from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.channel.transforms import PlaneTransforms
from pushforward.simulators.channel.wall_normal import apply
from pushforward.simulators.errors import DataError

__all__ = ["CoarseView", "FilterName", "resample_modes", "resample_state"]

FilterName = Literal["cutoff", "box", "gaussian"]


class CoarseView:
    """Filtered velocity of a flow on a coarser grid.

    û(kx, kz) G(kx) G(kz), cut off where the coarse grid ends so that sampling folds nothing back;
    G = 1 ("cutoff"), sin(kΔ/2)/(kΔ/2) ("box"), exp(-k²Δ²/24) ("gaussian"). Between the walls the
    Chebyshev polynomial is evaluated at the wanted points, without a filter.

    Parameters
    ----------
    flow : the solver whose states will be seen.
    planes_shape : (nx, nz), points of the coarse planes, even, at most those of the flow.
    y : wall-normal points of the coarse grid in [-1, 1].
    kind : the filter; "cutoff" only drops modes.
    width : Δ over the coarse spacing along x and z, for "box" and "gaussian"; 1 is usual.

    Raises
    ------
    DataError : a finer grid than the flow's, points outside the channel, an unknown filter or a
        width that is not positive.

    Examples
    --------
    >>> flow = ChannelFlow((16, 17, 16), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> view = CoarseView(flow, (8, 8), torch.linspace(-1, 1, 9))
    >>> seen = view(flow.laminar())
    >>> seen.shape, round(float(seen[0, 0, 4, 0]), 12)
    (torch.Size([3, 8, 9, 8]), 1.0)
    """

    def __init__(
        self,
        flow: ChannelFlow,
        planes_shape: tuple[int, int],
        y: Float[Tensor, " ny"],
        *,
        kind: FilterName = "cutoff",
        width: float | int = 1.0,
    ) -> None:
        nx, nz = planes_shape
        if nx > flow.shape[0] or nz > flow.shape[2]:
            raise DataError(
                f"the coarse grid has {nx} x {nz} points in x and z, the simulation only "
                f"{flow.shape[0]} x {flow.shape[2]}. Filter to fewer, or simulate with more."
            )
        if kind not in ("cutoff", "box", "gaussian"):
            raise DataError(f"filter {kind!r} is unknown; choose cutoff, box or gaussian.")
        if not (width > 0 and math.isfinite(width)):
            raise DataError(f"width = {width}; expected a positive number of coarse spacings.")
        self.flow = flow
        self.plane = PlaneTransforms(nx, nz, flow.lengths, flow.device)
        self.sample = Chebyshev(flow.shape[1]).interpolation(y).to(flow.device)
        self.widths = (width * flow.lengths[0] / nx, width * flow.lengths[1] / nz)
        along_x = transfer(kind, self.plane.kx * self.widths[0])
        self.transfer = along_x * transfer(kind, self.plane.kz * self.widths[1])

    def __call__(self, state: ChannelState) -> Float[Tensor, "*batch 3 nx ny nz"]:
        """Filtered u, v, w at the coarse points."""
        fields = [
            apply(self.sample, resample_modes(f, self.flow.plane, self.plane) * self.transfer)
            for f in self.flow.coefficients(state)
        ]
        return (
            self.plane.to_physical(torch.stack(fields), padded=False)
            .movedim(0, -4)
            .movedim(-3, -2)
            .clone()
        )


def transfer(kind: FilterName, phase: Tensor) -> Tensor:
    """G at phase = kΔ."""
    if kind == "box":
        return torch.sinc(phase / (2 * math.pi))
    return torch.exp(-phase.square() / 24) if kind == "gaussian" else torch.ones_like(phase)


def resample_modes(
    field: Complex[Tensor, "*planes kx kz"], source: PlaneTransforms, target: PlaneTransforms
) -> Complex[Tensor, "*planes kx2 kz2"]:
    """The modes that both grids hold; those that only the target holds are 0."""
    out = field.new_zeros(*field.shape[:-2], *target.modes)
    up, down = min(source.positive, target.positive), min(source.negative, target.negative)
    across = min(source.modes[1], target.modes[1])
    out[..., :up, :across] = field[..., :up, :across]
    out[..., -down:, :across] = field[..., -down:, :across]
    return out


def resample_state(state: ChannelState, source: ChannelFlow, target: ChannelFlow) -> ChannelState:
    """The same flow on another grid of the same box, finer or coarser.

    v and ω_y are polynomials between the walls and are evaluated at the target's points; ∇²v
    follows from v. Refinement is exact, and the result is free of divergence either way.

    Raises
    ------
    DataError : the boxes differ.

    Examples
    --------
    >>> coarse, fine = (
    ...     ChannelFlow((n, n + 1, n), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01) for n in (8, 16)
    ... )
    >>> refined = resample_state(coarse.laminar(), coarse, fine)
    >>> bool((refined.mean[0] - (1 - fine.y**2)).abs().max() < 1e-13)
    True
    """
    if source.lengths != target.lengths:
        raise DataError(
            f"the state's box is {source.lengths}, the target's {target.lengths}. Only the grid "
            "may change."
        )
    matrix = Chebyshev(source.shape[1]).interpolation(target.y.cpu()).to(target.device)
    v, g = (
        apply(matrix, resample_modes(f.to(target.device), source.plane, target.plane))
        for f in (state.v, state.g)
    )
    return ChannelState(
        v,
        apply(target.wall.second, v) - target.plane.k2 * v,
        g,
        state.mean.to(target.device) @ matrix.T,
        state.time,
        state.pressure_gradient.to(target.device),
    )
