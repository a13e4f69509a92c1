"""Sample a trained field along another schedule, or a field whose time runs the other way."""

from typing import Any

from torch import Tensor

from ._affine import AffinePath, Prediction
from ._objective import Field, call_field
from ._path import broadcast_time

__all__ = ["RescheduledField", "ReversedTimeField"]


class RescheduledField:
    """The velocity on the path ``sampled`` of a field that was trained on the path ``trained``.

    At time r of the new path the old time t has the same signal-to-noise ratio,
    α_old/σ_old(t) = α_new/σ_new(r), and the states differ by a scale. The field's x̂1 and x̂0 there
    make the new velocity α_new' x̂1 + σ_new' x̂0. Both paths end in the same data.

    >>> import torch
    >>> from pushforward.surrogates.flow import CosinePath, LinearPath
    >>> constant = lambda x, t: torch.ones_like(x) - x      # x1 = 1, x0 = x - ...
    >>> field = RescheduledField(constant, trained=LinearPath(), sampled=CosinePath())
    >>> field(torch.zeros(1, 1), torch.zeros(1)).shape
    torch.Size([1, 1])
    """

    def __init__(
        self,
        field: Field,
        *,
        trained: AffinePath,
        sampled: AffinePath,
        prediction: Prediction = "velocity",
    ) -> None:
        self.field, self.trained, self.sampled = field, trained, sampled
        self.prediction: Prediction = prediction

    def __call__(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """The velocity of the new path at x (batch, *shape) and its time t (batch,)."""
        old_t = self.trained.snr_inverse(self.sampled.snr(t))
        r, old = broadcast_time(t, x), broadcast_time(old_t, x)
        # Radii instead of α alone: the ratio is the same, and neither is ever 0.
        new_radius = (self.sampled.alpha(r) ** 2 + self.sampled.sigma(r) ** 2).sqrt()
        old_radius = (self.trained.alpha(old) ** 2 + self.trained.sigma(old) ** 2).sqrt()
        old_x = x * old_radius / new_radius
        out = call_field(self.field, old_x, old_t, **condition)
        x1, x0 = self.trained.endpoints(out, old_x, old_t, source=self.prediction)
        return self.sampled.d_alpha(r) * x1 + self.sampled.d_sigma(r) * x0


class ReversedTimeField:
    """A field of the other convention (t = 1 noise, t = 0 data) as one of this package.

    u(x, t) = -field(x, 1 - t): diffusion and latent-flow codes train the velocity from data to
    noise. Nothing in this package flips time by itself.

    >>> import torch
    >>> ReversedTimeField(lambda x, t: x * t[:, None])(torch.ones(1, 1), torch.tensor([0.25]))
    tensor([[-0.7500]])
    """

    def __init__(self, field: Field) -> None:
        self.field = field

    def __call__(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """-field(x, 1 - t)."""
        return -call_field(self.field, x, 1 - t, **condition)
