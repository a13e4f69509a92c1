"""Mass fixers: whatever a network predicts, the tracer's mass is what it must be."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError

__all__ = ["MassFixer"]

Mode = Literal["scale", "shift", "additive", "clip"]
MODES = ("scale", "shift", "additive", "clip")
REFERENCES = ("stepwise", "pinned")
PASSES = 4  # of giving back what rounding left over


class MassFixer(nn.Module):
    r"""Change a predicted mixing ratio so that the tracer's mass is exactly what it must be.

    With c the mixing ratio before the step, c* the prediction, A and A' the air mass before and
    after it, S the sources, and sums over all layers and cells of one sample and tracer, the fixed
    c' has

        Σ c' A' = M,   M = Σ c A + Σ S        (stepwise)
                       M = M₀ + Σ all S so far (pinned: M₀ is Σ c A of the first step)

        scale      c' = c* · M / Σ c* A'
        shift      c' = c* + (M − Σ c* A') / (n A')        the same mass to each of the n cells
        additive   c' = c* + (M − Σ c* A') / Σ A'          the same mixing ratio to each cell
        clip       c° = min(max(c*, lower), upper), D = M − Σ c° A';
                   c' = c° + D (upper − c°)/Σ (upper − c°) A'    if D > 0
                   c' = c° + D (c° − lower)/Σ (c° − lower) A'    else

    What each keeps: `scale` keeps signs and uniform fields, and moves the whole field by the
    relative error, right parts too. `additive` keeps uniform fields and all gradients. `shift`
    keeps neither: in thin layers it can be large. `clip` (clip and assured sum) keeps bounds; where
    the bounds cannot hold the mass, the cells go to the bound and the rest is added as `additive`
    does: mass comes first.

    `stepwise` lets the rounding of each step add up over a long roll-out; `pinned` does not. The
    sums are in float64 whatever the fields are. What rounding to float32 leaves over is put back
    in units of the last place of some cells, so that float32 fields too hold the mass to about
    one such unit of one cell.

    Parameters
    ----------
    mode : see above. `scale` is the published default.
    reference : `stepwise` or `pinned`. A pinned fixer keeps M in itself: call `reset()` before
        every roll-out.
    bounds : of `clip`: (lower, upper), None where there is none, as (0, None) for positivity.
        Without bounds: the least and the greatest c of the sample and tracer, within which
        transport without sources must stay.
    axes : number of trailing axes a budget is closed over: (level, lat, lon).

    References
    ----------
    Benson et al., "Atmospheric Transport Modeling of CO2 with Neural Networks", JAMES 2025
    (scale, shift); Bradley et al., "Communication-efficient property preservation in tracer
    transport", SIAM J. Sci. Comput. 2019 (clip and assured sum).

    Examples
    --------
    >>> import torch
    >>> c, air = torch.rand(2, 3, 4, 8).double() + 1, torch.rand(2, 3, 4, 8).double() + 1
    >>> fixed = MassFixer("additive")(c + 0.1, c, air, air)
    >>> torch.allclose(fixed, c)
    True
    >>> torch.allclose((fixed * air).sum((1, 2, 3)), (c * air).sum((1, 2, 3)), rtol=1e-14)
    True
    """

    def __init__(
        self,
        mode: Mode = "scale",
        *,
        reference: Literal["stepwise", "pinned"] = "stepwise",
        bounds: Sequence[float | int | None] | None = None,
        axes: int = 3,
    ):
        super().__init__()
        if mode not in MODES:
            raise DataError(f"mode = {mode!r}; expected one of {', '.join(MODES)}.")
        if reference not in REFERENCES:
            raise DataError(f"reference = {reference!r}; expected stepwise or pinned.")
        limits = None
        if bounds is not None:
            limits = tuple(
                s * math.inf if b is None else b for s, b in zip((-1, 1), bounds, strict=False)
            )
            if mode != "clip" or len(bounds) != 2 or not limits[0] < limits[1]:
                raise DataError(
                    f"bounds = {bounds} with mode {mode!r}; bounds belong to mode 'clip' and are "
                    "two numbers, lower < upper, or None where there is none."
                )
        if axes < 1:
            raise DataError(f"axes = {axes} must be at least 1.")
        self.mode, self.reference, self.axes = mode, reference, axes
        self.bounds = limits
        self._pinned: Tensor | None = None

    def configuration(self) -> dict[str, Any]:
        """Plain values that rebuild the fixer."""
        bounds = self.bounds and [b if math.isfinite(b) else None for b in self.bounds]
        return {
            "mode": self.mode,
            "reference": self.reference,
            "bounds": bounds,
            "axes": self.axes,
        }

    def reset(self) -> None:
        """Forget the pinned mass; the next step pins anew."""
        self._pinned = None

    def forward(
        self,
        predicted: Float[Tensor, "*field"],
        previous: Float[Tensor, "*field"],
        airmass: Float[Tensor, "..."],
        airmass_next: Float[Tensor, "..."],
        *,
        surface_mass: Float[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "*field"]:
        """The fixed prediction, of the prediction's type.

        Parameters
        ----------
        predicted, previous : mixing ratios after and before the step, (*batch, [tracer,] level,
            lat, lon).
        airmass, airmass_next : mass of air of the cells, before and after, in any one unit; shaped
            as the mixing ratios, or without the tracer axis, or (level, lat, lon) alone.
        surface_mass : mass that sources bring in the step, mixing ratio times air mass:
            (*batch, [tracer,] lat, lon), or per cell and layer, or in total. Leave it out if the
            prediction is meant without the sources, to be added afterwards.

        Raises
        ------
        DataError : shapes that do not fit; air mass that is not positive; `scale` asked to reach
            a mass from a prediction that has none, or of the other sign.
        """
        if predicted.shape != previous.shape:
            raise DataError(
                f"predicted {tuple(predicted.shape)} and previous {tuple(previous.shape)} must "
                "have the same shape."
            )
        axes = tuple(range(-min(self.axes, predicted.ndim), 0))
        before = self._air(airmass, predicted, "airmass")
        after = self._air(airmass_next, predicted, "airmass_next")
        raw, old = predicted.double(), previous.double()
        sources = self._sources(surface_mass, predicted, axes)
        if self.reference == "pinned":
            mass = self._pinned_mass(old, before, sources, axes)
        else:
            mass = (old * before).sum(axes, keepdim=True) + sources
        fixed = getattr(self, f"_{self.mode}")(raw, old, after, mass, axes)
        if predicted.dtype == torch.float64:
            return fixed
        return _rounded(fixed, after, mass, axes, predicted.dtype)

    def _scale(self, raw: Tensor, old: Tensor, after: Tensor, mass: Tensor, axes: Any) -> Tensor:
        found = (raw * after).sum(axes, keepdim=True)
        empty = (found == 0) & (mass == 0)
        wrong = (found * mass <= 0) & ~empty
        if wrong.any():
            raise DataError(
                f"mode 'scale' cannot turn a predicted mass of {found[wrong][0].item():.6g} into "
                f"{mass[wrong][0].item():.6g}: signs differ or one is zero. Use mode 'additive', "
                "or 'clip' with a lower bound of 0."
            )
        return raw * (torch.where(empty, 1.0, mass) / torch.where(empty, 1.0, found))

    def _shift(self, raw: Tensor, old: Tensor, after: Tensor, mass: Tensor, axes: Any) -> Tensor:
        missing = mass - (raw * after).sum(axes, keepdim=True)
        cells = 1
        for axis in axes:
            cells *= raw.shape[axis]
        return raw + missing / cells / after

    def _additive(self, raw: Tensor, old: Tensor, after: Tensor, mass: Tensor, axes: Any) -> Tensor:
        missing = mass - (raw * after).sum(axes, keepdim=True)
        return raw + missing / after.expand_as(raw).sum(axes, keepdim=True)

    def _clip(self, raw: Tensor, old: Tensor, after: Tensor, mass: Tensor, axes: Any) -> Tensor:
        if self.bounds is None:
            lower, upper = old.amin(axes, keepdim=True), old.amax(axes, keepdim=True)
        else:
            lower, upper = (torch.full_like(mass, b) for b in self.bounds)
        clipped = torch.minimum(torch.maximum(raw, lower), upper)
        missing = mass - (clipped * after).sum(axes, keepdim=True)
        bound = torch.where(missing > 0, upper, lower)
        bounded = torch.isfinite(bound)
        room = torch.where(bounded, bound, clipped) - clipped
        total = (room * after).sum(axes, keepdim=True)
        # Rounding of the last bits may leave a share a little above 1 where bounds just fit.
        share = torch.where(total != 0, missing / torch.where(total != 0, total, 1.0), 0.0)
        filled = clipped + share.clamp(0.0, 1.0) * room
        return self._additive(filled, old, after, mass, axes)

    def _air(self, air: Tensor, field: Tensor, name: str) -> Tensor:
        lacking = field.ndim - air.ndim
        if lacking == 1 and air.ndim > self.axes:
            air = air.unsqueeze(-self.axes - 1)
        try:
            fits = torch.broadcast_shapes(air.shape, field.shape) == field.shape
        except RuntimeError:
            fits = False
        if not fits or air.shape[-self.axes :] != field.shape[-self.axes :]:
            raise DataError(
                f"{name} of shape {tuple(air.shape)} does not fit a mixing ratio of shape "
                f"{tuple(field.shape)}; expected the same, with or without the tracer axis."
            )
        if not (air > 0).all():
            where = tuple((~(air > 0)).nonzero()[0].tolist())
            raise DataError(
                f"{name} is {air[where].item():.6g} at index {where}; every cell must hold a "
                "positive, finite mass of air."
            )
        return air.double()

    def _sources(self, added: Tensor | None, field: Tensor, axes: tuple[int, ...]) -> Tensor:
        lead = field.shape[: field.ndim - len(axes)]
        ones = (1,) * len(axes)
        if added is None:
            return field.new_zeros(*lead, *ones, dtype=torch.float64)
        added = added.double()
        if added.shape == field.shape:
            return added.sum(axes, keepdim=True)
        if added.shape == lead:
            return added.reshape(*lead, *ones)
        plane = field.shape[field.ndim - len(axes) + 1 :]
        try:
            spread = torch.broadcast_to(added, (*lead, *plane))
        except RuntimeError as error:
            raise DataError(
                f"surface_mass of shape {tuple(added.shape)}; expected {(*lead, *plane)}, "
                f"{tuple(field.shape)} or, in total, {tuple(lead)}."
            ) from error
        return spread.sum(axes[1:]).reshape(*lead, *ones) if len(axes) > 1 else spread[..., None]

    def _pinned_mass(self, old: Tensor, air: Tensor, sources: Tensor, axes: Any) -> Tensor:
        if self._pinned is None:
            self._pinned = (old * air).sum(axes, keepdim=True).detach()
        elif self._pinned.shape != sources.shape:
            raise DataError(
                f"the fixer is pinned to a batch of shape {tuple(self._pinned.shape)} and was "
                f"given {tuple(sources.shape)}. Call reset() before another roll-out."
            )
        self._pinned = self._pinned + sources.detach()
        return self._pinned + (sources - sources.detach())


def _rounded(
    fixed: Tensor, air: Tensor, mass: Tensor, axes: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    """Round to a shorter type without losing mass.

    What rounding left over is given back one unit in the last place a cell, in the order of the
    cells, as long as the next one still fits; later passes find the lighter cells.
    """
    out = fixed.to(dtype)
    with torch.no_grad():
        nudged = out.detach().clone()
        weight = air.expand_as(fixed)
        for _ in range(PASSES):
            left = mass - (nudged.double() * weight).sum(axes, keepdim=True)
            towards = torch.where(left > 0, torch.inf, -torch.inf).to(dtype).expand_as(nudged)
            stepped = torch.nextafter(nudged, towards)
            gain = ((stepped.double() - nudged.double()) * weight).abs()
            room = left.abs()
            fits = (gain <= room).to(gain.dtype)
            start = gain.ndim - len(axes)
            running = (gain * fits).flatten(start).cumsum(-1).reshape(gain.shape)
            take = (fits > 0) & (running <= room)
            nudged = torch.where(take, stepped, nudged)
        correction = torch.where(torch.isfinite(nudged), nudged - out, 0.0)
    return out + correction
