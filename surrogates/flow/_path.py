"""What every probability path shares: x_t = α x1 + σ x0 + γ z, its derivative, its checks."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["Path", "PathSample", "broadcast_time"]


class PathSample(NamedTuple):
    """A point of a path and the conditional velocity there.

    ``x_t`` and ``dx_t`` have the shape of the data, ``t`` has shape (batch,); ``x0`` and ``x1``
    are the end points used and ``z`` the extra Gaussian noise (None where the path has none).
    """

    x_t: Tensor
    dx_t: Tensor
    t: Tensor
    x0: Tensor
    x1: Tensor
    z: Tensor | None = None


def broadcast_time(t: float | int | Tensor, x: Tensor) -> Tensor:
    """Times of shape () or (batch,) as (batch, 1, ..., 1), ready to multiply ``x``.

    Raises `DataError` if ``t`` has any other shape or is not a floating-point tensor.

    >>> broadcast_time(torch.tensor([0.1, 0.9]), torch.zeros(2, 3, 4)).shape
    torch.Size([2, 1, 1])
    """
    if isinstance(t, Tensor) and t.ndim == 1 and len(t) == len(x) and t.is_floating_point():
        return t.view(-1, *(1,) * (x.ndim - 1))  # the training loop's case, kept short
    if not isinstance(t, Tensor):
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    if not t.is_floating_point():
        raise DataError(f"t has dtype {t.dtype}; times are floating-point numbers in [0, 1].")
    if t.ndim == 0:
        t = t.expand(x.shape[0] if x.ndim else 1)
    if t.ndim != 1 or x.ndim == 0 or t.shape[0] != x.shape[0]:
        raise DataError(
            f"t has shape {tuple(t.shape)}; x has shape {tuple(x.shape)}, so t must be a scalar or "
            f"have shape ({x.shape[0] if x.ndim else 1},), one time for each sample. "
            "Did you mean t.reshape(-1)?"
        )
    return t.view(-1, *(1,) * (x.ndim - 1))


class Path(ABC):
    """Base of all paths: x_t = α(t) x1 + σ(t) x0 + γ(t) z with z ~ N(0, I).

    Time runs from 0 (source, x0) to 1 (data, x1). Sub-classes give `alpha`, `sigma`, `d_alpha`,
    `d_sigma`, and where there is extra noise `gamma` and `gamma_d_gamma` (the product γ γ', finite
    where γ' alone is not). All take and return tensors of any one shape.
    """

    #: Times between which the regression targets are finite; losses draw inside.
    time_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    #: Whether γ is not identically 0.
    noisy: bool = False

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """α(t), the share of x1."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """σ(t), the share of x0."""

    @abstractmethod
    def d_alpha(self, t: Tensor) -> Tensor:
        """dα/dt."""

    @abstractmethod
    def d_sigma(self, t: Tensor) -> Tensor:
        """dσ/dt."""

    def gamma(self, t: Tensor) -> Tensor:
        """γ(t), the standard deviation of the extra noise."""
        return torch.zeros_like(t)

    def gamma_d_gamma(self, t: Tensor) -> Tensor:
        """γ(t) γ'(t)."""
        return torch.zeros_like(t)

    def d_gamma(self, t: Tensor) -> Tensor:
        """γ'(t); its poles at the ends are cut off where γ < 1e-4, so that it stays finite."""
        return self.gamma_d_gamma(t) / self.gamma(t).clamp_min(1e-4)

    def sample(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        t: float | int | Tensor,
        *,
        generator: torch.Generator | None = None,
        z: Float[Tensor, "..."] | None = None,
    ) -> PathSample:
        """The point x_t and the conditional velocity dx_t = α' x1 + σ' x0 + γ' z.

        Arguments: ``x0``, ``x1`` of equal shape (batch, *shape); ``t`` a number, a scalar tensor or
        (batch,); ``generator`` draws z where the path has noise (None: torch's default generator);
        ``z`` gives that noise instead, e.g. for antithetic pairs. Raises `DataError` if shapes
        disagree.

        >>> from pushforward.surrogates.flow import LinearPath
        >>> s = LinearPath().sample(torch.zeros(2, 3), torch.ones(2, 3), 0.25)
        >>> s.x_t[0, 0].item(), s.dx_t[0, 0].item()
        (0.25, 1.0)
        """
        if x0.shape != x1.shape:
            raise DataError(
                f"x0 has shape {tuple(x0.shape)} and x1 {tuple(x1.shape)}; a path joins them one "
                "to one, so the shapes must be equal. Let a coupling make the pairs."
            )
        tb = broadcast_time(t, x0)
        x_t, dx_t = self._join(x0, x1, tb)
        if self.noisy:
            if z is None:
                z = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
            x_t, dx_t = self._add_noise(x_t, dx_t, tb, z)
        return PathSample(x_t, dx_t, tb.view(-1), x0, x1, z)

    def _add_noise(self, x_t: Tensor, dx_t: Tensor, tb: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return x_t + self.gamma(tb) * z, dx_t + self.d_gamma(tb) * z

    def _join(self, x0: Tensor, x1: Tensor, tb: Tensor) -> tuple[Tensor, Tensor]:
        """Noise-free point and velocity; ``tb`` already has the trailing axes of x."""
        x_t = self.alpha(tb) * x1 + self.sigma(tb) * x0
        return x_t, self.d_alpha(tb) * x1 + self.d_sigma(tb) * x0
