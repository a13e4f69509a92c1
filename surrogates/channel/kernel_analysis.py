"""What the axis kernels of a factorized transformer look like, and what they do."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.channel.ifactformer import IFactFormer

__all__ = [
    "KernelTrace",
    "block_gradients",
    "spectral_radius",
    "toeplitz_distance",
    "trace_kernels",
]

AXES = ("x", "y", "z")


class KernelTrace(NamedTuple):
    """Kernels of every iteration, and how the field grows.

    Parameters
    ----------
    kernels : axis -> (iterations, n, heads, points, points), quadrature weights included.
    norms : (iterations + 1, n), rms of u₀ … u_L.
    gains : (iterations, n), rms of A(u_l) over rms of u_l.
    """

    kernels: dict[str, Float[Tensor, "l n h p q"]]
    norms: Float[Tensor, "levels n"]
    gains: Float[Tensor, "l n"]


@torch.no_grad()
def trace_kernels(network: IFactFormer, inputs: Float[Tensor, "n 3 x y z"]) -> KernelTrace:
    """Run a network on normalised fields and note its kernels on the way."""
    network.check(inputs)
    u = network.embed(inputs)
    kernels: dict[str, list[Tensor]] = {axis: [] for axis in AXES}
    norms, gains = [_rms(u)], []
    for _ in range(network.iterations):
        for axis, kernel in zip(AXES, network.block.kernels(network.block.norm(u)), strict=True):
            kernels[axis].append(kernel)
        change = network.block(u)
        gains.append(_rms(change) / norms[-1])
        u = u + change / network.iterations
        norms.append(_rms(u))
    stacked = {axis: torch.stack(found) for axis, found in kernels.items()}
    return KernelTrace(stacked, torch.stack(norms), torch.stack(gains))


def spectral_radius(kernel: Float[Tensor, "*batch p p"]) -> Float[Tensor, "*batch"]:
    """Largest modulus of an eigenvalue.

    Examples
    --------
    >>> round(spectral_radius(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])).item(), 6)
    2.0
    """
    return torch.linalg.eigvals(kernel.double()).abs().amax(-1)


def toeplitz_distance(kernel: Float[Tensor, "*batch p p"]) -> Float[Tensor, "*batch"]:
    r"""‖K − C‖/‖K‖ with C the nearest kernel that depends on the distance around the box alone.

    C averages K over the wrapped diagonals: 0 for a kernel that commutes with shifts.

    Examples
    --------
    >>> wave = torch.cos(2 * torch.pi * torch.arange(6) / 6)
    >>> shift = torch.stack([wave.roll(i) for i in range(6)])
    >>> round(toeplitz_distance(shift).item(), 6)
    0.0
    """
    n = kernel.shape[-1]
    index = (torch.arange(n)[None, :] + torch.arange(n)[:, None]) % n
    rolled = kernel.gather(-1, index.to(kernel.device).expand_as(kernel))  # row i from its diagonal
    difference = rolled - rolled.mean(-2, keepdim=True)
    size = kernel.flatten(-2).norm(dim=-1)
    return difference.flatten(-2).norm(dim=-1) / torch.where(size > 0, size, 1.0)


@dataclass(frozen=True)
class GradientNorms:
    """Norm of the gradient of the mean square output, by part of the block."""

    kernels: float
    values: float
    rest: float


def block_gradients(network: IFactFormer, inputs: Float[Tensor, "n 3 x y z"]) -> GradientNorms:
    """Gradient of the mean square output in queries and keys, in values, and in the rest."""
    network.zero_grad(set_to_none=True)
    network(inputs).square().mean().backward()
    squares = {"kernels": 0.0, "values": 0.0, "rest": 0.0}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            part = "kernels" if ".axes." in name else "values" if ".value." in name else "rest"
            squares[part] += float(parameter.grad.square().sum())
    network.zero_grad(set_to_none=True)
    return GradientNorms(**{part: value**0.5 for part, value in squares.items()})


def _rms(u: Float[Tensor, "n x z y dim"]) -> Float[Tensor, " n"]:
    return u.square().mean((1, 2, 3, 4)).sqrt()
