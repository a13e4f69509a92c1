"""What both solvers share: physics and its checks, steps by kernels or eager, divergence seen."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence._threads import torch_threads
from pushforward.simulators.turbulence.checks import (
    as_field,
    check_coefficients,
    check_courant,
    diverged,
)
from pushforward.simulators.turbulence.forcing import Forcing
from pushforward.simulators.turbulence.grid import Number, PeriodicGrid
from pushforward.simulators.turbulence.time_step import check_time_step

__all__ = ["PeriodicSolver"]


class PeriodicSolver(ABC):
    """A solver of 2-D Navier-Stokes on a periodic rectangle, by tensors of any leading axes.

    A subclass says what its state is and how one eager, differentiable step goes; on the CPU and
    without gradients its fused kernels take the steps.

    Parameters
    ----------
    shape, domain, viscosity, drag, forcing, dt, max_velocity, dtype, device : as in the subclasses.
    explicit_diffusion : whether dt must keep below the limit of explicit diffusion.
    """

    state_axes: int
    """Trailing axes of one flow's state."""

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        domain: Number | tuple[Number, Number],
        viscosity: Number,
        drag: Number,
        forcing: Forcing | None,
        dt: Number,
        max_velocity: Number | None,
        explicit_diffusion: bool,
        dtype: torch.dtype,
        device: torch.device | str,
    ):
        self.grid = PeriodicGrid.of(shape, domain)
        self.shape, self.spacing = self.grid.shape, self.grid.spacing
        check_coefficients(viscosity, drag)
        check_time_step(
            dt,
            self.spacing,
            viscosity=viscosity,
            max_velocity=max_velocity,
            explicit_diffusion=explicit_diffusion,
        )
        self.viscosity, self.drag, self.forcing, self.dt = viscosity, drag, forcing, float(dt)
        self.dtype, self.device = dtype, torch.device(device)
        self._fast: dict[tuple[int, int, int], Any] = {}  # buffers; each thread has its own

    @property
    @abstractmethod
    def state_dtype(self) -> torch.dtype:
        """Of the state."""

    @abstractmethod
    def velocity(self, state: Tensor) -> Tensor:
        """u and v, (*batch, 2, nx, ny)."""

    @abstractmethod
    def _eager_step(self, state: Tensor) -> Tensor:
        """One differentiable step."""

    @abstractmethod
    def _new_kernels(self, flows: int) -> Any:
        """Whose `run(states, n_steps, check=…)` gives states, steps taken, whether all passed."""

    @abstractmethod
    def _check_shape(self, state: Tensor) -> None:
        """Refuse what is not a state of this solver."""

    def _advecting_velocity(self, state: Tensor) -> Tensor:
        return self.velocity(state)

    def step(self, state: Tensor) -> Tensor:
        """One time step, differentiable; no check of the result."""
        self._check_shape(state)
        if self._fast_applies(state):
            return self._fast_run(state, 1, check=False)[0]
        return self._eager_step(state)

    def advance(self, state: Tensor, n_steps: int) -> Tensor:
        """Take `n_steps` steps.

        Raises
        ------
        DivergedError : a Courant number max(|u|/hx, |v|/hy) dt above 1, or a non-finite value,
            with the step, the time and the flow of the batch.
        """
        self._check_shape(state)
        if n_steps < 0:
            raise DataError(f"n_steps = {n_steps} must be at least 0.")
        if self._fast_applies(state):
            state, done, passed = self._fast_run(state, n_steps, check=True)
            if not passed:
                raise diverged(self.courant(state), done, self.dt)
            return state
        check_courant(self.courant(state), 0, self.dt)
        on_gpu = state.device.type == "cuda" and not _wants_gradient(state)
        step = self._compiled_step if on_gpu else self._eager_step
        for n in range(n_steps):
            state = step(state)
            check_courant(self.courant(state), n + 1, self.dt)
        return state

    def courant(self, state: Tensor) -> Float[Tensor, "*batch"]:
        """max(|u|/hx, |v|/hy) dt of each flow of the batch; NaN if anything is not finite.

        The velocity is the one that advects: in Fourier modes, of those kept by the 2/3 rule.
        """
        velocity = self._advecting_velocity(state.detach())
        greatest = velocity.abs().amax((-2, -1))  # amax passes NaN on
        return torch.maximum(
            greatest[..., 0] * (self.dt / self.spacing[0]),
            greatest[..., 1] * (self.dt / self.spacing[1]),
        )

    def _fields(self, u: Any, v: Any) -> list[Tensor]:
        """Two fields of the solver's grid, dtype and device, checked."""
        return [
            as_field(c, name, self.shape, self.dtype, self.device)
            for c, name in ((u, "u"), (v, "v"))
        ]

    def _fast_applies(self, state: Tensor) -> bool:
        """Kernels carry no gradient and run on the CPU; they know the solver's dtype only."""
        known = state.device.type == "cpu" and state.dtype == self.state_dtype
        return known and not _wants_gradient(state)

    @cached_property
    def _compiled_step(self) -> Callable[[Tensor], Tensor]:
        """The eager step fused by torch: on a GPU its many small launches cost more than its work.

        Compiled at the first call, which takes from seconds to minutes.
        """
        return torch.compile(self._eager_step, dynamic=False)

    def _fast_run(self, state: Tensor, n_steps: int, *, check: bool) -> tuple[Tensor, int, bool]:
        flows = state.reshape(-1, *state.shape[-self.state_axes :])
        key = (len(flows), torch.get_num_threads(), threading.get_ident())
        if key not in self._fast:
            self._fast[key] = self._new_kernels(len(flows))
        kernels = self._fast[key]
        with torch_threads(kernels.threads):
            result, done, passed = kernels.run(flows.detach(), n_steps, check=check)
        return result.reshape(state.shape), done, passed


def _wants_gradient(state: Tensor) -> bool:
    return torch.is_grad_enabled() and state.requires_grad
