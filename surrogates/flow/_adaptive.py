"""Adaptive integration through torchdiffeq, with a message for each way to fail."""

from collections.abc import Callable

import torch
from torch import Tensor

from ._solution import SamplingError, check_finite

__all__ = ["integrate_dopri5"]


def integrate_dopri5(
    f: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    grid: Tensor,
    *,
    rtol: float,
    atol: float,
    max_steps: int,
) -> Tensor:
    """States (n, batch, *shape) at the times of ``grid`` by the Dormand-Prince 5(4) pair.

    One step size serves the whole batch. Raises `SamplingError` if the step underflows or
    ``max_steps`` calls of the error control are spent.

    >>> one, grid = torch.ones(1, 1).double(), torch.tensor([0.0, 1.0])
    >>> xs = integrate_dopri5(lambda x, t: x, one, grid, rtol=1e-9, atol=1e-9, max_steps=100)
    >>> round(xs[-1].item(), 6)
    2.718282
    """
    from torchdiffeq import odeint

    reached = float(grid[0])

    def watched(t: Tensor, x: Tensor) -> Tensor:
        nonlocal reached
        reached = float(t.detach())
        rate = f(x, t)
        # torchdiffeq would halve its step until it underflows and blame the step.
        check_finite(rate, step=0, t=reached, method="dopri5")
        return rate

    try:
        # Single-precision time underflows long before the state does: keep it in double.
        return odeint(
            watched,
            x,
            grid.to(x.device, torch.float64),
            method="dopri5",
            rtol=rtol,
            atol=atol,
            options={"max_num_steps": max_steps},
        )
    except AssertionError as failure:
        if "underflow" in str(failure):
            raise SamplingError(
                "step_underflow",
                f"the adaptive step became too small near t = {reached:.6g} (rtol = {rtol:.1e}, "
                f"atol = {atol:.1e}): the field is stiff or discontinuous there. Loosen the "
                "tolerances, use float64, put a break in time_grid at the jump, or take a "
                "fixed-step method such as 'heun'.",
            ) from failure
        if "max_num_steps" in str(failure):
            raise SamplingError(
                "max_steps",
                f"{max_steps} adaptive steps were spent at t = {reached:.6g} (rtol = {rtol:.1e}, "
                f"atol = {atol:.1e}). Raise max_steps, loosen the tolerances, or take a fixed-step "
                "method.",
            ) from failure
        raise
