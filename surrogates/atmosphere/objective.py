"""What emulators of transport are trained on: weighted squares, and power by degree."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.datasets.atmosphere import CarbonData
from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import (
    SphericalHarmonicTransform,
    draw_drops_from,
)

__all__ = ["SpectralLoss", "TransportObjective"]


class SpectralLoss(nn.Module):
    r"""Relative squared error of the power by degree of spherical harmonics.

        mean over samples, layers and degrees l of ((P_l − P_l,true)/P_l,true)²,
        P_l = Σ_m |a_lm|²

    Networks that smooth lose power at high degrees, which squared errors hardly see. Computed in
    float64: the mean field's power exceeds that of fine structure by more than float32 resolves.

    Parameters
    ----------
    grid : (n_lat, n_lon), half-offset latitudes.
    degrees : l < degrees; default: all that the grid resolves.

    Examples
    --------
    >>> import torch
    >>> loss, field = SpectralLoss((8, 16)), torch.rand(2, 3, 8, 16)
    >>> loss(field.roll(5, -1), field).item() < 1e-12, round(loss(2 * field, field).item(), 6)
    (True, 9.0)
    """

    def __init__(self, grid: tuple[int, int], *, degrees: int | None = None):
        super().__init__()
        self.transform = SphericalHarmonicTransform(*grid, degrees=degrees, dtype=torch.float64)

    def forward(
        self, predicted: Float[Tensor, "*batch lat lon"], truth: Float[Tensor, "*batch lat lon"]
    ) -> Float[Tensor, ""]:
        """The loss; degrees in which the truth has no power are left out."""
        power = self.transform.power(predicted.double())
        true = self.transform.power(truth.double())
        there = true > 1e-20 * true.sum(-1, keepdim=True)
        ratio = (power - true) / torch.where(there, true, 1.0)
        return (torch.where(there, ratio, 0.0).square().sum() / there.sum()).to(predicted.dtype)


class TransportObjective:
    r"""Loss of roll-outs on windows drawn from the data.

        loss = mean over samples, steps, cells and layers of w (c' − c_true)² + share · spectral
        w = (10 / levels) · area / mean area / std_Δ²

    std_Δ is the standard deviation of a layer's change in a step, so that quiet layers count as
    much as lively ones. Every step counts; the gradient runs through the whole roll-out.

    Parameters
    ----------
    data : the training split.
    unroll : steps of a roll-out.
    batch_size : windows a gradient step.
    spectral : share of the spectral loss; 0.1 as published, 0 leaves it out.
    degrees : of the spectral loss.

    Raises
    ------
    DataError : data shorter than a window.
    """

    def __init__(
        self,
        data: CarbonData,
        *,
        unroll: int,
        batch_size: int,
        spectral: float = 0.1,
        degrees: int | None = None,
    ):
        if batch_size < 1 or spectral < 0:
            raise DataError(
                f"batch_size = {batch_size} must be at least 1, spectral = {spectral} at least 0."
            )
        self.data, self.unroll, self.batch_size = data, unroll, batch_size
        self.starts = torch.from_numpy(data.starts(unroll))
        grid = (data.grid.n_lat, data.grid.n_lon)
        self.share = spectral
        self.spectral = SpectralLoss(grid, degrees=degrees) if spectral else None
        row = data.grid.cell_area[:, 0]
        self.area = (row / row.mean()).float()[:, None]

    def __call__(self, model: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss on a fresh batch."""
        draw = torch.randint(len(self.starts), (self.batch_size,), generator=generator)
        device = model.offset.device
        window = self.data.windows(self.starts[draw].tolist(), self.unroll).to(device)
        draw_drops_from(model, generator)
        predicted = model.rollout(window.concentration[:, 0], self.unroll, condition=window)
        return self.loss(model, predicted, window.concentration[:, 1:])

    def loss(
        self,
        model: Any,
        predicted: Float[Tensor, "n steps level lat lon"],
        truth: Float[Tensor, "n steps level lat lon"],
    ) -> dict[str, Tensor]:
        """The terms of the loss."""
        weight = (10 / model.levels) * self.area.to(predicted) / model.delta_scale.square()
        squares = (weight * (predicted - truth).square()).mean()
        terms = {"squares": squares}
        loss = squares
        if self.spectral is not None:
            spectral = self.spectral.to(predicted.device)(predicted, truth)
            terms["spectral"] = spectral
            loss = loss + self.share * spectral
        return {"loss": loss, **terms}
