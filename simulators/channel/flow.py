"""Incompressible flow between two walls: Fourier x Chebyshev x Fourier, RK3 and Crank-Nicolson."""

import math
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.channel.closures import Closure, subgrid_force
from pushforward.simulators.channel.rotation import RotationForm
from pushforward.simulators.channel.transforms import PlaneTransforms
from pushforward.simulators.channel.wall_normal import ImplicitStage, WallNormal, apply
from pushforward.simulators.errors import DataError, DivergedError

__all__ = ["ChannelFlow", "ChannelState"]

# Spalart, Moser and Rogers: explicit γ, ζ; implicit α (old level), β (new level).
GAMMA = (8 / 15, 5 / 12, 3 / 4)
ZETA = (0.0, -17 / 60, -5 / 12)
ALPHA = (29 / 96, -3 / 40, 1 / 6)
BETA = (37 / 160, 5 / 24, 1 / 6)

# Largest CFL number |u|dt/dx + |v|dt/dy + |w|dt/dz in which the explicit part is trusted.
CFL_LIMIT = 1.7

# Plane means beyond this multiple of what a driving sustains are no flow.
RUNAWAY = 3.0


class ChannelState(NamedTuple):
    """The flow at one time: what a step needs and nothing else.

    ``v``, ``phi`` = ∇²v and ``g`` = ω_y are Fourier coefficients over the planes, complex
    (*batch, ny, nx-1, nz/2); ``mean`` holds the plane-mean U and W, (*batch, 2, ny).
    """

    v: Complex[Tensor, "*batch ny kx kz"]
    phi: Complex[Tensor, "*batch ny kx kz"]
    g: Complex[Tensor, "*batch ny kx kz"]
    mean: Float[Tensor, "*batch 2 ny"]
    time: float
    pressure_gradient: Float[Tensor, "*batch"]
    """-dP/dx that drove the last step."""


