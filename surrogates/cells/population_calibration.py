"""How much of a learned displacement to believe on a population that training never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import Surrogate

__all__ = ["Calibration", "CalibrationSettings", "PopulationTransport"]


@dataclass(frozen=True)
class CalibrationSettings:
    """Three numbers that a calibration multiplies by; see `Calibration`.

    Parameters
    ----------
    effect : a, share of the predicted mean displacement that is taken.
    alignment : g, share of the population's offset from the training populations given up.
    detail : r, share of what differs between the displacements of the cells.
    """

    effect: float = 1.0
    alignment: float = 0.0
    detail: float = 1.0

    def __post_init__(self) -> None:
        for name in ("effect", "alignment", "detail"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} = {getattr(self, name)}; expected a share in [0, 1].")


class Calibration(nn.Module):
    r"""Shrinks a displacement field, seen over one population, towards what patients share.

        c = x̄ + a ū − g (x̄ − m),    y_i = c + s [x_i − x̄ + r (u_i − ū)],
        s² V[x + r u] = V[x]

    u_i is the predicted displacement of cell i, bars are means over the population, V is the
    total variance, m is the mean of the training populations' control means. Treated populations
    resemble one another more than untreated ones do: g lets a stranger come nearer to what is
    shared. The law rotates with the coordinates, so a few patients suffice to choose its numbers.
    Regressing displacements on few cells draws a cloud together; s restores its spread. a = 1,
    g = 0 has the mean of the raw prediction; a = g = r = 0 is the identity.

    Starts switched off: y = x + u. Buffers, so that it travels with the weights.

    Parameters
    ----------
    dim : d, coordinates of a cell.

    Examples
    --------
    >>> import torch
    >>> calibration = Calibration(1)
    >>> x = torch.tensor([[0.0], [2.0]])
    >>> calibration.set(CalibrationSettings(effect=0.5, alignment=1.0), [x - 1.0])
    >>> calibration(x, x + 4.0).tolist()  # half of 4 further than the training mean, 0
    [[1.0], [3.0]]
    """

    active: Tensor
    settings: Tensor
    centre: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("active", torch.tensor(False))
        self.register_buffer("settings", torch.tensor([1.0, 0.0, 1.0]))
        self.register_buffer("centre", torch.zeros(dim))

    def set(self, settings: CalibrationSettings, controls: Sequence[Tensor]) -> None:
        """Switch on, with the control cells of each training population as reference.

        Raises
        ------
        DataError : no population.
        """
        if not controls:
            raise DataError("a calibration needs the control cells of at least one population.")
        s = settings
        self.settings.copy_(torch.tensor([s.effect, s.alignment, s.detail]))
        self.centre.copy_(torch.stack([x.mean(0) for x in controls]).mean(0))
        self.active.fill_(True)

    def forward(
        self, x: Float[Tensor, "*p n d"], moved: Float[Tensor, "*p n d"]
    ) -> Float[Tensor, "*p n d"]:
        """Calibrated targets of whole populations x, given the raw ones."""
        if not self.active:
            return moved
        effect, alignment, detail = self.settings
        mean, displacement = x.mean(-2, keepdim=True), moved - x
        common = displacement.mean(-2, keepdim=True)
        shape = x - mean + detail * (displacement - common)
        own, now = (z.var(-2, correction=0).sum(-1)[..., None, None] for z in (x, shape))
        factor = torch.where(now > 0, (own / now).sqrt(), torch.ones_like(now))
        return mean + effect * common - alignment * (mean - self.centre) + factor * shape


class PopulationTransport(Surrogate):
    """A model that moves whole populations and holds the calibration of its displacements."""

    calibration: Calibration
