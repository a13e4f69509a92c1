"""The PFGM++ path: heavy-tailed noise of any degree, with the schedule of EDM."""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath
from ._path import PathSample

__all__ = ["PoissonPath"]


class PoissonPath(AffinePath):
    """x_t = x1 + σ(t) n, where n has the perturbation kernel of PFGM++ with D extra dimensions.

    The kernel p_r(x|y) ∝ (|x-y|² + r²)^(-(N+D)/2) with r = σ √D is the multivariate Student law
    with D degrees of freedom: n = z √(D/χ²_D), z ~ N(0, I), one χ² for each sample. So x0 is drawn
    standard normal as for any path, and `sample` multiplies it by the random factor (the x0 it
    returns is n). Variance per axis σ² D/(D-2) for D > 2, infinite below; D → ∞ is Gaussian.

    The schedule σ(t) = (σ_max^(1/ρ) + t (σ_min^(1/ρ) - σ_max^(1/ρ)))^ρ makes equal steps in time
    EDM's grid. α = 1 throughout: at t = 0 the state is not pure noise, so start samples from
    `prior`. The gamma laws are drawn directly in double precision; the released training code
    clips their ratio, which cuts most draws when N ≫ D.

    Arguments: ``degrees`` D > 0; ``sigma_max`` 80, ``sigma_min`` 0.002, ``rho`` 7 as in EDM, for
    data of standard deviation about 0.5. Raises `DataError` for values out of range.

    Source: Xu et al., *PFGM++*, 2023; Karras et al., 2022.

    >>> path = PoissonPath(128)
    >>> x = path.prior((4, 2), generator=torch.Generator().manual_seed(0))
    >>> x.shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        degrees: float | int = 128,
        *,
        sigma_max: float | int = 80.0,
        sigma_min: float | int = 0.002,
        rho: float | int = 7.0,
    ) -> None:
        if not degrees > 0:
            raise DataError(f"degrees = {degrees}; the number of extra dimensions is positive.")
        if not 0 < sigma_min < sigma_max or not rho > 0:
            raise DataError(
                f"sigma_min = {sigma_min}, sigma_max = {sigma_max}, rho = {rho}; expected "
                "0 < sigma_min < sigma_max and rho > 0."
            )
        self.degrees, self.rho = degrees, rho
        self.sigma_max, self.sigma_min = sigma_max, sigma_min
        self._top = sigma_max ** (1 / rho)
        self._slope = sigma_min ** (1 / rho) - self._top

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return (self._top + t * self._slope) ** self.rho

    def d_sigma(self, t: Tensor) -> Tensor:
        return self.rho * self._slope * (self._top + t * self._slope) ** (self.rho - 1)

    def snr_inverse(self, s: Tensor) -> Tensor:
        return (s ** (-1 / self.rho) - self._top) / self._slope

    def heavy(self, z: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """n = z √(D/χ²_D) from standard normal z (batch, *shape)."""
        shape = (len(z), *(1,) * (z.ndim - 1))
        half = torch.full(shape, self.degrees / 2, dtype=torch.float64, device=z.device)
        # `_standard_gamma` is what torch.distributions calls; only it takes a generator.
        chi2 = 2 * torch._standard_gamma(half, generator=generator)
        return z * (self.degrees / chi2).sqrt().to(z.dtype)

    def prior(
        self,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """σ_max n, where trajectories start; not to be multiplied by σ_max again."""
        z = torch.randn(shape, generator=generator, dtype=dtype, device=device)
        return self.sigma_max * self.heavy(z, generator=generator)

    def sample(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        t: float | int | Tensor,
        *,
        generator: torch.Generator | None = None,
        z: Float[Tensor, "..."] | None = None,
    ) -> PathSample:
        """x1 + σ n and its derivative σ' n, with n made from the normal draw ``x0``."""
        return super().sample(self.heavy(x0, generator=generator), x1, t, generator=generator, z=z)
