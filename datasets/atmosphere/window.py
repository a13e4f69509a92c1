"""A stretch of a CO2 transport data set as tensors: what an emulator is given and judged by."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["CarbonWindow"]


@dataclass(frozen=True)
class CarbonWindow:
    """Consecutive steps; entry t of the last two holds from time t to t + 1.

    Latitudes run south to north, longitudes eastward from 0, layers upward from the surface.

    Parameters
    ----------
    concentration : (*batch, time + 1, level, lat, lon), 1e-6 kg CO2 per kg dry air.
    airmass : (*batch, time + 1, level, lat, lon), Pg of dry air.
    inputs : (*batch, time, channel, lat, lon), the network's other inputs (`input_names`).
    surface_mass : (*batch, time, lat, lon), CO2 that the surface fluxes bring in the step,
        1e-6 Pg, so that surface_mass / airmass is a change of concentration.
    """

    concentration: Float[Tensor, "*batch times level lat lon"]
    airmass: Float[Tensor, "*batch times level lat lon"]
    inputs: Float[Tensor, "*batch steps channel lat lon"]
    surface_mass: Float[Tensor, "*batch steps lat lon"]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.inputs.shape[-4]

    def part(self, start: int, steps: int) -> "CarbonWindow":
        """Some of the steps."""
        if not 0 <= start <= start + steps <= self.steps:
            raise DataError(f"steps {start} to {start + steps} of a window of {self.steps}.")
        return CarbonWindow(
            self.concentration[..., start : start + steps + 1, :, :, :],
            self.airmass[..., start : start + steps + 1, :, :, :],
            self.inputs[..., start : start + steps, :, :, :],
            self.surface_mass[..., start : start + steps, :, :],
        )

    def to(self, device: torch.device | str) -> "CarbonWindow":
        """On another device."""
        return CarbonWindow(*(getattr(self, f.name).to(device) for f in fields(self)))

    @classmethod
    def stack(cls, windows: Sequence["CarbonWindow"]) -> "CarbonWindow":
        """Several windows of one length as a batch."""
        return cls(*(torch.stack([getattr(w, f.name) for w in windows]) for f in fields(cls)))
