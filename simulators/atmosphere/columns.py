"""What happens inside a column of air: turbulent mixing, convection, and the surface's sources."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.state import TracerState
from pushforward.simulators.errors import DataError

__all__ = ["add_surface_mass", "convect", "diffuse", "mix_columns"]

# Of the moments in the order of `schemes.chains`, less the mass: those with a slope along z.
_VERTICAL = {3: (2,), 9: (5, 6, 7, 8)}


def diffuse(
    amounts: Float[Tensor, "*any layer lat lon"],
    air_mass: Float[Tensor, "*any2 layer lat lon"],
    exchange: Float[Tensor, "*any3 faces lat lon"],
) -> Tensor:
    """Mix neighbouring layers by diffusion, backward Euler.

    m_k q′_k = r_k + E_{k+½}(q′_{k+1} − q′_k) − E_{k−½}(q′_k − q′_{k−1}): stable for any exchange,
    exact in the column's mass, and a uniform mixing ratio stays.

    Parameters
    ----------
    amounts : r, kg of tracer.
    air_mass : m, kg.
    exchange : E ≥ 0 at the faces between layers, one fewer than layers, kg of air a step:
        K ρ A Δt/Δz.

    Examples
    --------
    >>> air = torch.ones(2, 1, 1, dtype=torch.float64)
    >>> mixed = diffuse(torch.tensor([[[1.0]], [[3.0]]]).double(), air, 1e9 * air[:1])
    >>> mixed.flatten()
    tensor([2.0000, 2.0000], dtype=torch.float64)
    """
    layers = air_mass.shape[-3]
    mass, between = air_mass.unbind(-3), exchange.unbind(-3)
    zero = torch.zeros_like(mass[0])
    ratio, value = [], []
    above, down = zero, torch.zeros_like(amounts.select(-3, 0))
    for k in range(layers):  # Thomas
        lower = between[k - 1] if k else zero
        upper = between[k] if k < layers - 1 else zero
        pivot = mass[k] + lower + upper - lower * above
        above = upper / pivot
        down = (amounts.select(-3, k) + lower * down) / pivot
        ratio.append(above)
        value.append(down)
    for k in range(layers - 2, -1, -1):
        value[k] = value[k] + ratio[k] * value[k + 1]
    flux = exchange * torch.stack(value, -3).diff(dim=-3)
    wall = torch.zeros_like(flux[..., :1, :, :])
    return amounts + torch.cat((wall, flux, wall), -3).diff(dim=-3)


def convect(
    amounts: Float[Tensor, "*any layer lat lon"],
    air_mass: Float[Tensor, "*any2 layer lat lon"],
    updraft: Float[Tensor, "*any3 faces lat lon"],
) -> Tensor:
    """Lift air in a plume and let the surroundings sink by as much, explicit upwind.

    Where the updraft grows with height the plume takes in air of that layer, where it shrinks it
    leaves some behind. Exact in the column's mass; a uniform mixing ratio stays; bounds are kept.
    A bulk form of the scheme of Tiedtke, Mon. Wea. Rev. 117, 1989.

    Parameters
    ----------
    amounts : kg of tracer.
    air_mass : kg.
    updraft : air that rises through the faces between layers in the step, kg, at least 0.

    Raises
    ------
    DataError : an updraft that takes more than a layer holds.
    """
    wall = torch.zeros_like(updraft[..., :1, :, :])
    faces = torch.cat((wall, updraft, wall), -3)
    growth = faces.diff(dim=-3)
    share = (faces[..., :-1, :, :] + growth.clamp(min=0)) / air_mass  # sinks and is taken in
    if not bool((share <= 1).all()):
        raise DataError(
            f"updraft: takes {float(share.nan_to_num(torch.inf).max()):.3g} of the air of a layer "
            "in one step; at most 1 is possible. Lower the step or the updraft."
        )
    q = amounts / air_mass
    plume = torch.zeros_like(q.select(-3, 0))
    carried = [plume]
    for k in range(air_mass.shape[-3] - 1):
        taken = growth.select(-3, k).clamp(min=0)
        below = faces.select(-3, k) + growth.select(-3, k).clamp(max=0)
        plume_mass = below + taken
        tracer = below * plume + taken * q.select(-3, k)
        plume = tracer / torch.where(plume_mass > 0, plume_mass, 1.0)
        carried.append(plume * faces.select(-3, k + 1))
    carried.append(torch.zeros_like(plume))
    rising = torch.stack(torch.broadcast_tensors(*carried), -3)
    wall = torch.zeros_like(q[..., :1, :, :])
    sinking = torch.cat((wall, updraft * q[..., 1:, :, :], wall), -3)
    return amounts - (rising - sinking).diff(dim=-3)


def mix_columns(
    state: TracerState, *, exchange: Tensor | None = None, updraft: Tensor | None = None
) -> TracerState:
    """Diffusion, then convection, of all tracers and their moments.

    Moments within the layer's plane mix as the means do; those with a vertical slope shrink by the
    share of its own air that a layer keeps.
    """
    air = state.air_mass.unsqueeze(-4).unsqueeze(-4)
    amounts = torch.cat((state.tracer_mass.unsqueeze(-4), state.moments), -4)
    kept = torch.ones_like(state.air_mass)
    for operator, flux in ((diffuse, exchange), (convect, updraft)):
        if flux is None:
            continue
        amounts = operator(amounts, air, flux.unsqueeze(-4).unsqueeze(-4))
        edge = torch.zeros_like(flux[..., :1, :, :])
        through = torch.cat((edge, flux), -3) + torch.cat((flux, edge), -3)
        kept = kept * state.air_mass / (state.air_mass + through)
    moments = amounts[..., 1:, :, :, :]
    vertical = _VERTICAL.get(moments.shape[-4], ())
    if vertical:
        moments = moments.clone()
        original = state.moments[..., list(vertical), :, :, :]
        moments[..., list(vertical), :, :, :] = original * kept.unsqueeze(-4).unsqueeze(-4)
    return replace(state, tracer_mass=amounts[..., 0, :, :, :], moments=moments)


def add_surface_mass(
    state: TracerState, mass: Float[Tensor, "*batch tracer lat lon"]
) -> TracerState:
    """Put `mass` (kg, may be negative) into the lowest layer."""
    lowest = state.tracer_mass[..., :1, :, :] + mass.unsqueeze(-3)
    return replace(state, tracer_mass=torch.cat((lowest, state.tracer_mass[..., 1:, :, :]), -3))
