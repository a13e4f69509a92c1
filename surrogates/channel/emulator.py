"""An emulator of channel flow: a network between normalisation, increment and constraints."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate
from pushforward.surrogates.channel.constraints import ChannelConstraints
from pushforward.surrogates.channel.convection import convect, convection
from pushforward.surrogates.channel.fourier import FNO, IFNO
from pushforward.surrogates.channel.grid import ChannelGrid
from pushforward.surrogates.channel.ifactformer import IFactFormer
from pushforward.surrogates.channel.network import ChannelNetwork
from pushforward.surrogates.channel.reflections import reflect

__all__ = ["NETWORKS", "ChannelEmulator", "Rollout", "Target"]

NETWORKS: dict[str, type[ChannelNetwork]] = {
    "ifactformer": IFactFormer,
    "fno": FNO,
    "ifno": IFNO,
}
"""Name -> network."""

Target = Literal["convected", "increment", "field"]
ENERGY_RANGE = (0.5, 2.0)  # of the training data's mean kinetic energy


class Rollout(NamedTuple):
    """What a roll-out gives.

    Parameters
    ----------
    velocity : (n, kept, 3, x, y, z), not a number from where a flow left the bounded range.
    bounded_steps : for each flow, steps whose kinetic energy was finite and within 0.5 to 2 times
        the training data's mean; all of them if it never left.
    """

    velocity: Float[Tensor, "n kept 3 x y z"]
    bounded_steps: Int[Tensor, " n"]


class ChannelEmulator(Surrogate):
    r"""One step of the velocity u, from u alone.

        b = u(x − d(y), y, z) (convected),  u (else)
        u* = b + σ_Δ · network((b − U(y))/σ)    (convected, increment)
        u* = U(y) + σ · network((b − U(y))/σ)   (field)
        u' = constraints(u*, u)

    U(y) is the training data's mean profile, σ and σ_Δ the rms of fluctuations and of u' − b, one
    number a component, d(y) how far structures travel in a step (`convection`); they travel with
    the weights. In one step of the published data structures travel several cells, by a distance
    that depends on y: left to itself a network first has to learn that.

    Parameters
    ----------
    network : between (n, 3, x, y, z) fields, or its kind and configuration.
    target : convected (default) or increment: training starts from moved structures, or from
        persistence; or field, as published.
    constraints : a module, its switches, or None for none, as published.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.channel import ChannelEmulator, ChannelGrid, IFNO
    >>> grid = ChannelGrid.chebyshev((8, 9, 4), (6.0, 2.0))
    >>> model = ChannelEmulator(IFNO(grid, width=4, modes=(3, 4, 2)))
    >>> flows = torch.randn(2, 5, 3, 8, 9, 4)
    >>> model.calibrate(flows)
    >>> model.rollout(flows[:, 0], 6, every=2).velocity.shape
    torch.Size([2, 3, 3, 8, 9, 4])
    """

    mean: Tensor
    scale: Tensor
    change_scale: Tensor
    displacement: Tensor
    energy: Tensor

    def __init__(
        self,
        network: ChannelNetwork | Mapping[str, Any],
        *,
        target: Target = "convected",
        constraints: ChannelConstraints | Mapping[str, bool] | None = None,
    ):
        super().__init__()
        if target not in get_args(Target):
            raise DataError(f"target = {target!r} must be one of {', '.join(get_args(Target))}.")
        self.network = network if isinstance(network, ChannelNetwork) else _network(network)
        self.target = target
        self.constraints = (
            ChannelConstraints(self.grid, **constraints)
            if isinstance(constraints, Mapping)
            else constraints
        )
        for name, value in {
            "mean": torch.zeros(3, 1, self.grid.shape[1], 1),
            "scale": torch.ones(3, 1, 1, 1),
            "change_scale": torch.ones(3, 1, 1, 1),
            "displacement": torch.zeros(self.grid.shape[1], dtype=torch.float64),
            "energy": torch.tensor(0.0),
        }.items():
            self.register_buffer(name, value)

    @property
    def grid(self) -> ChannelGrid:
        """Where the velocities live."""
        return self.network.grid

    def configuration(self) -> dict[str, Any]:
        """Network and switches; the scales travel with the weights."""
        kind = {v: k for k, v in NETWORKS.items()}[type(self.network)]
        return {
            "network": {"kind": kind, **self.network.configuration()},
            "target": self.target,
            "constraints": None if self.constraints is None else self.constraints.configuration(),
        }

    def calibrate(self, flows: Float[Tensor, "runs time 3 x y z"]) -> None:
        """Take profile, scales and mean energy of the training data.

        The profile is made symmetric as the laws of the flow are: no mean v and w, and on a grid
        that y -> -y maps onto itself an even U.
        """
        mean = flows.double().mean((0, 1, 3, 5))[:, None, :, None]
        mean[1:] = 0
        if self.grid.is_symmetric:
            mean = (mean + mean.flip(2)) / 2
        self.mean.copy_(mean)
        if self.target == "convected":
            self.displacement.copy_(convection(flows, self.mean, self.grid))
        fluctuation = flows - mean.to(flows)
        change = flows[:, 1:] - self.carried(flows[:, :-1])
        for buffer, field in ((self.scale, fluctuation), (self.change_scale, change)):
            power = self.grid.mean(field.double().square()).mean((0, 1))
            buffer.copy_(power.sqrt().clamp_min(1e-12)[:, None, None, None])
        self.energy.copy_(self.kinetic_energy(flows).mean())

    def carried(self, velocity: Float[Tensor, "*batch 3 x y z"]) -> Float[Tensor, "*batch 3 x y z"]:
        """What the network's change is added to: the velocity, or its structures moved on."""
        if self.target != "convected":
            return velocity
        return convect(velocity, self.displacement, self.grid)

    def kinetic_energy(self, velocity: Float[Tensor, "*batch 3 x y z"]) -> Float[Tensor, "*batch"]:
        """Volume mean of |u|²/2."""
        return self.grid.mean(velocity.square()).sum(-1) / 2

    def forward(
        self, inputs: Float[Tensor, "n 3 x y z"], *, condition: None = None
    ) -> Float[Tensor, "n 3 x y z"]:
        """The velocity one step on."""
        mean, scale = self.mean.to(inputs), self.scale.to(inputs)
        base = self.carried(inputs)
        out = self.network(((base - mean) / scale).to(self.mean.dtype)).to(inputs.dtype)
        if self.target == "field":
            predicted = mean + scale * out
        else:
            predicted = base + self.change_scale.to(inputs) * out
        return predicted if self.constraints is None else self.constraints(predicted, inputs)

    def rollout(
        self,
        velocity: Float[Tensor, "n 3 x y z"],
        steps: int,
        *,
        every: int = 1,
        reflections: bool = True,
    ) -> Rollout:
        """Feed the velocity back.

        What a network has learned is never quite symmetric, and over hundreds of steps a small
        bias, such as a push along z, adds up to a flow that no channel has. So every step sees the
        flow in another of its reflections, in turn, and is reflected back: over a cycle the biases
        cancel, at no cost.

        Parameters
        ----------
        velocity : at the start. In float64 the constraints hold to its rounding; the network works
            in its own precision either way.
        steps : to go.
        every : keep every so many steps.
        reflections : cycle through them; off, every step is `forward`.

        Raises
        ------
        DataError : another grid, values that are not finite, steps below 1, or a model that was
            never calibrated.
        """
        self._check(velocity, steps, every)
        low, high = (factor * self.energy for factor in ENERGY_RANGE)
        bounded = torch.full((len(velocity),), steps, device=velocity.device)
        kept = []
        for t in range(steps):
            number = t if reflections else 0
            velocity = reflect(self(reflect(velocity, number, self.grid)), number, self.grid)
            energy = self.kinetic_energy(velocity)
            lost = ~((energy > low) & (energy < high))
            bounded = torch.where(lost & (bounded == steps), t, bounded)
            velocity = torch.where(lost[:, None, None, None, None], torch.nan, velocity)
            if (t + 1) % every == 0:
                kept.append(velocity)
        shape = (0, *velocity.shape[1:])
        return Rollout(
            torch.stack(kept, 1) if kept else velocity.new_zeros(len(velocity), *shape), bounded
        )

    def _check(self, velocity: Tensor, steps: int, every: int) -> None:
        self.network.check(velocity)
        if steps < 1 or every < 1:
            raise DataError(f"steps = {steps} and every = {every} must be at least 1.")
        if not self.energy > 0:
            raise DataError("the model knows no training data yet; call calibrate(flows) first.")
        bad = ~torch.isfinite(velocity)
        if bad.any():
            first = tuple(bad.nonzero()[0].tolist())
            raise DataError(f"the velocity at the start is not finite, first at {first}.")


def _network(plain: Mapping[str, Any]) -> ChannelNetwork:
    options = dict(plain)
    kind = options.pop("kind", None)
    if kind not in NETWORKS:
        raise DataError(f"unknown network {kind!r}; known: {', '.join(NETWORKS)}.")
    return NETWORKS[kind](**options)
