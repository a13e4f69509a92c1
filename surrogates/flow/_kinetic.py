"""The path of least kinetic energy for given data, in closed form up to one quadrature."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath

__all__ = ["KineticOptimalPath", "empirical_mmse", "kinetic_energy"]

Mmse = Callable[[Tensor], Tensor]


class KineticOptimalPath(AffinePath):
    """The affine path from N(0, I) that minimises KE = (1/d) ∫ E|u_t|² dt for the data at hand.

    The data enter only through the minimal mean square error mmse(s) = E|x1 - E[x1 | s x1 + z]|²/d
    of reading x1 in noise. In polar form α = r sin θ, σ = r cos θ (x1 scaled to E|x1|² = d) and
    with κ(θ)² = 1 - mmse(tan θ)/cos² θ, KE = ∫ r'² + r² κ² θ'² dt is the length of a curve in the
    plane with polar angle φ(θ) = ∫ κ; so the optimum is a straight chord to the angle Φ = φ(π/2),
    and KE* = 1 + m - 2 √m cos Φ with m = E|x1|²/d (2 - 2 cos Φ for normalised data). Separated data
    have Φ = π/2 and the linear path; for Gaussian data Φ = 0, there is nothing to transport.

    Arguments: ``mmse``, a function of s > 0 for data scaled to m = 1 (or use `fit`); ``scale`` √m;
    ``points`` of the θ grid (2000: coarse grids bias KE*); ``kappa_floor`` 0.02: where κ vanishes
    (near t = 0) α' would be infinite and so would be the variance of the regression target.
    Attributes ``phi_max`` = Φ and ``kinetic_energy`` = KE*, both of the optimum without the floor;
    the path itself lies a few parts in a thousand above (0.3 % for two points).

    Source: Shaul et al., *On Kinetic Optimal Probability Paths for Generative Models*, 2023; the
    polar closed form is derived here and tested against Monte-Carlo.

    >>> path = KineticOptimalPath(lambda s: torch.zeros_like(s))    # perfectly separated data
    >>> round(path.kinetic_energy, 4), round(path.alpha(torch.tensor(0.3)).item(), 4)
    (2.0, 0.3)
    """

    def __init__(
        self,
        mmse: Mmse,
        *,
        scale: float | int = 1.0,
        points: int = 2000,
        kappa_floor: float | int = 0.02,
    ) -> None:
        if points < 100:
            raise DataError(f"points = {points}; a grid below 100 points biases the energy.")
        if not 0 <= kappa_floor < 1 or not scale > 0:
            raise DataError(
                f"kappa_floor = {kappa_floor}, scale = {scale}; expected a floor in [0, 1) and a "
                "positive scale."
            )
        theta, exact = _angular_metric(mmse, points)
        kappa = exact.clamp_min(kappa_floor)
        if not bool((kappa > 0).all()):
            raise DataError(
                "κ vanishes on part of the path (Gaussian data?), so the schedule is undetermined "
                "there; give a kappa_floor > 0."
            )
        width = theta.diff()
        phi = torch.cat((torch.zeros(1, dtype=theta.dtype), (kappa * width).cumsum(0)))
        self._theta, self._phi, self._kappa = theta, phi, kappa
        self.scale, self.phi_max = float(scale), float((exact * width).sum())
        self.kinetic_energy = 1 + self.scale**2 - 2 * self.scale * math.cos(self.phi_max)

    @classmethod
    def fit(
        cls,
        data: Float[Tensor, "n ..."],
        *,
        draws: int = 4096,
        points: int = 2000,
        kappa_floor: float | int = 0.02,
        generator: torch.Generator | None = None,
    ) -> "KineticOptimalPath":
        """The optimal path for the empirical law of ``data`` (n, *shape).

        mmse by Monte-Carlo with ``draws`` noises spread evenly over the points and shared by all
        s; O(points * draws * n * d). The data are scaled by one number, √(E|x1|²/d), inside.

        >>> path = KineticOptimalPath.fit(torch.tensor([[-1.0], [1.0]]), draws=256, points=200)
        >>> 0.4 < path.kinetic_energy < 0.5
        True
        """
        flat = data.detach().flatten(1).double().cpu()
        scale = float(flat.square().mean().sqrt())
        if not scale > 0 or len(flat) < 1:
            raise DataError(f"data of shape {tuple(data.shape)} with root mean square {scale}.")
        mmse = empirical_mmse(flat / scale, draws=draws, generator=generator)
        return cls(mmse, scale=scale, points=points, kappa_floor=kappa_floor)

    def alpha(self, t: Tensor) -> Tensor:
        r, theta, _, _ = self._polar(t)
        return r * torch.sin(theta) / self.scale

    def sigma(self, t: Tensor) -> Tensor:
        r, theta, _, _ = self._polar(t)
        # At t = 1 rounding of cos(π/2) must not leave a trace of noise.
        return torch.where(t >= 1, 0.0, r * torch.cos(theta))

    def d_alpha(self, t: Tensor) -> Tensor:
        r, theta, d_r, d_theta = self._polar(t)
        return (d_r * torch.sin(theta) + r * torch.cos(theta) * d_theta) / self.scale

    def d_sigma(self, t: Tensor) -> Tensor:
        r, theta, d_r, d_theta = self._polar(t)
        return d_r * torch.cos(theta) - r * torch.sin(theta) * d_theta

    def _polar(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r, θ and their time derivatives; the chord runs from (1, 0) to scale (cos Φ, sin Φ)."""
        time = t.double()
        end_x = self.scale * torch.cos(self._phi[-1]).to(t.device)
        end_y = self.scale * torch.sin(self._phi[-1]).to(t.device)
        x, y = 1 - time + time * end_x, time * end_y
        r, phi = torch.hypot(x, y), torch.atan2(y, x)
        d_r = (x * (end_x - 1) + y * end_y) / r
        d_phi = (x * end_y - y * (end_x - 1)) / r**2
        knots, theta, kappa = (v.to(t.device) for v in (self._phi, self._theta, self._kappa))
        k = torch.searchsorted(knots, phi.contiguous(), right=True).clamp(1, len(kappa)) - 1
        angle = theta[k] + (phi - knots[k]) / kappa[k]
        out = (r, angle.clamp(max=torch.pi / 2), d_r, d_phi / kappa[k])
        return tuple(v.to(t.dtype) for v in out)  # type: ignore[return-value]


