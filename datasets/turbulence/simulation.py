"""What flows to simulate: grid, physics, times, seeds."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    PeriodicGrid,
    stable_time_step,
)
from pushforward.simulators.turbulence.time_step import diffusive_limit

__all__ = ["TURBULENCE_SIMULATIONS", "TurbulenceSimulation"]

Advection = Literal["van_leer", "central", "upwind", "lax_wendroff"]


@dataclass(frozen=True)
class TurbulenceSimulation:
    """Forced or decaying two-dimensional turbulence by finite volumes, kept on coarser grids.

    du/dt + div(u u) = −grad p + ν Δu − μ u + A sin(k y) e_x, div u = 0, doubly periodic. Flow i
    starts from the random velocity of seed + i, so it is the same whatever else is simulated
    beside it; it spins up, settles, and is then recorded.

    Parameters
    ----------
    cells
        cells along x, or along x and y, of the simulation
    factors
        whole factors by which velocities are down-sampled, one data set each; 1 keeps all cells
    domain
        side length, or the lengths along x and y, in units of 2 pi
    flows
        how many
    seed
        of the first flow
    batch
        flows stepped together: more are faster and take more memory
    viscosity
        ν; 1e-3 is the published Kolmogorov flow at Re = 1000
    drag
        μ; 0.1 there, 0 in the decaying set
    amplitude
        A; 0 for no forcing, as in the decaying set
    wavenumber
        k in radians per length; 4 in the published sets
    max_velocity
        greatest speed of the random start, and the speed for which the time step is made; 7 in
        the published sets
    peak_wavenumber
        of the random start; 4 in the published sets
    spin_up_cells
        cells along x while flows spin up, refined by Fourier interpolation afterwards; 0 spins up
        on the full grid, which a published set does and which costs most of the time
    spin_up
        time units of it, not recorded; 40 in the published sets
    settle
        time units on the full grid before the first frame, not recorded
    time
        time units recorded
    frame_spacing
        time units between frames; 0 takes a finite-volume step of the finest data set
    cfl
        Courant number at max_velocity, and share of the limit of explicit diffusion: the time step
        is the largest below both that divides the frame spacing
    advection
        van_leer, central, upwind, lax_wendroff
    diffusion
        explicit or implicit; the published sets are implicit

    Examples
    --------
    >>> simulation = TurbulenceSimulation(cells=[2048], factors=[32])
    >>> simulation.grids, simulation.frame_steps, round(simulation.dt, 10)
    ([(64, 64)], 32, 0.0002191401)
    """

    cells: list[int] = field(default_factory=lambda: [256])
    factors: list[int] = field(default_factory=lambda: [8])
    domain: list[float] = field(default_factory=lambda: [1.0])
    flows: int = 8
    seed: int = 0
    batch: int = 8
    viscosity: float = 1e-3
    drag: float = 0.1
    amplitude: float = 1.0
    wavenumber: int = 4
    max_velocity: float = 7.0
    peak_wavenumber: float = 4.0
    spin_up_cells: int = 64
    spin_up: float = 20.0
    settle: float = 2.0
    time: float = 10.0
    frame_spacing: float = 0.0
    cfl: float = 0.5
    advection: Advection = "van_leer"
    diffusion: Literal["explicit", "implicit"] = "explicit"

    def __post_init__(self) -> None:
        for name in ("cells", "domain"):
            values = getattr(self, name)
            if len(values) not in (1, 2):
                raise DataError(f"{name} = {values} must be one number, or one along x and y.")
        for name in ("flows", "batch"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} = {getattr(self, name)} must be at least 1.")
        for name in ("spin_up_cells", "spin_up", "settle", "time", "frame_spacing"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} = {getattr(self, name)} must be finite, at least 0.")
        for name in ("cfl", "max_velocity"):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"{name} = {getattr(self, name)} must be positive.")
        self._check_factors()
        spin_up = self.spin_up_cells
        if spin_up and (spin_up > self.shape[0] or spin_up * self.shape[1] % self.shape[0]):
            raise DataError(
                f"spin_up_cells = {spin_up} must be at most {self.shape[0]} and make a whole "
                f"number of cells along y ({self.shape[0]} x {self.shape[1]} cells in all)."
            )
        if self.frames < 2:
            raise DataError(
                f"time = {self.time:g} holds {self.frames} frame at a spacing of "
                f"{self.spacing:g}. Record for at least {self.spacing:g}."
            )
        self.solver()  # the solvers check the physics
        self.spin_up_solver()

    def _check_factors(self) -> None:
        nx, ny = self.shape
        if not self.factors or len(set(self.factors)) < len(self.factors):
            raise DataError(f"factors = {self.factors} must be different numbers, one or more.")
        fit = [s for s in range(1, min(nx, ny) // 4 + 1) if nx % s == 0 and ny % s == 0]
        if wrong := [s for s in self.factors if s not in fit]:
            raise DataError(
                f"factors {wrong} do not divide {nx} x {ny} cells into at least 4 x 4; those "
                f"that do: {fit}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the simulation along x and y."""
        return self.cells[0], self.cells[-1]

    @property
    def lengths(self) -> tuple[float, float]:
        """Side lengths (Lx, Ly)."""
        return 2 * math.pi * self.domain[0], 2 * math.pi * self.domain[-1]

    @property
    def grids(self) -> list[tuple[int, int]]:
        """Cells of each data set, in the order of the factors."""
        return [(self.shape[0] // s, self.shape[1] // s) for s in self.factors]

    @property
    def spacing(self) -> float:
        """Time units between frames."""
        if self.frame_spacing:
            return self.frame_spacing
        finest = PeriodicGrid.of(self.shape, self.lengths).spacing
        finest = (finest[0] * min(self.factors), finest[1] * min(self.factors))
        return stable_time_step(finest, max_velocity=self.max_velocity, cfl=self.cfl)

    @property
    def frame_steps(self) -> int:
        """Steps of the solver between frames."""
        return max(1, math.ceil(self.spacing / self._largest_dt(self.shape) - 1e-9))

    @property
    def dt(self) -> float:
        """Time step on the full grid."""
        return self.spacing / self.frame_steps

    @property
    def frames(self) -> int:
        """Frames of each flow, the first at time 0."""
        return math.floor(self.time / self.spacing + 1e-9) + 1

    @property
    def spin_up_shape(self) -> tuple[int, int]:
        """Cells along x and y while flows spin up."""
        cells = self.spin_up_cells or self.shape[0]
        return cells, cells * self.shape[1] // self.shape[0]

    def solver(self, device: torch.device | str = "cpu") -> FiniteVolumeSolver:
        """The solver on the full grid, float32."""
        return self._solver(self.shape, self.dt, device)

    def spin_up_solver(self, device: torch.device | str = "cpu") -> FiniteVolumeSolver:
        """The solver on the grid of the spin-up."""
        return self._solver(self.spin_up_shape, self._largest_dt(self.spin_up_shape), device)

    def _solver(
        self, shape: tuple[int, int], dt: float, device: torch.device | str
    ) -> FiniteVolumeSolver:
        forcing = KolmogorovForcing(self.amplitude, self.wavenumber) if self.amplitude else None
        return FiniteVolumeSolver(
            shape,
            domain=self.lengths,
            viscosity=self.viscosity,
            drag=self.drag,
            forcing=forcing,
            dt=dt,
            advection=self.advection,
            diffusion=self.diffusion,
            max_velocity=self.max_velocity,
            device=device,
        )

    def _largest_dt(self, shape: tuple[int, int]) -> float:
        spacing = PeriodicGrid.of(shape, self.lengths).spacing
        dt = stable_time_step(spacing, max_velocity=self.max_velocity, cfl=self.cfl)
        if self.diffusion == "implicit":
            return dt
        return min(dt, self.cfl * diffusive_limit(spacing, self.viscosity))

    def plain(self) -> dict[str, Any]:
        """All options as plain values."""
        return asdict(self)


def _smoke() -> TurbulenceSimulation:
    return TurbulenceSimulation(
        cells=[64], factors=[4], flows=2, spin_up_cells=32, spin_up=2.0, settle=0.5, time=1.0
    )


def _paper() -> TurbulenceSimulation:
    """The temporal-stencil paper's training set: 128 flows of 2048² cells kept on 64², 32², 16²."""
    return TurbulenceSimulation(
        cells=[2048],
        factors=[32, 64, 128],
        flows=128,
        batch=4,
        spin_up_cells=0,
        spin_up=40.0,
        settle=1.0,
        time=80.0,
        diffusion="implicit",
    )


TURBULENCE_SIMULATIONS = {"smoke": _smoke, "small": TurbulenceSimulation, "paper": _paper}
"""Name -> flows: `smoke` (seconds), `small` (minutes on two cores), `paper` (for a GPU)."""
