"""The kernels of a trained factorized transformer, measured for the page."""

from dataclasses import asdict
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.tasks.sample import significant
from pushforward.surrogates.channel import (
    ChannelEmulator,
    IFactFormer,
    block_gradients,
    spectral_radius,
    toeplitz_distance,
    trace_kernels,
)

__all__ = ["kernel_sample"]


def kernel_sample(
    model: ChannelEmulator, velocity: Float[Tensor, "n 3 x y z"]
) -> dict[str, Any] | None:
    """Kernels of the last iteration (mean over fields, every head), and by iteration: spectral
    radius, distance to a shift-invariant kernel along x and z, gain of the block, size of the
    field; and gradient norms of kernels and values. None for other networks."""
    network = model.network
    if not isinstance(network, IFactFormer):
        return None
    velocity = velocity.to(model.mean)
    inputs = (model.carried(velocity) - model.mean) / model.scale
    trace = trace_kernels(network, inputs)
    norms = asdict(block_gradients(network, inputs))
    sample: dict[str, Any] = {
        "gain": significant(trace.gains.mean(1).tolist()),
        "size": significant(trace.norms.mean(1).tolist()),
        "gradients": dict(zip(norms, significant(norms.values()), strict=True)),
        "kernels": {},
        "radius": {},
        "toeplitz": {},
    }
    for axis, kernels in trace.kernels.items():
        last = kernels[-1].mean(0)
        scale = last.abs().amax((-1, -2), keepdim=True).clamp_min(1e-30)
        sample["kernels"][axis] = [
            [[round(v, 2) for v in row] for row in head] for head in (last / scale).tolist()
        ]
        radius = spectral_radius(kernels).mean((1, 2))
        sample["radius"][axis] = significant(radius.tolist())
        if axis != "y":
            distance = toeplitz_distance(kernels).mean((1, 2))
            sample["toeplitz"][axis] = significant(distance.tolist())
    return sample
