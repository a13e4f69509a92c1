"""Stable time steps, and the refusal of unstable ones."""

import math

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence.grid import Number

__all__ = ["check_time_step", "diffusive_limit", "stable_time_step"]

Spacing = tuple[Number, Number]


def diffusive_limit(spacing: Spacing, viscosity: Number) -> float:
    """Largest stable dt of explicit diffusion: 1/(2ν(1/hx² + 1/hy²)), i.e. h²/(4ν) on squares.

    Examples
    --------
    >>> diffusive_limit((0.1, 0.1), 0.25)
    0.010000000000000002
    """
    if viscosity == 0:
        return math.inf
    return 1 / (2 * viscosity * (spacing[0] ** -2 + spacing[1] ** -2))


def stable_time_step(
    spacing: Spacing,
    *,
    max_velocity: Number = 7.0,
    cfl: Number = 0.5,
    viscosity: Number | None = None,
) -> float:
    """dt = cfl · h/max_velocity, and below the limit of explicit diffusion if ν is given.

    Parameters
    ----------
    spacing : (hx, hy); the smaller one counts.
    max_velocity : the greatest speed to expect; 7 is that of the Kolmogorov data sets.
    cfl : Courant number; 1/2 is the data sets' value.
    viscosity : ν, only where diffusion is stepped explicitly.

    Examples
    --------
    >>> h = 2 * math.pi / 64
    >>> stable_time_step((h, h))
    0.007012483601762931
    """
    dt = cfl * min(spacing) / max_velocity
    return dt if viscosity is None else min(dt, diffusive_limit(spacing, viscosity))


def check_time_step(
    dt: Number,
    spacing: Spacing,
    *,
    viscosity: Number,
    max_velocity: Number | None,
    explicit_diffusion: bool,
) -> None:
    """Refuse a dt that is not positive, or above the advective or the diffusive limit.

    Raises
    ------
    DataError : with dt, the limit, and what to do.
    """
    if not 0 < dt < math.inf:
        raise DataError(f"dt = {dt} must be positive and finite.")
    h = min(spacing)
    if max_velocity is not None:
        if not 0 < max_velocity < math.inf:
            raise DataError(f"max_velocity = {max_velocity} must be positive, or None.")
        if dt * max_velocity > h * (1 + 1e-9):
            raise DataError(
                f"dt = {dt:.6g} exceeds the advective limit h/max_velocity = {h:.6g}/"
                f"{max_velocity:g} = {h / max_velocity:.6g} (Courant number "
                f"{dt * max_velocity / h:.3g} > 1). Lower dt, e.g. to stable_time_step(spacing, "
                f"max_velocity={max_velocity:g}) = "
                f"{stable_time_step(spacing, max_velocity=max_velocity):.6g}, or pass the "
                "flow's own max_velocity if it is slower."
            )
    limit = diffusive_limit(spacing, viscosity)
    if explicit_diffusion and dt > limit * (1 + 1e-9):
        raise DataError(
            f"dt = {dt:.6g} exceeds the limit of explicit diffusion 1/(2 nu (hx^-2 + hy^-2)) = "
            f"{limit:.6g} (nu = {viscosity:g}, spacing = {spacing[0]:.6g}, {spacing[1]:.6g}). "
            'Lower dt or use diffusion="implicit".'
        )
