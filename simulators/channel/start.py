"""A start from which the flow does become turbulent: streaks, a spanwise wiggle, weak noise."""

import math

import torch

from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.channel.wall_normal import apply
from pushforward.simulators.errors import DataError

__all__ = ["perturbed"]


def perturbed(
    flow: ChannelFlow,
    *,
    seed: int,
    friction_reynolds: float | int | None = None,
    streak: float | int = 0.4,
    wiggle: float | int = 0.02,
    noise: float | int = 4e-3,
) -> ChannelState:
    """Laminar flow with low-speed streaks that are about to break up.

    In wall units, d the distance from the nearer wall, U_m the bulk velocity:
    u' = streak·U_m (d/40) exp(-5.5e-4 d² + 1/2) cos(2πz/100),
    w' = wiggle·U_m d exp(-5.5e-4 d²) sin(2πx/500), and small random motion on the largest scales.
    Random noise alone decays for a long time; streaks of this strength are unstable to the wiggle.
    Wavelengths are rounded to what fits into the box.

    Parameters
    ----------
    flow : the solver; its driving and box are used.
    seed : of the noise, which also breaks the symmetries of the rest.
    friction_reynolds : Re_τ that scales the streaks; default 0.09 Re_b^0.88 of the laminar flow's
        bulk velocity, and at least 100 (smaller would be laminar anyway).
    streak, wiggle, noise : strengths as shares of the bulk velocity.

    Raises
    ------
    DataError : a negative strength.

    Source: after Schoppa, Hussain, J. Fluid Mech. 453, 2002.

    Examples
    --------
    >>> flow = ChannelFlow((16, 33, 16), lengths=(3.0, 1.0), viscosity=1 / 4200, dt=0.01)
    >>> state = perturbed(flow, seed=0)
    >>> flow.divergence(state) < 1e-10
    True
    """
    for name, value in (("streak", streak), ("wiggle", wiggle), ("noise", noise)):
        if value < 0:
            raise DataError(f"{name} = {value} must not be negative.")
    state = flow.laminar()
    bulk = float(flow.bulk(state))
    if friction_reynolds is None:
        friction_reynolds = max(100.0, 0.09 * (2 * bulk / flow.viscosity) ** 0.88)
    y, plane = flow.y.cpu(), flow.plane
    wall = (1 - y.abs()) * friction_reynolds
    bump = torch.exp(-5.5e-4 * wall**2)

    def whole(length: float, wavelength: float) -> float:
        return 2 * math.pi / length * max(1, round(length * friction_reynolds / wavelength))

    x, z = flow.x[:, None], flow.z
    u = streak * bulk * (wall / 40) * bump * math.exp(0.5)
    w = wiggle * bulk * wall * bump
    velocity = torch.zeros(3, *flow.shape, dtype=torch.float64)
    velocity[0] = u[:, None] * torch.cos(whole(flow.lengths[1], 100.0) * z)
    velocity[2] = (w * torch.sin(whole(flow.lengths[0], 500.0) * x))[..., None]
    streaks = flow.from_velocity(velocity)

    g = torch.Generator().manual_seed(seed)
    v, vorticity = (torch.zeros_like(state.v) for _ in range(2))
    for target, profile in ((v, (1 - y**2) ** 2), (vorticity, 1 - y**2)):
        for i in (1, 2, -2, -1, 0):
            for j in range(1, min(4, plane.modes[1])):
                a, b = torch.randn(2, generator=g, dtype=torch.float64).tolist()
                shape = torch.cos(math.pi * b * y) * profile
                target[:, i, j] = noise * bulk * complex(a, b) * shape.to(target.device)
    phi = apply(flow.wall.second, v) - plane.k2 * v
    return state._replace(
        v=v,
        phi=phi,
        g=streaks.g + vorticity,
        mean=state.mean + streaks.mean,
    )
