"""Flows in a latent space: PCA here, or any module with encode and decode."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError

from ._ode import ODESampler
from ._solution import Solution

__all__ = ["Latent", "LatentSampler", "PCALatent"]


@runtime_checkable
class Latent(Protocol):
    """An autoencoder: data (batch, *shape) to latents and back."""

    def encode(self, x: Tensor) -> Tensor:
        """Latents of data."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Data of latents."""
        ...


class PCALatent(nn.Module):
    """The first k principal components, divided by one number so that their variance is 1.

    z = Wᵀ(x - mean)/scale. One scale for all components keeps the geometry (decoding is an isometry
    times ``scale``), while unit variance suits the schedules. Mean, components and scale are
    buffers, so they are saved with the model. Fit on the training split only.

    >>> x = torch.randn(100, 2, 3, generator=torch.Generator().manual_seed(0))
    >>> latent = PCALatent.fit(x, 6)
    >>> bool(torch.allclose(latent.decode(latent.encode(x)), x, atol=1e-5))
    True
    """

    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, components: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)
        self.register_buffer("scale", scale)

    @classmethod
    def fit(cls, data: Float[Tensor, "n ..."], k: int) -> "PCALatent":
        """Components of ``data`` (n, *shape); `DataError` unless 1 ≤ k ≤ min(n - 1, d)."""
        flat = data.detach().flatten(1)
        n, d = flat.shape
        if not 1 <= k <= min(n - 1, d):
            raise DataError(
                f"k = {k} components of {n} samples in {d} dimensions; expected 1 to "
                f"{min(n - 1, d)}."
            )
        mean = flat.mean(0)
        _, values, rows = torch.linalg.svd((flat - mean).double(), full_matrices=False)
        scale = (values[:k].square().sum() / ((n - 1) * k)).sqrt()
        if float(scale) == 0:
            raise DataError("all samples are equal; there is nothing to learn.")
        return cls(mean.reshape(data.shape[1:]), rows[:k].to(data), scale.to(data))

    def encode(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Latents (n, k) of data (n, *shape)."""
        return (x - self.mean).flatten(1) @ self.components.T / self.scale

    def decode(self, z: Float[Tensor, "n k"]) -> Float[Tensor, "n ..."]:
        """Data (n, *shape) of latents (n, k)."""
        return (z @ self.components * self.scale).reshape(-1, *self.mean.shape) + self.mean


class LatentSampler:
    """Sample a flow that lives in latents and decode the end: x = decode(ODE(z0)).

    ``solution.x`` is data; ``trajectory``, if kept, stays in latents. The encoder and decoder
    belong in the saved artefact with the field.

    >>> latent = PCALatent.fit(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), 2)
    >>> sampler = LatentSampler(ODESampler(lambda z, t: -z, steps=2), latent)
    >>> sampler.sample(torch.zeros(3, 2)).x.shape
    torch.Size([3, 4])
    """

    def __init__(self, sampler: ODESampler, latent: Latent) -> None:
        self.sampler, self.latent = sampler, latent

    def sample(self, z0: Float[Tensor, "..."], **options: Any) -> Solution:
        """Carry latents z0 (batch, *latent shape) and decode; options as in `ODESampler.sample`."""
        out = self.sampler.sample(z0, **options)
        with torch.no_grad():
            x = self.latent.decode(out.x)
        return Solution(x, out.ts, out.trajectory, out.nfe, out.status, out.message)
