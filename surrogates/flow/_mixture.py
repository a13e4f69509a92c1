"""Gaussian mixtures and the exact flow between two of them: the oracle of every test."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._path import Path, broadcast_time
from ._schedules import LinearPath

__all__ = ["GaussianMixture", "GaussianMixtureField"]


class GaussianMixture:
    """p(x) = Σ_k w_k N(x; m_k, C_k) in d dimensions.

    Arguments: ``means`` (k, d); ``covariances`` (k, d, d), positive semi-definite, or a number or
    (k,) of variances of isotropic components (0: atoms, which have no density); ``weights`` (k,),
    positive with sum 1, uniform by default. Raises `DataError` if they do not fit together.

    >>> ring = GaussianMixture.ring(8, radius=5.0, std=0.5)
    >>> ring.means.shape, round(ring.log_prob(ring.means[:1]).item(), 3)
    (torch.Size([8, 2]), -2.531)
    """

    def __init__(
        self,
        means: Float[Tensor, "k d"],
        covariances: Tensor | float | int = 1.0,
        weights: Tensor | None = None,
    ) -> None:
        k, d = means.shape
        cov = torch.as_tensor(covariances, dtype=means.dtype, device=means.device)
        if cov.ndim <= 1 and cov.numel() in (1, k):
            eye = torch.eye(d, dtype=means.dtype, device=means.device)
            cov = cov.expand(k)[:, None, None] * eye
        if cov.shape != (k, d, d):
            raise DataError(
                f"covariances have shape {tuple(cov.shape)}; {k} means in {d} dimensions need "
                f"({k}, {d}, {d}), ({k},) or a number."
            )
        if weights is None:
            weights = torch.full((k,), 1 / k, dtype=means.dtype, device=means.device)
        if (
            weights.shape != (k,)
            or not bool((weights > 0).all())
            or abs(float(weights.sum()) - 1) > 1e-5
        ):
            raise DataError(
                f"weights of shape {tuple(weights.shape)} with sum {float(weights.sum()):.6g}; "
                f"expected {k} positive numbers that sum to 1."
            )
        self.means, self.covariances, self.weights = means, cov, weights

    @classmethod
    def standard(cls, d: int, *, dtype: torch.dtype = torch.float64) -> "GaussianMixture":
        """N(0, I) in d dimensions, the usual source."""
        return cls(torch.zeros(1, d, dtype=dtype))

    @classmethod
    def ring(
        cls, k: int, *, radius: float | int, std: float | int, dtype: torch.dtype = torch.float64
    ) -> "GaussianMixture":
        """k equal Gaussians on a circle in the plane."""
        angle = 2 * torch.pi * torch.arange(k, dtype=dtype) / k
        return cls(radius * torch.stack((angle.cos(), angle.sin()), 1), std**2)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Float[Tensor, "n d"]:
        """n independent draws."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        values, vectors = torch.linalg.eigh(self.covariances)
        root = vectors * values.clamp_min(0).sqrt()[:, None, :]
        z = torch.randn(
            (n, self.means.shape[1], 1),
            generator=generator,
            dtype=self.means.dtype,
            device=self.means.device,
        )
        return self.means[k] + (root[k] @ z).squeeze(-1)

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log p(x)."""
        return _components(x, self.weights, self.means, self.covariances)[0].logsumexp(-1)

    def score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """∇ log p(x)."""
        log_share, pull = _components(x, self.weights, self.means, self.covariances)
        return -(log_share.softmax(-1)[..., None] * pull).sum(1)


def _components(x: Tensor, w: Tensor, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
    """log w_k N(x; m_k, C_k), (n, k), and C_k⁻¹ (x - m_k), (n, k, d).

    Means and covariances, ([n or 1,] k, ...), may differ for each x.
    """
    r = x[:, None, :] - mean
    pull = (torch.linalg.inv(cov) @ r[..., None]).squeeze(-1)
    normal = x.shape[1] * math.log(2 * math.pi)
    return w.log() - 0.5 * ((r * pull).sum(-1) + torch.logdet(cov) + normal), pull


class GaussianMixtureField:
    """Exact velocity, score and density of a path between two Gaussian mixtures.

    With independent x0 ~ Σ p_i N(m_i, C_i), x1 ~ Σ q_j N(n_j, D_j) and x_t = σ x0 + α x1 + γ z
    the law at time t is the mixture of N(σ m_i + α n_j, S_ij), S_ij = σ² C_i + α² D_j + γ² I, and

        u(x) = Σ_ij w_ij(x) [σ' m_i + α' n_j + (σσ' C_i + αα' D_j + γγ' I) S_ij⁻¹ (x - mean_ij)].

    Needs no training, so it tests solvers, likelihoods, conversions and samplers exactly. With
    atoms as target (covariances 0) it is the flow that memorises a data set.

    Arguments: ``source``, ``target`` of equal dimension and dtype; ``path``, `LinearPath` by
    default. Calling the field gives the velocity: ``field(x, t)`` with x (n, d) and t a number or
    (n,). Memory: n k_source k_target d² numbers. Raises `DataError` if the dimensions differ.

    >>> target = GaussianMixture(torch.tensor([[-2.0], [2.0]]).double(), 0.25)
    >>> field = GaussianMixtureField(GaussianMixture.standard(1), target)
    >>> field(torch.zeros(1, 1, dtype=torch.float64), 0.5).item() == 0
    True
    """

    def __init__(
        self, source: GaussianMixture, target: GaussianMixture, *, path: Path | None = None
    ) -> None:
        if source.means.shape[1] != target.means.shape[1]:
            raise DataError(
                f"source lives in {source.means.shape[1]} dimensions, target in "
                f"{target.means.shape[1]}; they must agree."
            )
        self.source, self.target = source, target
        self.path: Path = LinearPath() if path is None else path

    def __call__(self, x: Float[Tensor, "n d"], t: float | int | Tensor) -> Float[Tensor, "n d"]:
        """The velocity u_t(x)."""
        return self.velocity(x, t)

    def velocity(self, x: Float[Tensor, "n d"], t: float | int | Tensor) -> Float[Tensor, "n d"]:
        """u_t(x) = E[dx_t | x_t = x]; with noise γ this is the field b of an interpolant."""
        return self._mean_rate(x, t, with_noise=True)

    def drift(self, x: Float[Tensor, "n d"], t: float | int | Tensor) -> Float[Tensor, "n d"]:
        """v_t(x) = E[σ' x0 + α' x1 | x_t = x], the velocity without the noise's share."""
        return self._mean_rate(x, t, with_noise=False)

    def score(self, x: Float[Tensor, "n d"], t: float | int | Tensor) -> Float[Tensor, "n d"]:
        """∇ log p_t(x)."""
        share, pull = self._posterior(x, t)
        return -(share[..., None] * pull).sum(1)

    def denoiser(self, x: Float[Tensor, "n d"], t: float | int | Tensor) -> Float[Tensor, "n d"]:
        """η_t(x) = E[z | x_t = x] = -γ s, the mean of the extra noise."""
        return -self.path.gamma(broadcast_time(t, x)) * self.score(x, t)

    def log_prob(
        self, x: Float[Tensor, "n d"], t: float | int | Tensor = 1.0
    ) -> Float[Tensor, " n"]:
        """log p_t(x), by default of the target."""
        return _components(x, *self._moments(x, t))[0].logsumexp(-1)

    def _moments(self, x: Tensor, t: float | int | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (ij,), means (n or 1, ij, d) and covariances (n or 1, ij, d, d) of all pairs."""
        tb = _times(t, x)
        s, a, g = self.path.sigma(tb), self.path.alpha(tb), self.path.gamma(tb)
        m, c, n, d = self._pairs(x)
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        cov = (s**2)[..., None] * c + (a**2)[..., None] * d + (g**2)[..., None] * eye
        w = (self.source.weights[:, None] * self.target.weights).flatten().to(x)
        return w, s * m + a * n, cov

    def _pairs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """m_i, C_i, n_j, D_j repeated for all pairs ij, in the dtype of x."""
        p, q = self.source, self.target
        i, j = p.means.shape[0], q.means.shape[0]
        m, c = (v.to(x).repeat_interleave(j, 0) for v in (p.means, p.covariances))
        n, d = (v.to(x) for v in (q.means, q.covariances))
        return m, c, n.repeat(i, 1), d.repeat(i, 1, 1)

    def _posterior(self, x: Tensor, t: float | int | Tensor) -> tuple[Tensor, Tensor]:
        """w_ij(x), (n, ij), and S_ij⁻¹ (x - mean_ij), (n, ij, d)."""
        log_share, pull = _components(x, *self._moments(x, t))
        return log_share.softmax(-1), pull

    def _mean_rate(self, x: Tensor, t: float | int | Tensor, *, with_noise: bool) -> Tensor:
        share, pull = self._posterior(x, t)
        tb = _times(t, x)
        p = self.path
        s, a, ds, da = p.sigma(tb), p.alpha(tb), p.d_sigma(tb), p.d_alpha(tb)
        m, c, n, d = self._pairs(x)
        rate = (s * ds)[..., None] * c + (a * da)[..., None] * d
        if with_noise:
            eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
            rate = rate + p.gamma_d_gamma(tb)[..., None] * eye
        rows = ds * m + da * n + (rate @ pull[..., None]).squeeze(-1)
        return (share[..., None] * rows).sum(1)


def _times(t: float | int | Tensor, x: Tensor) -> Tensor:
    """Times (n, 1, 1), for means (n, ij, d); (1, 1, 1) if they are one number spread over n."""
    tb = broadcast_time(t, x)[..., None]
    # A solver passes an expanded scalar: then the covariances need inverting only once.
    return tb[:1] if tb.stride(0) == 0 else tb
