"""An emulator of tracer transport: a network between centring, residual, fixer and fluxes."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.datasets.atmosphere import CarbonStatistics, CarbonWindow
from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere.graphcast import GraphCast
from pushforward.surrogates.atmosphere.mass_fixer import MassFixer
from pushforward.surrogates.atmosphere.network import GridNetwork
from pushforward.surrogates.atmosphere.sfno import SFNO
from pushforward.surrogates.atmosphere.swin import SwinTransformer
from pushforward.surrogates.atmosphere.unet import UNet
from pushforward.surrogates.blocks import Surrogate

__all__ = ["NETWORKS", "CarbonEmulator", "with_fixer"]

NETWORKS: dict[str, type[GridNetwork]] = {
    "unet": UNet,
    "swin": SwinTransformer,
    "sfno": SFNO,
    "graphcast": GraphCast,
}
"""Name -> network."""

BLOW_UP = 100.0  # standard deviations of the training data from where the sample started


class CarbonEmulator(Surrogate):
    r"""One step of the mixing ratio c, from c, the weather, the air and the surface fluxes.

        x = ((c − mean)/std − its mean over the sample's cells and layers, other inputs normalised)
        c* = c + std_Δ · network(x) + mean_Δ                       (layer by layer)
        c° = fixer(c*, c, A, A')                                    (not while training)
        c'₀ = c°₀ + surface mass / A'₀                              (lowest layer)

    Centring makes the network blind to the level that CO2 has risen to. Without the explicit flux
    the network has to learn the last line, and the fixer's budget takes in the sources. With a
    pinned fixer the budget runs over the whole roll-out.

    Parameters
    ----------
    network : of `10 · levels + 7` channels to `levels`, or its kind and configuration.
    centred, explicit_flux : the two switches.
    fixer : a mass fixer, its configuration, or None.
    fix_in_training : apply the fixer in training too; the published recipe does not.

    References
    ----------
    Benson et al., "Atmospheric Transport Modeling of CO2 with Neural Networks", JAMES 2025.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.atmosphere import CarbonEmulator, MassFixer, UNet
    >>> model = CarbonEmulator(UNet(37, 3, grid=(8, 16), width=8), fixer=MassFixer("scale"))
    >>> c, air = torch.rand(2, 3, 8, 16) + 600, torch.rand(2, 5, 3, 8, 16) + 1
    >>> known = c[:, None].expand(-1, 5, -1, -1, -1)  # only its start is used
    >>> weather, sources = torch.rand(2, 4, 34, 8, 16), torch.zeros(2, 4, 8, 16)
    >>> window = CarbonWindow(known, air, weather, sources)
    >>> model.eval().rollout(c, 4, condition=window).shape
    torch.Size([2, 4, 3, 8, 16])
    """

    offset: Tensor
    scale: Tensor
    delta_offset: Tensor
    delta_scale: Tensor
    input_offset: Tensor
    input_scale: Tensor

    def __init__(
        self,
        network: GridNetwork | Mapping[str, Any],
        *,
        centred: bool = True,
        explicit_flux: bool = True,
        fixer: MassFixer | Mapping[str, Any] | None = None,
        fix_in_training: bool = False,
    ):
        super().__init__()
        self.network = network if isinstance(network, GridNetwork) else _network(network)
        self.centred, self.explicit_flux = centred, explicit_flux
        self.fix_in_training = fix_in_training
        self.fixer = MassFixer(**fixer) if isinstance(fixer, Mapping) else fixer
        levels = self.network.channels_out
        others = self.network.channels_in - levels
        if others < 1:
            raise DataError(
                f"a network of {self.network.channels_in} channels in and {levels} out leaves no "
                "channel for the weather."
            )
        for name, shape in (
            ("offset", ()),
            ("scale", ()),
            ("delta_offset", (levels, 1, 1)),
            ("delta_scale", (levels, 1, 1)),
            ("input_offset", (others, 1, 1)),
            ("input_scale", (others, 1, 1)),
        ):
            value = torch.ones(shape) if name.endswith("scale") else torch.zeros(shape)
            self.register_buffer(name, value)

    @property
    def levels(self) -> int:
        """Number of layers."""
        return self.network.channels_out

    def configuration(self) -> dict[str, Any]:
        """Network and switches; the scales travel with the weights."""
        kind = {v: k for k, v in NETWORKS.items()}[type(self.network)]
        return {
            "network": {"kind": kind, **self.network.configuration()},
            "centred": self.centred,
            "explicit_flux": self.explicit_flux,
            "fixer": None if self.fixer is None else self.fixer.configuration(),
            "fix_in_training": self.fix_in_training,
        }

    def calibrate(self, statistics: CarbonStatistics) -> None:
        """Take the scales of the training data.

        Raises
        ------
        DataError : statistics of another number of layers.
        """
        if len(statistics.delta_scale) != self.levels:
            raise DataError(
                f"statistics of {len(statistics.delta_scale)} layers for a network of "
                f"{self.levels}."
            )
        offsets, scales = statistics.input_scales()
        for buffer, values in (
            (self.offset, statistics.offset["co2massmix"]),
            (self.scale, statistics.scale["co2massmix"]),
            (self.delta_offset, statistics.delta_offset),
            (self.delta_scale, statistics.delta_scale),
            (self.input_offset, offsets),
            (self.input_scale, scales),
        ):
            buffer.copy_(torch.as_tensor(values).reshape(buffer.shape))

    def forward(
        self, inputs: Float[Tensor, "n level lat lon"], *, condition: CarbonWindow
    ) -> Float[Tensor, "n level lat lon"]:
        """The mixing ratio one step on."""
        return self.rollout(inputs, 1, condition=condition)[:, 0]

    def rollout(
        self,
        concentration: Float[Tensor, "n level lat lon"],
        steps: int,
        *,
        condition: CarbonWindow,
        every: int = 1,
    ) -> Float[Tensor, "n kept level lat lon"]:
        """Feed the mixing ratio back; weather, air and fluxes always come from the window.

        Parameters
        ----------
        concentration : at the start, 1e-6 kg/kg.
        steps : to go; at most those of the window.
        condition : a window whose batch is that of `concentration`; its own mixing ratio is not
            looked at.
        every : keep every so many steps.

        Returns
        -------
        (n, steps // every, level, lat, lon). A sample that leaves the range of 100 standard
        deviations around its start is not a number from there on; the others go on.

        Raises
        ------
        DataError : shapes that do not fit, too few steps, values that are not finite.
        """
        self._check(concentration, steps, every, condition)
        c, start = concentration, concentration
        fixing = self.fixer is not None and (self.fix_in_training or not self.training)
        if self.fixer is not None:
            self.fixer.reset()
        pending: Tensor | None = None
        kept = []
        for t in range(steps):
            air, after = condition.airmass[:, t], condition.airmass[:, t + 1]
            added = condition.surface_mass[:, t]
            predicted = c + self.change(c, condition.inputs[:, t])
            bounded = (predicted - start).abs() <= BLOW_UP * self.scale
            lost = ~bounded.flatten(1).all(1)
            if fixing:
                sources = pending if self.explicit_flux else added
                # What is lost must not stop the others: it keeps the old field until it is blanked.
                safe = torch.where(lost[:, None, None, None], c.nan_to_num(600.0), predicted)
                old = torch.where(lost[:, None, None, None], safe, c)
                predicted = self._fixed(safe, old, air, after, sources)
            if self.explicit_flux:
                lowest = predicted[:, :1] + (added / after[:, 0])[:, None]
                predicted = torch.cat([lowest, predicted[:, 1:]], dim=1)
                pending = added
            c = torch.where(lost[:, None, None, None], torch.nan, predicted)
            if (t + 1) % every == 0:
                kept.append(c)
        return torch.stack(kept, 1)

    def change(
        self, c: Float[Tensor, "n level lat lon"], others: Float[Tensor, "n channel lat lon"]
    ) -> Float[Tensor, "n level lat lon"]:
        """What the network says that c changes by in a step, before fixer and explicit flux."""
        own = (c - self.offset) / self.scale
        if self.centred:
            own = own - own.mean((1, 2, 3), keepdim=True)
        rest = (others - self.input_offset) / self.input_scale
        out = self.network(torch.cat([own, rest], dim=1))
        return out * self.delta_scale + self.delta_offset

    def _fixed(
        self, predicted: Tensor, c: Tensor, air: Tensor, after: Tensor, sources: Tensor | None
    ) -> Tensor:
        if self.fixer is None:
            return predicted
        if self.explicit_flux and self.fixer.reference == "stepwise":
            sources = None  # the flux is added after this; it is no business of this step's budget
        return self.fixer(predicted, c, air, after, surface_mass=sources)

    def _check(self, c: Tensor, steps: int, every: int, window: CarbonWindow) -> None:
        if steps < 1 or every < 1 or steps > window.steps:
            raise DataError(
                f"steps = {steps}, every = {every} for a window of {window.steps} steps; both "
                "must be at least 1 and the window long enough."
            )
        lat, lon = self.network.grid
        wanted = {
            "concentration": (c, (len(c), self.levels, lat, lon)),
            "airmass": (window.airmass[:, 0], (len(c), self.levels, lat, lon)),
            "inputs": (
                window.inputs[:, 0],
                (len(c), self.network.channels_in - self.levels, lat, lon),
            ),
            "surface_mass": (window.surface_mass[:, 0], (len(c), lat, lon)),
        }
        for name, (tensor, shape) in wanted.items():
            if tuple(tensor.shape) != shape:
                raise DataError(
                    f"{name} has shape {tuple(tensor.shape)} at a time; this model needs {shape}: "
                    "a batch, its layers and its grid."
                )
        if not torch.isfinite(c).all():
            first = tuple((~torch.isfinite(c)).nonzero()[0].tolist())
            raise DataError(f"the mixing ratio at the start is not finite, first at {first}.")


def _network(plain: Mapping[str, Any]) -> GridNetwork:
    options = dict(plain)
    kind = options.pop("kind", None)
    if kind not in NETWORKS:
        raise DataError(f"unknown network {kind!r}; known: {', '.join(NETWORKS)}.")
    return NETWORKS[kind](**options)


def with_fixer(model: CarbonEmulator, fixer: MassFixer | None) -> CarbonEmulator:
    """The same trained network under another fixer, or none; parameters are shared, not copied."""
    other = CarbonEmulator(
        model.network,
        centred=model.centred,
        explicit_flux=model.explicit_flux,
        fixer=fixer,
        fix_in_training=model.fix_in_training,
    )
    for name, buffer in model.named_buffers(recurse=False):
        getattr(other, name).copy_(buffer)
    return other.to(model.offset.device).train(model.training)
