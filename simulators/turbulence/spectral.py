"""Incompressible Navier-Stokes in vorticity form, pseudo-spectral."""

from typing import Any, get_args

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.checks import known_option
from pushforward.simulators.turbulence.exponential import SpectralStepper, stage_table
from pushforward.simulators.turbulence.forcing import Forcing
from pushforward.simulators.turbulence.grid import Number
from pushforward.simulators.turbulence.initial import filtered_noise
from pushforward.simulators.turbulence.periodic_solver import PeriodicSolver

__all__ = ["SpectralSolver"]

Modes = Complex[Tensor, "*batch nx modes"]


class SpectralSolver(PeriodicSolver):
    """2-D incompressible Navier-Stokes by the vorticity's Fourier modes.

    ∂ω/∂t = −[(∂xx − ∂yy)(uv) + ∂xy(v² − u²)] + curl f + (ν Δ − μ) ω, with u = ∂ψ/∂y, v = −∂ψ/∂x,
    Δψ = −ω, on a doubly periodic rectangle. The state is `rfft2` of ω at the points (i hx, j hy):
    complex (*batch, nx, ny // 2 + 1). The bracket is u·∇ω written so that two transforms go and
    two come back. Products are formed of the modes with 3 |k| < n only (the 2/3 rule), so they
    carry no aliasing error; modes beyond merely decay.

    Parameters
    ----------
    shape : (nx, ny).
    domain : (Lx, Ly), or one length for a square.
    viscosity : ν.
    drag : μ of the linear drag −μ v; in the linear part here.
    forcing : e.g. `KolmogorovForcing()`.
    dt : time step.
    stepper : "etdrk2", "etdrk4" (exact in the linear part), "cn_rk2", "cn_rk3", "cn_rk4" (second
        order in the linear part), "imex_sil3", "euler".
    max_velocity : the speed for which dt is checked on construction; 7 is that of the data sets,
        None leaves the check to `advance`.
    dtype : real dtype of the fields; the modes have the matching complex one.
    device : of the state.

    Raises
    ------
    DataError : dt above the advective limit h/max_velocity; negative viscosity or drag; unknown
        options.

    References
    ----------
    Dresdner et al., "Learning to correct spectral methods for simulating turbulent flows", 2022
    (the same equations and steppers); Orszag, J. Atmos. Sci. 28, 1971 (the 2/3 rule).

    Examples
    --------
    >>> import math
    >>> from pushforward.simulators.turbulence import KolmogorovForcing
    >>> solver = SpectralSolver(
    ...     (32, 32), domain=2 * math.pi, viscosity=1e-3, drag=0.1,
    ...     forcing=KolmogorovForcing(), dt=0.01,
    ... )
    >>> state = solver.advance(solver.initial(seed=0), 3)
    >>> tuple(state.shape), tuple(solver.velocity(state).shape)
    ((32, 17), (2, 32, 32))
    """

    state_axes = 2

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        domain: Number | tuple[Number, Number],
        viscosity: Number,
        drag: Number = 0.0,
        forcing: Forcing | None = None,
        dt: Number,
        stepper: SpectralStepper = "etdrk2",
        max_velocity: Number | None = 7.0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        known_option("stepper", stepper, get_args(SpectralStepper))
        super().__init__(
            shape,
            domain=domain,
            viscosity=viscosity,
            drag=drag,
            forcing=forcing,
            dt=dt,
            max_velocity=max_velocity,
            explicit_diffusion=False,
            dtype=dtype,
            device=device,
        )
        self.stepper = stepper
        self._make_symbols()

    @property
    def state_dtype(self) -> torch.dtype:
        """The complex dtype of the modes."""
        return torch.complex64 if self.dtype == torch.float32 else torch.complex128

    def _make_symbols(self) -> None:
        nx, ny = self.shape
        kx, ky = self.grid.wavenumbers()
        k_squared = kx**2 + ky**2
        inverse = torch.where(k_squared > 0, 1 / k_squared.clamp(min=1e-300), 0.0)
        # An odd derivative of the Nyquist mode is not real; its best value on the grid is zero.
        odd_x, odd_y = kx.clone(), ky.clone()
        if nx % 2 == 0:
            odd_x[nx // 2] = 0.0
        if ny % 2 == 0:
            odd_y[:, ny // 2] = 0.0
        index_x = torch.fft.fftfreq(nx, 1 / nx, dtype=torch.float64).abs().round()
        index_y = torch.arange(ny // 2 + 1)
        kept = (3 * index_x < nx)[:, None] & (3 * index_y < ny)[None, :]
        symbols = {
            "velocity": torch.stack([odd_y * inverse, -odd_x * inverse]) * 1j,
            "products": torch.stack([kx**2 - ky**2, kx * ky]) * kept,
        }
        self._velocity = symbols["velocity"].to(self.device, self.state_dtype)
        self._kept = kept.to(self.device)
        self._products = symbols["products"].to(self.device, self.dtype)
        force = torch.zeros(1, 1) if self.forcing is None else self.forcing.curl(self.grid)
        force = torch.fft.rfft2(force.double().expand(self.shape))
        self._force = torch.where(force.abs() > 1e-12 * nx * ny, force, 0).to(
            self.device, self.state_dtype
        )
        z = -self.dt * (self.viscosity * k_squared + self.drag)
        self._table = [
            [None if c is None else c.to(self.device, self.dtype) for c in row]
            for row in stage_table(self.stepper, z)
        ]

    def initial(
        self,
        *,
        seed: int,
        max_velocity: Number = 7.0,
        peak_wavenumber: Number = 4.0,
        batch: tuple[int, ...] = (),
    ) -> Tensor:
        """Random flow of the same law as `FiniteVolumeSolver.initial`, and the same noise.

        The noise is shaped, projected and scaled at the points of this solver, where the
        divergence is the exact one.
        """
        noise = filtered_noise(self.grid, seed=seed, peak_wavenumber=peak_wavenumber, batch=batch)
        kx, ky = self.grid.wavenumbers()
        u, v = torch.fft.rfft2(noise).unbind(-3)
        omega = 1j * (kx * v - ky * u)
        exact = SpectralSolver(
            self.shape,
            domain=self.grid.lengths,
            viscosity=0.0,
            dt=self.dt,
            max_velocity=None,
            stepper="euler",
            dtype=torch.float64,
        )
        speed = exact.velocity(omega).square().sum(-3).sqrt().amax((-2, -1))[..., None, None]
        return (omega * (max_velocity / speed)).to(self.device, self.state_dtype)

    def from_velocity(self, u: Any, v: Any) -> Tensor:
        """State from u and v at the points (i hx, j hy), each (*batch, nx, ny).

        Raises
        ------
        DataError : another shape; non-finite values; a mean flow, which vorticity cannot carry.
        """
        fields = self._fields(u, v)
        for field, name in zip(fields, "uv", strict=True):
            mean = field.mean((-2, -1)).abs().max()
            if mean > 1e-4 * field.abs().max():
                raise DataError(
                    f"{name} has the mean {float(mean):.3g}; the vorticity form has no mean flow. "
                    "Subtract it (a change of frame), or use FiniteVolumeSolver."
                )
        kx, ky = (k.to(self.device, self.dtype) for k in self.grid.wavenumbers())
        u_modes, v_modes = (torch.fft.rfft2(c) for c in fields)
        return 1j * (kx * v_modes - ky * u_modes)

    def velocity(self, state: Modes) -> Float[Tensor, "*batch 2 nx ny"]:
        """u and v at the points (i hx, j hy)."""
        return torch.fft.irfft2(state[..., None, :, :] * self._velocity, s=self.shape)

    def vorticity(self, state: Modes) -> Float[Tensor, "*batch nx ny"]:
        """ω at the points (i hx, j hy)."""
        return torch.fft.irfft2(state, s=self.shape)

    def tendency(self, state: Modes) -> Modes:
        """The explicit part: advection, free of aliasing, and forcing."""
        u, v = self._advecting_velocity(state).unbind(-3)
        products = torch.fft.rfft2(torch.stack([u * v, v**2 - u**2], -3))
        return (products * self._products).sum(-3) + self._force

    def _eager_step(self, state: Modes) -> Modes:
        terms = [state]
        stage = state
        for row in self._table:
            terms.append(self.dt * self.tendency(stage))
            products = [c * x for c, x in zip(row, terms, strict=True) if c is not None]
            stage = torch.stack(products).sum(0)
        return stage

    def _new_kernels(self, flows: int) -> Any:
        from pushforward.simulators.turbulence._spectral_fast import FastSpectral

        return FastSpectral(self, flows=flows)

    def _advecting_velocity(self, state: Modes) -> Float[Tensor, "*batch 2 nx ny"]:
        return self.velocity(state * self._kept)

    def _check_shape(self, state: Tensor) -> None:
        nx, ny = self.shape
        grid = state.shape[-2:] == (nx, ny // 2 + 1) and state.numel() > 0
        if not grid or not state.is_complex():
            raise DataError(
                f"state has shape {tuple(state.shape)} and dtype {state.dtype}; expected complex "
                f"(*batch, {nx}, {ny // 2 + 1}) with a flow or more, the rfft2 of the vorticity. "
                "Make one with from_velocity or initial."
            )
