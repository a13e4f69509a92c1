"""Incompressible Navier-Stokes on the staggered grid by finite volumes."""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.advection import (
    ADVECTION_SCHEMES,
    AdvectionScheme,
    advect_velocity,
)
from pushforward.simulators.turbulence.checks import check_courant, known_option
from pushforward.simulators.turbulence.forcing import Forcing
from pushforward.simulators.turbulence.grid import Number
from pushforward.simulators.turbulence.initial import random_velocity
from pushforward.simulators.turbulence.operators import (
    laplacian,
    project,
    solve_diffusion,
    vorticity,
)
from pushforward.simulators.turbulence.periodic_solver import PeriodicSolver
from pushforward.simulators.turbulence.tableaux import TABLEAUX, RungeKutta

__all__ = ["FiniteVolumeSolver"]

Velocity = Float[Tensor, "*batch 2 nx ny"]


class FiniteVolumeSolver(PeriodicSolver):
    """2-D incompressible Navier-Stokes, staggered finite volumes, pressure projection.

    ∂v/∂t = −div(v v) + ν Δv − μ v + f − ∇p, div v = 0, on a doubly periodic rectangle. The state
    is the velocity on the faces, a tensor (*batch, 2, nx, ny): u at offset (1, 1/2), v at
    (1/2, 1). With explicit diffusion every Runge-Kutta stage is projected,
    v_i = P(v_0 + dt Σ_j a_ij F(v_j)). With implicit diffusion one step is
    v* = v + dt (A(v) + f − μ v), v' = (1 − ν dt Δ_h)⁻¹ P v*.

    Parameters
    ----------
    shape : (nx, ny).
    domain : (Lx, Ly), or one length for a square.
    viscosity : ν.
    drag : μ of the linear drag −μ v; 0.1 in Kolmogorov flow, where it keeps energy from piling up
        at the largest scale.
    forcing : e.g. `KolmogorovForcing()`, averaged over faces.
    dt : time step; see `stable_time_step`.
    advection : "van_leer" (total variation diminishing), "central", "upwind", "lax_wendroff".
    diffusion : "explicit", or "implicit" (backward Euler, by FFT; with the Euler stepper only).
    stepper : "euler", "midpoint", "heun", "rk4".
    max_velocity : the speed for which dt is checked on construction; 7 is that of the data sets,
        None leaves the check to `advance`.
    dtype, device : of the state.

    Raises
    ------
    DataError : dt above the advective limit h/max_velocity or the limit h²/(4ν) of explicit
        diffusion; negative viscosity or drag; unknown options; implicit diffusion with another
        stepper than Euler.

    References
    ----------
    Harlow and Welch, "Numerical calculation of time-dependent viscous incompressible flow of fluid
    with free surface", Physics of Fluids 8, 1965 (the staggered grid); Kochkov et al., "Machine
    learning-accelerated computational fluid dynamics", PNAS 2021 (this discretisation).

    Examples
    --------
    >>> import math
    >>> from pushforward.simulators.turbulence import KolmogorovForcing
    >>> solver = FiniteVolumeSolver(
    ...     (32, 32), domain=2 * math.pi, viscosity=1e-3, drag=0.1,
    ...     forcing=KolmogorovForcing(), dt=0.01,
    ... )
    >>> state = solver.advance(solver.initial(seed=0), 3)
    >>> tuple(state.shape)
    (2, 32, 32)
    """

    state_axes = 3

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        domain: Number | tuple[Number, Number],
        viscosity: Number,
        drag: Number = 0.0,
        forcing: Forcing | None = None,
        dt: Number,
        advection: AdvectionScheme = "van_leer",
        diffusion: Literal["explicit", "implicit"] = "explicit",
        stepper: RungeKutta = "euler",
        max_velocity: Number | None = 7.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        known_option("advection", advection, ADVECTION_SCHEMES)
        known_option("diffusion", diffusion, ("explicit", "implicit"))
        known_option("stepper", stepper, get_args(RungeKutta))
        if diffusion == "implicit" and stepper != "euler":
            raise DataError(
                f'diffusion="implicit" is a first-order splitting and goes with stepper="euler", '
                f'not {stepper!r}. Use diffusion="explicit" with {stepper!r}.'
            )
        super().__init__(
            shape,
            domain=domain,
            viscosity=viscosity,
            drag=drag,
            forcing=forcing,
            dt=dt,
            max_velocity=max_velocity,
            explicit_diffusion=diffusion == "explicit",
            dtype=dtype,
            device=device,
        )
        self.advection, self.diffusion, self.stepper = advection, diffusion, stepper
        force = torch.zeros(2, 1, 1) if forcing is None else forcing.on_faces(self.grid)
        self.force = force.to(self.device, dtype)

    @property
    def state_dtype(self) -> torch.dtype:
        """The dtype of the fields."""
        return self.dtype

    def initial(
        self,
        *,
        seed: int,
        max_velocity: Number = 7.0,
        peak_wavenumber: Number = 4.0,
        batch: tuple[int, ...] = (),
    ) -> Tensor:
        """Random velocity free of divergence; see `random_velocity`."""
        velocity = random_velocity(
            self.grid,
            seed=seed,
            max_velocity=max_velocity,
            peak_wavenumber=peak_wavenumber,
            batch=batch,
        )
        return velocity.to(self.device, self.dtype)

    def from_velocity(self, u: Any, v: Any) -> Tensor:
        """State from u at offset (1, 1/2) and v at (1/2, 1), each (*batch, nx, ny).

        The field is taken as it is; `project` it first if it may have divergence.
        """
        return torch.stack(torch.broadcast_tensors(*self._fields(u, v)), -3)

    def velocity(self, state: Velocity) -> Velocity:
        """u and v on the faces: the state itself."""
        return state

    def vorticity(self, state: Velocity) -> Float[Tensor, "*batch nx ny"]:
        """ω at the cell corners, offset (1, 1)."""
        return vorticity(state, self.spacing)

    def tendency(self, state: Velocity) -> Velocity:
        """A(v) + f − μ v, plus ν Δ_h v where diffusion is explicit; before the projection."""
        total = advect_velocity(state, self.spacing, self.dt, self.advection) + self.force
        if self.drag:
            total = total - self.drag * state
        if self.diffusion == "explicit" and self.viscosity:
            total = total + self.viscosity * laplacian(state, self.spacing)
        return total

    def _eager_step(self, state: Velocity) -> Velocity:
        if self.diffusion == "implicit":
            candidate = project(state + self.dt * self.tendency(state), self.spacing)
            return solve_diffusion(candidate, self.spacing, self.viscosity * self.dt)
        tendencies: list[Tensor] = []
        stage = state
        for row in TABLEAUX[self.stepper]:
            tendencies.append(self.tendency(stage))
            increment = sum(a * k for a, k in zip(row, tendencies, strict=True) if a)
            stage = project(state + self.dt * increment, self.spacing)
        return stage

    def _fast_run(self, state: Tensor, n_steps: int, *, check: bool) -> tuple[Tensor, int, bool]:
        if check:  # the kernels look at what they make, not at what they are given
            check_courant(self.courant(state), 0, self.dt)
        return super()._fast_run(state, n_steps, check=check)

    def _new_kernels(self, flows: int) -> Any:
        from pushforward.simulators.turbulence._finite_volume_fast import FastFiniteVolume

        return FastFiniteVolume(self, flows=flows)

    def _check_shape(self, state: Tensor) -> None:
        if state.shape[-3:] != (2, *self.shape) or state.numel() == 0:
            raise DataError(
                f"state has shape {tuple(state.shape)}; expected (*batch, 2, {self.shape[0]}, "
                f"{self.shape[1]}): channel u, v, then x, y, and at least one flow."
            )