def _angular_metric(mmse: Mmse, points: int) -> tuple[Tensor, Tensor]:
    """Grid θ (points + 1,) on [0, π/2] and κ on its intervals (points,)."""
    # Chebyshev spacing: dense at both ends, where κ changes fastest.
    u = torch.linspace(0, torch.pi, points + 1, dtype=torch.float64)
    theta = torch.pi / 4 * (1 - torch.cos(u))
    middle = (theta[1:] + theta[:-1]) / 2
    error = mmse(torch.tan(middle))
    return theta, (1 - error / torch.cos(middle) ** 2).clamp(0, 1).sqrt()


def empirical_mmse(
    data: Float[Tensor, "n d"], *, draws: int = 4096, generator: torch.Generator | None = None
) -> Mmse:
    """mmse(s) = E|x1 - E[x1 | s x1 + z]|²/d for the empirical law of ``data``, as a function of s.

    The squared residual is averaged directly: 1 - λ(s) from an estimate of λ loses all digits for
    large s. Noises are antithetic and the same for all s, so the function is smooth in s.

    >>> mmse = empirical_mmse(torch.tensor([[-1.0], [1.0]]).double())
    >>> round(mmse(torch.tensor([1e-6])).item(), 3)
    1.0
    """
    n, d = data.shape
    half = max(1, -(-draws // (2 * n)))
    if n > draws // 2:
        pick = torch.randperm(n, generator=generator)[: max(1, draws // 2)]
    else:
        pick = torch.arange(n).repeat(half)
    if d == 1 and n <= draws // 2:
        # In one dimension the normal quantiles themselves are the best possible stratification.
        level = (torch.arange(half, dtype=data.dtype) + 0.5) / (2 * half)
        z = torch.special.ndtri(level).repeat_interleave(n)[:, None]
    else:
        z = torch.randn((len(pick), d), generator=generator, dtype=data.dtype)
    noise, truth = torch.cat((z, -z)), torch.cat((data[pick], data[pick]))
    square = data.square().sum(1)

    def mmse(s: Tensor) -> Tensor:
        out = []
        for value in s.double().tolist():
            y = value * truth + noise
            logits = value * (y @ data.T) - value**2 / 2 * square
            out.append(float((truth - logits.softmax(1) @ data).square().sum(1).mean() / d))
        return torch.tensor(out, dtype=s.dtype)

    return mmse


def kinetic_energy(
    path: AffinePath, mmse: Mmse, *, scale: float | int = 1.0, points: int = 2000
) -> float:
    """KE = ∫ m α'² + σ'² - m mmse(√m α/σ) (α' - α σ'/σ)² dt of any affine path, with m = scale².

    ``mmse`` is for data scaled to E|x1|² = d. The integral is over `path.time_range` by the
    midpoint rule.

    >>> from pushforward.surrogates.flow import LinearPath
    >>> round(kinetic_energy(LinearPath(), lambda s: 0 * s), 6)    # separated data: 1 + 1
    2.0
    """
    lo, hi = path.time_range
    t = lo + (hi - lo) * (torch.arange(points, dtype=torch.float64) + 0.5) / points
    a, s, da, ds = path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)
    m = float(scale) ** 2
    rate = m * da**2 + ds**2 - m * mmse(scale * a / s) * (da - a * ds / s) ** 2
    return float(rate.mean() * (hi - lo))
