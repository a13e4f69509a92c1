"""Which channel flows to simulate and what to keep of them."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from pushforward.simulators.channel import ChannelFlow, CoarseView, FilterName, stretched_points
from pushforward.simulators.errors import DataError

__all__ = ["CHANNEL_SIMULATIONS", "ChannelSimulation"]


@dataclass(frozen=True)
class ChannelSimulation:
    """Turbulence between two plates by direct simulation, kept filtered on a coarser grid.

    Lengths in half heights h, velocities such that laminar flow of bulk velocity 2/3 has 1 on the
    centre plane. Run i starts from streaks and the noise of seed + i, so that it is the same
    whatever else is simulated beside it. It becomes turbulent on the spin-up grid, where a step
    costs a fraction, is refined exactly (spectral interpolation), settles, and is then recorded.

    Parameters
    ----------
    points
        points in x, y and z of the simulation; y is Chebyshev, both walls included
    box
        lengths along x and z; the default is a minimal flow unit of 560 x 190 wall units
    viscosity
        1/4200 with bulk velocity 2/3 has friction Reynolds number 175 to 180
    driving
        flux holds the bulk velocity; gradient holds the pressure gradient, and so u_tau
    bulk_velocity
        for driving flux
    pressure_gradient
        for driving gradient
    dt
        time step of the simulation; its CFL number must stay below 1.7
    runs
        independent flows
    seed
        of the first run
    batch
        runs stepped together; more pay on a GPU
    spin_up_points
        points in x, y and z of the spin-up
    spin_up
        time on that grid, with the longest step that divides it evenly at twice dt or less
    settle
        time on the full grid before the first frame
    time
        time recorded
    stride
        steps between frames
    kept
        points in x, y and z of the frames
    spacing
        wall-normal points of the frames: stretched as in the published data, or chebyshev
    filter
        over x and z: cutoff drops the modes that the kept grid can't hold, box and gaussian damp
        the others too
    width
        of a box or gaussian filter, in spacings of the kept grid

    Examples
    --------
    >>> simulation = ChannelSimulation(time=10.0)
    >>> simulation.frames, simulation.frame_spacing
    (11, 1.0)
    """

    points: list[int] = field(default_factory=lambda: [32, 65, 32])
    box: list[float] = field(default_factory=lambda: [math.pi, 0.34 * math.pi])
    viscosity: float = 1 / 4200
    driving: Literal["flux", "gradient"] = "flux"
    bulk_velocity: float = 2 / 3
    pressure_gradient: float = 0.0
    dt: float = 0.0625
    runs: int = 8
    seed: int = 0
    batch: int = 1
    spin_up_points: list[int] = field(default_factory=lambda: [16, 33, 16])
    spin_up: float = 200.0
    settle: float = 50.0
    time: float = 100.0
    stride: int = 16
    kept: list[int] = field(default_factory=lambda: [16, 33, 16])
    spacing: Literal["stretched", "chebyshev"] = "stretched"
    filter: FilterName = "cutoff"
    width: float = 1.0

    def __post_init__(self) -> None:
        for name in ("points", "spin_up_points", "kept"):
            if len(getattr(self, name)) != 3:
                raise DataError(f"{name} = {getattr(self, name)} must be three: along x, y, z.")
        if len(self.box) != 2:
            raise DataError(f"box = {self.box} must be two lengths, along x and z.")
        for name in ("runs", "batch", "stride"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} = {getattr(self, name)} must be at least 1.")
        for name in ("spin_up", "settle", "time"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} = {getattr(self, name)} must be finite, at least 0.")
        if not (self.dt > 0 and math.isfinite(self.dt)):
            raise DataError(f"dt = {self.dt}; expected a positive number.")
        if self.driving == "gradient" and not self.pressure_gradient > 0:
            raise DataError(
                f"pressure_gradient = {self.pressure_gradient}; driving = 'gradient' needs a "
                "positive one: u_tau²/h."
            )
        if self.spacing not in ("stretched", "chebyshev"):
            raise DataError(f"spacing = {self.spacing!r}; 'stretched' or 'chebyshev'.")
        if self.frames < 2:
            raise DataError(
                f"time = {self.time:g} holds {self.frames} frame at a spacing of "
                f"{self.frame_spacing:g}. Record for at least {self.frame_spacing:g}."
            )
        self.view(self.flow())  # the solver and the filter check the rest
        self.spin_up_flow()

    @property
    def frame_spacing(self) -> float:
        """Time between frames."""
        return self.stride * self.dt

    @property
    def frames(self) -> int:
        """Frames of each run."""
        return math.floor(self.time / self.frame_spacing + 1e-9) + 1

    @property
    def spin_up_steps(self) -> int:
        """Steps of the spin-up, each at most twice dt."""
        return math.ceil(self.spin_up / (2 * self.dt) - 1e-9)

    @property
    def settle_steps(self) -> int:
        """Steps on the full grid before the first frame."""
        return math.ceil(self.settle / self.dt - 1e-9)

    @property
    def y(self) -> Tensor:
        """Wall-normal points of the frames, distance from the lower wall."""
        if self.spacing == "stretched":
            return stretched_points(self.kept[1])
        n = self.kept[1]
        j = torch.arange(n, dtype=torch.float64)
        return 1 + torch.sin(math.pi * (2 * j - (n - 1)) / (2 * (n - 1)))

    def flow(self, device: torch.device | str = "cpu") -> ChannelFlow:
        """The solver on the full grid."""
        return self._flow(self.points, self.dt, device)

    def spin_up_flow(self, device: torch.device | str = "cpu") -> ChannelFlow:
        """The solver on the grid of the spin-up."""
        steps = max(self.spin_up_steps, 1)
        return self._flow(self.spin_up_points, (self.spin_up or self.dt) / steps, device)

    def view(self, flow: ChannelFlow) -> CoarseView:
        """What is kept of a state on the full grid."""
        planes = (self.kept[0], self.kept[2])
        return CoarseView(flow, planes, self.y - 1, kind=self.filter, width=self.width)

    def _flow(self, points: list[int], dt: float, device: torch.device | str) -> ChannelFlow:
        return ChannelFlow(
            (points[0], points[1], points[2]),
            lengths=(self.box[0], self.box[1]),
            viscosity=self.viscosity,
            driving=self.driving,
            bulk_velocity=self.bulk_velocity,
            pressure_gradient=self.pressure_gradient or None,
            dt=dt,
            device=device,
        )

    def plain(self) -> dict[str, Any]:
        """All options as plain values."""
        return asdict(self)


def _smoke() -> ChannelSimulation:
    return ChannelSimulation(
        points=[16, 25, 16],
        runs=3,
        spin_up_points=[16, 25, 16],
        spin_up=8.0,
        settle=0.0,
        time=6.0,
        kept=[8, 17, 8],
    )


def _paper() -> ChannelSimulation:
    """The published set at Re_τ 180: 21 runs of 400 frames, 32 x 33 x 16 points."""
    return ChannelSimulation(
        points=[192, 129, 64],
        box=[4 * math.pi, 4 * math.pi / 3],
        dt=0.04,
        stride=25,
        runs=21,
        batch=3,
        spin_up_points=[96, 65, 48],
        time=399.0,
        kept=[32, 33, 16],
    )


CHANNEL_SIMULATIONS = {"smoke": _smoke, "small": ChannelSimulation, "paper": _paper}
"""Name -> flows: `smoke` (seconds), `small` (minutes on two cores), `paper` (for a GPU)."""