class ChannelFlow:
    """Direct or large-eddy simulation of plane channel flow, h = 1, walls at y = ±1.

    ∂u/∂t + ω×u = -∇Π + ν∇²u + Π_x e_x (+ ∇·2ν_t S),   ∇·u = 0,   u = 0 at y = ±1,

    solved for φ = ∇²v and g = ω_y, which removes the pressure and keeps ∇·u = 0 to rounding.
    Products are formed on 3/2 finer planes (no aliasing in x and z) and freed of the highest
    polynomials in y; viscosity is implicit (Crank-Nicolson), the rest third-order Runge-Kutta,
    second order overall. Sources: Kim, Moin, Moser, J. Fluid Mech. 177, 1987; Spalart, Moser,
    Rogers, J. Comput. Phys. 96, 1991.

    Parameters
    ----------
    shape : (nx, ny, nz): points in x, y (walls included), z; nx and nz even.
    lengths : (Lx, Lz), the periodic box in half heights.
    viscosity : ν in units of h and the velocity scale.
    driving : "flux" holds the bulk velocity, by the pressure gradient that each stage needs;
        "gradient" holds the pressure gradient.
    bulk_velocity : for "flux"; 2/3 makes the laminar centreline velocity 1.
    pressure_gradient : Π_x = u_τ²/h for "gradient".
    closure : a sub-grid model, or None for direct simulation.
    dt : fixed time step; give this or cfl.
    cfl : steps are chosen such that max(|u|/dx + |v|/dy + |w|/dz) dt = cfl, with changes in
        steps of a few per cent; 0.5 to 1 is usual.
    device : of the state; float64 always, for the wall-normal problems need it.

    Raises
    ------
    DataError : sizes, lengths, viscosity or step that make no sense; both or neither of dt and cfl.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> state = flow.advance(flow.laminar(), 10)
    >>> exact = 1 - flow.y**2
    >>> bool((state.mean[0] - exact).abs().max() < 1e-12)
    True
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        lengths: tuple[float | int, float | int],
        viscosity: float | int,
        driving: Literal["flux", "gradient"] = "flux",
        bulk_velocity: float | int = 2 / 3,
        pressure_gradient: float | int | None = None,
        closure: Closure | None = None,
        dt: float | int | None = None,
        cfl: float | int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        if not (viscosity > 0 and math.isfinite(viscosity)):
            raise DataError(f"viscosity = {viscosity}; expected a positive number.")
        if driving not in ("flux", "gradient"):
            raise DataError(f"driving = {driving!r}; 'flux' or 'gradient'.")
        if driving == "gradient" and pressure_gradient is None:
            raise DataError(
                "driving = 'gradient' needs pressure_gradient, which equals u_tau²/h: 1 in units "
                "of the friction velocity."
            )
        if (dt is None) == (cfl is None):
            raise DataError(f"dt = {dt}, cfl = {cfl}; give one of them.")
        for name, value in (("dt", dt), ("cfl", cfl)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise DataError(f"{name} = {value}; expected a positive number.")
        if cfl is not None and cfl > CFL_LIMIT:
            raise DataError(f"cfl = {cfl} is beyond the explicit scheme's limit of {CFL_LIMIT}.")
        nx, ny, nz = shape
        self.shape, self.viscosity = (nx, ny, nz), float(viscosity)
        self.lengths = (float(lengths[0]), float(lengths[1]))
        self.device = torch.device(device)
        self.plane = PlaneTransforms(nx, nz, self.lengths, self.device)
        self.wall = WallNormal(ny, self.plane.k2)
        self.driving, self.closure = driving, closure
        self.bulk_velocity, self.given_gradient = float(bulk_velocity), pressure_gradient
        self.dt, self.cfl = dt, cfl
        self._stages: tuple[float, list[ImplicitStage]] | None = None
        self.rotation = RotationForm(self.plane, self.wall)
        self._ikx, self._ikz = self.rotation.ikx, self.rotation.ikz
        self._ikx_k2, self._ikz_k2 = self.rotation.ikx_k2, self.rotation.ikz_k2
        self._k2 = self.rotation.k2

    @property
    def y(self) -> Float[Tensor, " ny"]:
        """Wall-normal points, from -1 to 1."""
        return self.wall.points

    @property
    def x(self) -> Float[Tensor, " nx"]:
        """Streamwise points of the unpadded grid."""
        nx = self.shape[0]
        return torch.arange(nx, dtype=torch.float64) * (self.lengths[0] / nx)

    @property
    def z(self) -> Float[Tensor, " nz"]:
        """Spanwise points of the unpadded grid."""
        nz = self.shape[2]
        return torch.arange(nz, dtype=torch.float64) * (self.lengths[1] / nz)

    @property
    def laminar_centre(self) -> float:
        """Centreline velocity of Poiseuille flow with this bulk velocity or pressure gradient."""
        if self.driving == "flux":
            return 1.5 * self.bulk_velocity
        return float(self.given_gradient or 0.0) / (2 * self.viscosity)

    # --- states -------------------------------------------------------------------------------

    def laminar(self, batch: tuple[int, ...] = ()) -> ChannelState:
        """Poiseuille flow of the driving's bulk velocity or pressure gradient."""
        centre = self.laminar_centre
        mean = torch.zeros(*batch, 2, self.shape[1], dtype=torch.float64, device=self.device)
        mean[..., 0, :] = centre * (1 - self.y**2)
        zero = torch.zeros(
            *batch, self.shape[1], *self.plane.modes, dtype=torch.complex128, device=self.device
        )
        gradient = mean.new_full(batch, 2 * self.viscosity * centre)
        return ChannelState(zero, zero.clone(), zero.clone(), mean, 0.0, gradient)

    def from_velocity(
        self, velocity: Float[Tensor, "*batch 3 nx ny nz"], *, tolerance: float = 1e-6
    ) -> ChannelState:
        """A state from u, v, w on the unpadded grid.

        Raises
        ------
        DataError : another shape, values that are not finite, slip at the walls, or a divergence
            above ``tolerance`` (relative to the velocity gradients): says how large it is.
        """
        nx, ny, nz = self.shape
        if velocity.shape[-4:] != (3, nx, ny, nz):
            raise DataError(
                f"velocity has shape {tuple(velocity.shape)}; expected (..., 3, {nx}, {ny}, {nz})."
            )
        if not bool(torch.isfinite(velocity).all()):
            raise DataError(
                f"velocity has {int((~torch.isfinite(velocity)).sum())} non-finite values."
            )
        planes = velocity.to(self.device, torch.float64).movedim(-2, -3).movedim(-4, 0)
        slip = float(planes[..., [0, -1], :, :].abs().max())
        if slip > 1e-10 * max(1.0, float(planes.abs().max())):
            raise DataError(
                f"the velocity is {slip:.3g} at a wall; it must be 0 there (no slip). Walls "
                "are the first and the last points along y, the middle one of the axes (x, y, z)."
            )
        u, v, w = self.plane.to_spectral(planes)
        divergence = self._ikx * u + apply(self.wall.first, v) + self._ikz * w
        scale = float((self._ikx * u).abs().max() + (self._ikz * w).abs().max()) or 1.0
        worst = float(divergence.abs().max())
        if worst > tolerance * scale and worst > 1e-12:
            raise DataError(
                f"the velocity is not divergence-free: largest coefficient of its divergence "
                f"{worst:.3g} beside gradients of {scale:.3g}. `state_from_points` makes it so."
            )
        mean = torch.stack((u[..., 0, 0].real, w[..., 0, 0].real), dim=-2)
        g = self._ikz * u - self._ikx * w
        phi = apply(self.wall.second, v) - self.plane.k2 * v
        for field in (v, phi, g):
            field[..., 0, 0] = 0
        pressure = mean.new_full(mean.shape[:-2], math.nan)
        return ChannelState(v, phi, g, mean, 0.0, pressure)

    def velocity(self, state: ChannelState) -> Float[Tensor, "*batch 3 nx ny nz"]:
        """u, v, w on the unpadded grid, axes (x, y, z)."""
        fields = self.plane.to_physical(torch.stack(self.coefficients(state)), padded=False)
        return fields.movedim(0, -4).movedim(-3, -2).clone()

    def divergence(self, state: ChannelState) -> float:
        """Largest |∇·u| on the grid."""
        u, v, w = self.coefficients(state)
        out = self._ikx * u + apply(self.wall.first, v) + self._ikz * w
        return float(self.plane.to_physical(out, padded=False).abs().max())

    def bulk(self, state: ChannelState) -> Float[Tensor, "*batch"]:
        """∫U dy / 2."""
        return state.mean[..., 0, :] @ self.wall.weights / 2

    def friction_velocity(self, state: ChannelState) -> Float[Tensor, "*batch"]:
        """u_τ from the slope of the mean profile at both walls."""
        slope = state.mean[..., 0, :] @ self.wall.first[[0, -1]].T
        return torch.sqrt(self.viscosity * (slope[..., 0] - slope[..., 1]).abs() / 2)

    def coefficients(self, state: ChannelState) -> tuple[Tensor, Tensor, Tensor]:
        """Fourier coefficients of u, v, w over the planes, each (*batch, ny, nx-1, nz/2)."""
        slope = apply(self.wall.first, state.v)
        u = self._ikx_k2 * slope - self._ikz_k2 * state.g
        w = self._ikz_k2 * slope + self._ikx_k2 * state.g
        u[..., 0, 0], w[..., 0, 0] = state.mean[..., 0, :], state.mean[..., 1, :]
        return u, state.v, w

    # --- time ---------------------------------------------------------------------------------

    def step(self, state: ChannelState) -> ChannelState:
        """One time step; its length is `dt`, or what `cfl` allows."""
        dt = self.dt
        if dt is None:
            dt = self.stable_step(state)
        return self._step(state, float(dt))

    def advance(self, state: ChannelState, n_steps: int) -> ChannelState:
        """Many steps.

        Raises
        ------
        DataError : the fixed `dt` is far too long for this state on this grid; says which would do.
        DivergedError : the plane means left the range of any flow so driven, or are not finite:
            says at which step and time, and the grid and step in wall units.
            `advance_with_checkpoints` also keeps the last good state.
        """
        self.check_step(state)
        calm = self._greatest_calm_velocity(state)
        for done in range(n_steps):
            following = self.step(state)
            fastest = float(following.mean.abs().max())
            if not fastest <= RUNAWAY * calm:
                raise DivergedError(
                    f"the flow blew up in step {done + 1} of {n_steps}, time {following.time:.6g} "
                    f"h/U: its mean velocity reaches {fastest:.3g}, from {calm:.3g} at most. "
                    f"{self._in_wall_units(state, following.time)} Lower dt, or refine the grid."
                )
            state = following
        return state

    def _greatest_calm_velocity(self, state: ChannelState) -> float:
        """What the driving sustains; without a bulk that is held, also what the flow starts with.

        A held bulk needs no look at the start, which after the first of many short calls may
        itself be a step of a blow-up.
        """
        sustained = abs(self.laminar_centre)
        if self.driving == "flux" and sustained > 0:
            return sustained
        return max(sustained, float(self.velocity(state).abs().max()))

    def check_step(self, state: ChannelState) -> None:
        """Refuse a fixed `dt` that is far too long for this state on this grid.

        Raises
        ------
        DataError : its CFL number is beyond the explicit scheme's limit; says which dt would do.
        """
        if self.dt is None or (number := self.courant(state) * self.dt) <= CFL_LIMIT:
            return
        raise DataError(
            f"dt = {self.dt} has the CFL number {number:.3g} in this flow; the explicit scheme's "
            f"limit is {CFL_LIMIT}. Use dt = {0.8 * self.dt / number:.2g} or less, or give cfl=0.8 "
            "instead."
        )

    def _in_wall_units(self, state: ChannelState, end: float) -> str:
        """How the step to `end` and the grid compare with the flow before it."""
        u_tau = float(self.friction_velocity(state).max())
        unit = u_tau / self.viscosity
        dx, dz = self.lengths[0] / self.shape[0], self.lengths[1] / self.shape[2]
        step = end - state.time
        return (
            f"Before it: Re_tau {unit:.4g}, CFL number {self.courant(state) * step:.3g}; in wall "
            f"units dt {step * u_tau * unit:.3g}, dx {dx * unit:.3g}, dz {dz * unit:.3g}, first "
            f"plane {(1 + float(self.y[1])) * unit:.3g}."
        )

    def courant(self, state: ChannelState) -> float:
        """max(|u|/dx + |v|/dy + |w|/dz); times dt it is the CFL number."""
        u, v, w = self.plane.to_physical(torch.stack(self.coefficients(state)), padded=False)
        dx, dz = self.lengths[0] / self.shape[0], self.lengths[1] / self.shape[2]
        dy = torch.gradient(self.y)[0][:, None, None]
        return float((u.abs() / dx + v.abs() / dy + w.abs() / dz).max())

    def stable_step(self, state: ChannelState) -> float:
        """The step that `cfl` allows, rounded down to a grid of 5 % so that it seldom changes."""
        if self.cfl is None:
            raise DataError(
                f"this flow has a fixed step, dt = {self.dt}; build it with cfl instead."
            )
        wanted = self.cfl / max(self.courant(state), 1e-12)
        return 1.05 ** math.floor(math.log(wanted, 1.05))

    def _implicit(self, dt: float) -> list[ImplicitStage]:
        if self._stages is None or self._stages[0] != dt:
            self._stages = (dt, [ImplicitStage(self.wall, b * dt * self.viscosity) for b in BETA])
        return self._stages[1]

    def _step(self, state: ChannelState, dt: float) -> ChannelState:
        nu, inner = self.viscosity, slice(1, -1)
        v, phi, g, mean = state.v, state.phi, state.g, state.mean
        d2 = self.wall.second[inner]
        # ν dt ∇² of the unknowns; after a stage it follows from the stage's own equation.
        both = torch.stack((phi, g))
        laplacian = apply(d2, both).addcmul_(self._k2, both[..., inner, :, :], value=-1)
        laplacian *= nu * dt
        lap_mean = nu * dt * (mean @ d2.T)
        previous: Any = None
        pressure = state.pressure_gradient
        for i, stage in enumerate(self._implicit(dt)):
            now = ChannelState(v, phi, g, mean, state.time, pressure)
            force = self._explicit(now)
            right = both[..., inner, :, :].add(laplacian, alpha=ALPHA[i])
            r_mean = mean[..., inner].add(lap_mean, alpha=ALPHA[i])
            for level, share in ((force, GAMMA[i]), (previous, ZETA[i])):
                if level is not None:
                    right[0].add_(level[0], alpha=dt * share)
                    right[1].add_(level[1], alpha=dt * share)
                    r_mean.add_(level[2], alpha=dt * share)
            previous = force
            v, both = stage.solve_v_and_g(right)
            phi, g = both
            mean, r_mean, pressure = self._drive(stage, r_mean, dt * (GAMMA[i] + ZETA[i]))
            laplacian = (both[..., inner, :, :] - right).div_(BETA[i])
            lap_mean = (mean[..., inner] - r_mean) / BETA[i]
        return ChannelState(v, phi, g, mean, state.time + dt, pressure)

    def _drive(
        self, stage: ImplicitStage, r_mean: Tensor, dt: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mean profile under the pressure gradient, which "flux" chooses for the bulk."""
        push = torch.zeros_like(r_mean)
        push[..., 0, :] = dt
        if self.driving == "gradient":
            pressure = r_mean.new_full(r_mean.shape[:-2], float(self.given_gradient or 0.0))
        else:
            free = stage.solve_mean(r_mean)[..., 0, :] @ self.wall.weights / 2
            gain = stage.solve_mean(push)[..., 0, :] @ self.wall.weights / 2
            pressure = (self.bulk_velocity - free) / gain
        r_mean = r_mean + pressure[..., None, None] * push
        return stage.solve_mean(r_mean), r_mean, pressure

    def _explicit(self, state: ChannelState) -> tuple[Tensor, Tensor, Tensor]:
        """Right-hand sides of φ, g (interior points) and of the mean, without viscosity."""
        flat, extra = slice(1, -1), None
        if self.closure is not None:
            extra = torch.stack(subgrid_force(self, state, self.closure))
        terms, mean = self.rotation(state.v, state.phi, state.g, state.mean, extra)
        wall = self.wall
        along = apply(wall.smooth_slope[flat], terms[0])
        normal, turn = apply(wall.smoothing[flat], terms[1:])
        return along.add_(normal).neg_(), turn, (mean @ wall.smoothing.T)[..., flat]

    def gradient(self, state: ChannelState) -> tuple[Tensor, Tensor]:
        """Velocity (3, *batch, ny, nx, nz) and gradient[i, j] = ∂u_i/∂x_j on the unpadded grid."""
        velocity = torch.stack(self.coefficients(state))
        parts = (self._ikx * velocity, apply(self.wall.first, velocity), self._ikz * velocity)
        values = self.plane.to_physical(velocity, padded=False).clone()
        slopes = self.plane.to_physical(torch.cat(parts), padded=False)
        return values, slopes.unflatten(0, (3, 3)).transpose(0, 1)
