"""Where turbulent energy comes from and goes to, at each distance from the wall."""

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.channel.blocks import BlockSums, mean_and_error
from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.channel.wall_normal import apply

__all__ = ["EnergyBudget", "q_criterion"]

TERMS = ("production", "dissipation", "turbulent_transport", "viscous_transport")


class EnergyBudget:
    """The balance of k = <u_i'u_i'>/2, summed while the flow runs.

    0 = - <u'v'> dU/dy          production
        - ν <∂_j u_i' ∂_j u_i'>  dissipation (the pseudo-dissipation, as in published budgets)
        - ½ d<u_i'u_i'v'>/dy    turbulent transport
        + ν d²k/dy²             viscous transport
        - d<p'v'>/dy            pressure transport.

    The solver carries no pressure: its term is what the others leave, `residual`, together with
    the change of k over the time of averaging and the sampling error.

    Parameters
    ----------
    flow : the solver whose states will be handed in.
    block_time : length of a block, in the time units of the flow.

    Raises
    ------
    DataError : a block length that is not positive; `profiles` without samples.

    Source: Mansour, Kim, Moin, J. Fluid Mech. 194, 1988.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> budget = EnergyBudget(flow, block_time=1.0)
    >>> budget.update(flow.laminar())
    >>> float(abs(budget.profiles()["production"]).max())
    0.0
    """

    def __init__(self, flow: ChannelFlow, *, block_time: float | int) -> None:
        self.flow, self.sums = flow, BlockSums(block_time)

    def update(self, state: ChannelState) -> None:
        """Add one state (no batch axis)."""
        flow, plane = self.flow, self.flow.plane
        velocity = torch.stack(flow.coefficients(state))
        across = apply(flow.wall.first, velocity)

        def mean_square(a: Tensor, b: Tensor) -> Tensor:
            return ((a * b.conj()).real * plane.multiplicity).sum((-1, -2))

        # On the 3/2 finer planes the mean of a product of three fields has no aliasing error.
        energy = 0.0 * state.mean[0]
        for first in range(0, flow.shape[1], plane.chunk):
            part = slice(first, first + plane.chunk)
            u = plane.to_physical(velocity[:, part], padded=True)
            energy[part] = (u.square().sum(0) * u[1]).mean((-1, -2))
        self.sums.add(
            state.time,
            mean=state.mean,
            square=mean_square(velocity, velocity),
            shear=mean_square(velocity[[0, 2]], velocity[1]),
            slopes=(mean_square(across, across) + mean_square(velocity, plane.k2 * velocity)).sum(
                0
            ),
            flux=energy,
            friction=flow.friction_velocity(state).square(),
        )

    def profiles(self) -> xr.Dataset:
        """The terms in wall units, u_τ⁴/ν, over the half channel, with errors over blocks.

        Returns
        -------
        Dataset over `y` (distance from the wall, h): `y_plus, k_plus`, the four terms and
        `residual`, each with `*_error`; gains are positive, so that all five sum to 0. Attributes
        `re_tau, u_tau, n_samples, n_blocks`.
        """
        blocks = self.sums.means()
        flow, nu = self.flow, self.flow.viscosity
        u_tau = float(torch.stack([b["friction"] for b in blocks]).mean().sqrt())
        mean = torch.stack([b["mean"] for b in blocks]).mean(0)
        per_block = [self._terms(b, mean) for b in blocks]
        half = (flow.shape[1] + 1) // 2
        y = 1 + flow.y[:half].cpu().numpy()
        out = {"y_plus": ("y", y * u_tau / nu)}
        for name in per_block[0]:
            unit = u_tau**2 if name == "k_plus" else u_tau**4 / nu
            folded = [((t[name] + t[name].flip(0)) / 2)[:half] / unit for t in per_block]
            value, error = mean_and_error([f.cpu().numpy() for f in folded])
            out[name], out[f"{name}_error"] = ("y", value), ("y", error)
        about = {"re_tau": u_tau / nu, "u_tau": u_tau}
        about |= {"n_samples": self.sums.samples, "n_blocks": len(blocks)}
        return xr.Dataset(out, {"y": y}, about)

    def _terms(self, block: dict[str, Tensor], mean: Tensor) -> dict[str, Tensor]:
        """Fluctuations are about the mean of all blocks, U and W: <(u-U)²> = <u²> - U(2<u> - U)."""
        wall, nu = self.flow.wall, self.flow.viscosity
        slope, slope_here = mean @ wall.first.T, block["mean"] @ wall.first.T
        energy = (block["square"].sum(0) - (mean * (2 * block["mean"] - mean)).sum(0)) / 2
        # <v> is 0 on every plane, so that U² and W² drop out of the flux.
        flux = block["flux"] / 2 - (mean * block["shear"]).sum(0)
        terms = {
            "production": -(block["shear"] * slope).sum(0),
            "dissipation": -nu * (block["slopes"] - (slope * (2 * slope_here - slope)).sum(0)),
            "turbulent_transport": -(wall.first @ flux),
            "viscous_transport": nu * (wall.second @ energy),
        }
        residual = -torch.stack(list(terms.values())).sum(0)
        return {"k_plus": energy, **terms, "residual": residual}


def q_criterion(flow: ChannelFlow, state: ChannelState) -> Float[Tensor, "*batch nx ny nz"]:
    """Q = -½ ∂u_i/∂x_j ∂u_j/∂x_i = (|Ω|² - |S|²)/2 on the grid: positive where rotation prevails.

    Source: Hunt, Wray, Moin, CTR summer program, 1988.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> float(q_criterion(flow, flow.laminar()).abs().max()) < 1e-12  # pure shear
    True
    """
    _, slopes = flow.gradient(state)
    return q_of_gradient(slopes).movedim(-3, -2)


def q_of_gradient(slopes: Tensor) -> Tensor:
    """Q from slopes[i, j] = ∂u_i/∂x_j on the two leading axes."""
    return -(slopes * slopes.transpose(0, 1)).sum((0, 1)) / 2
