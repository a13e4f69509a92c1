"""A state of the solver from velocities at other points, which are not free of divergence."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.channel.wall_normal import apply
from pushforward.simulators.errors import DataError

__all__ = ["state_from_points"]

SLIP = 1e-3  # of the greatest velocity, tolerated at a wall


def state_from_points(
    flow: ChannelFlow, velocity: Float[Tensor, "*batch 3 nx m nz"], y: Float[Tensor, " m"]
) -> ChannelState:
    """The divergence-free, no-slip flow with the wall-normal velocity and vorticity of the samples.

    For large-eddy simulation from a filtered field, or to continue a surrogate's forecast with the
    solver. Samples are carried to the solver's points by cubic splines (for v with slope 0 at the
    walls, as ∇·u = 0 demands). v, ω_y and the plane means are kept; u and w follow from them, so
    that ∇·u = 0 holds exactly. What the samples' divergence would add to u and w is dropped.

    Parameters
    ----------
    flow : the solver; its planes have the samples' nx and nz.
    velocity : u, v, w; batch axes become the state's.
    y : wall-normal points of the samples, distance from the lower wall: 0 to 2, both included.

    Raises
    ------
    DataError : other planes, points that don't run from wall to wall, slip, or values that are
        not finite.

    Examples
    --------
    >>> from pushforward.simulators.channel import stretched_points
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> y = stretched_points(33)
    >>> velocity = torch.zeros(3, 8, 33, 8, dtype=torch.float64)
    >>> velocity[0] = (y * (2 - y))[:, None]
    >>> state = state_from_points(flow, velocity, y)
    >>> flow.divergence(state) < 1e-12, round(float(state.mean[0, 8]), 6)
    (True, 1.0)
    """
    nx, _, nz = flow.shape
    if velocity.shape[-4:] != (3, nx, len(y), nz):
        raise DataError(
            f"velocity has shape {tuple(velocity.shape)}; expected (..., 3, {nx}, {len(y)}, {nz}) "
            "for this solver's planes and these y."
        )
    points = y.double().cpu().numpy()
    if not (np.all(np.diff(points) > 0) and points[0] == 0 and abs(points[-1] - 2) < 1e-6):
        raise DataError(
            f"y runs from {points[0]:.6g} to {points[-1]:.6g}; expected rising distances from the "
            "lower wall, 0 to 2. Add 1 to the solver's own y."
        )
    values = velocity.double().cpu()
    if not bool(torch.isfinite(values).all()):
        raise DataError(f"velocity has {int((~torch.isfinite(values)).sum())} non-finite values.")
    slip = float(values[..., [0, -1], :].abs().max())
    if slip > SLIP * float(values.abs().max()):
        raise DataError(f"the velocity is {slip:.3g} at a wall; it must be 0 there (no slip).")
    values = values.movedim(-4, 0).movedim(-2, -3)
    values[..., [0, -1], :, :] = 0
    at = np.clip(1 + flow.y.cpu().numpy(), 0, points[-1])
    ends = {0: "not-a-knot", 1: "clamped", 2: "not-a-knot"}
    fields = []
    for i, end in ends.items():
        spline = CubicSpline(points, values[i].numpy(), axis=values[i].ndim - 3, bc_type=end)
        fields.append(torch.from_numpy(spline(at)))
    planes = torch.stack(fields).to(flow.device)
    u, v, w = flow.plane.to_spectral(planes)
    ikx, ikz = 1j * flow.plane.kx, 1j * flow.plane.kz
    mean = torch.stack((u[..., 0, 0].real, w[..., 0, 0].real), dim=-2)
    g = ikz * u - ikx * w
    for field in (v, g):
        field[..., 0, 0] = 0
        field[..., [0, -1], :, :] = 0
    # Noise leaves v a slope at the walls, which would be slip in u and w: a cubic takes it away.
    lower, upper = apply(flow.wall.first[[0, -1]], v).unbind(-3)
    below, above = 1 + flow.y[:, None, None], 1 - flow.y[:, None, None]
    v = v - lower.unsqueeze(-3) * (below * above**2 / 4)
    v = v + upper.unsqueeze(-3) * (above * below**2 / 4)
    phi = apply(flow.wall.second, v) - flow.plane.k2 * v
    pressure = mean.new_full(mean.shape[:-2], float("nan"))
    return ChannelState(v, phi, g, mean, 0.0, pressure)
