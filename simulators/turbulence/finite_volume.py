"""Incompressible Navier-Stokes on the staggered grid by finite volumes."""

import threading
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
from pushforward.simulators.turbulence.checks import (
    COURANT_LIMIT,
    as_field,
    check_coefficients,
    check_courant,
    diverged,
    known_option,
)
from pushforward.simulators.turbulence.forcing import Forcing
from pushforward.simulators.turbulence.grid import Number, PeriodicGrid
from pushforward.simulators.turbulence.initial import random_velocity
from pushforward.simulators.turbulence.operators import (
    laplacian,
    project,
    solve_diffusion,
    vorticity,
)
from pushforward.simulators.turbulence.tableaux import TABLEAUX, RungeKutta
from pushforward.simulators.turbulence.time_step import check_time_step

__all__ = ["FiniteVolumeSolver"]

Velocity = Float[Tensor, "*batch 2 nx ny"]


class FiniteVolumeSolver:
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
        self.grid = PeriodicGrid.of(shape, domain)
        self.shape, self.spacing = self.grid.shape, self.grid.spacing
        known_option("advection", advection, ADVECTION_SCHEMES)
        known_option("diffusion", diffusion, ("explicit", "implicit"))
        known_option("stepper", stepper, get_args(RungeKutta))
        check_coefficients(viscosity, drag)
        if diffusion == "implicit" and stepper != "euler":
            raise DataError(
                f'diffusion="implicit" is a first-order splitting and goes with stepper="euler", '
                f'not {stepper!r}. Use diffusion="explicit" with {stepper!r}.'
            )
        check_time_step(
            dt,
            self.spacing,
            viscosity=viscosity,
            max_velocity=max_velocity,
            explicit_diffusion=diffusion == "explicit",
        )
        self.viscosity, self.drag, self.forcing, self.dt = viscosity, drag, forcing, float(dt)
        self.advection, self.diffusion, self.stepper = advection, diffusion, stepper
        self.dtype, self.device = dtype, torch.device(device)
        force = torch.zeros(2, 1, 1) if forcing is None else forcing.on_faces(self.grid)
        self.force = force.to(self.device, dtype)
        self._fast: dict[tuple[int, int, int], Any] = {}  # buffers; each thread has its own

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
        fields = [
            as_field(c, name, self.shape, self.dtype, self.device)
            for c, name in ((u, "u"), (v, "v"))
        ]
        return torch.stack(torch.broadcast_tensors(*fields), -3)

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

    def step(self, state: Velocity) -> Velocity:
        """One time step, differentiable; no check of the result."""
        self._check_shape(state)
        if self._fast_applies(state):
            return self._fast_run(state, 1, check=False)[0]
        return self._eager_step(state)

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

    def advance(self, state: Velocity, n_steps: int) -> Velocity:
        """Take `n_steps` steps.

        Raises
        ------
        DivergedError : a Courant number max(|u|/hx, |v|/hy) dt above 1, or a non-finite value,
            with the step, the time and the flow of the batch.
        """
        self._check_shape(state)
        if n_steps < 0:
            raise DataError(f"n_steps = {n_steps} must be at least 0.")
        check_courant(self.courant(state), 0, self.dt)
        if self._fast_applies(state):
            state, done = self._fast_run(state, n_steps, check=True)
            if done < n_steps or not bool((self.courant(state) <= COURANT_LIMIT).all()):
                raise diverged(self.courant(state), done, self.dt)
            return state
        for n in range(n_steps):
            state = self._eager_step(state)
            check_courant(self.courant(state), n + 1, self.dt)
        return state

    def _fast_applies(self, state: Tensor) -> bool:
        """Kernels carry no gradient and run on the CPU; they know the solver's dtype only."""
        wants_gradient = torch.is_grad_enabled() and state.requires_grad
        return state.device.type == "cpu" and state.dtype == self.dtype and not wants_gradient

    def _fast_run(self, state: Tensor, n_steps: int, *, check: bool) -> tuple[Tensor, int]:
        from pushforward.simulators.turbulence._finite_volume_fast import FastFiniteVolume

        flows = state.reshape(-1, 2, *self.shape)
        key = (len(flows), torch.get_num_threads(), threading.get_ident())
        if key not in self._fast:
            self._fast[key] = FastFiniteVolume(self, flows=len(flows))
        result, done = self._fast[key].run(flows.detach(), n_steps, check=check)
        return result.reshape(state.shape), done

    def courant(self, state: Velocity) -> Float[Tensor, "*batch"]:
        """max(|u|/hx, |v|/hy) dt of each flow of the batch; NaN if anything is not finite."""
        greatest = state.detach().abs().amax((-2, -1))  # amax passes NaN on
        return torch.maximum(
            greatest[..., 0] * (self.dt / self.spacing[0]),
            greatest[..., 1] * (self.dt / self.spacing[1]),
        )

    def _check_shape(self, state: Tensor) -> None:
        if state.shape[-3:] != (2, *self.shape) or state.numel() == 0:
            raise DataError(
                f"state has shape {tuple(state.shape)}; expected (*batch, 2, {self.shape[0]}, "
                f"{self.shape[1]}): channel u, v, then x, y, and at least one flow."
            )
