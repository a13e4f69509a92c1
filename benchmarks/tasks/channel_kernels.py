"""The kernels of a trained factorized transformer, measured for the page."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

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
    gradients = block_gradients(network, inputs)
    sample: dict[str, Any] = {
        "gain": _short(trace.gains.mean(1)),
        "size": _short(trace.norms.mean(1)),
        "gradients": {
            "kernels": float(f"{gradients.kernels:.4g}"),
            "values": float(f"{gradients.values:.4g}"),
            "rest": float(f"{gradients.rest:.4g}"),
        },
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
        sample["radius"][axis] = _short(spectral_radius(kernels).mean((1, 2)))
        if axis != "y":
            sample["toeplitz"][axis] = _short(toeplitz_distance(kernels).mean((1, 2)))
    return sample


def _short(values: Tensor) -> list[float]:
    return [float(f"{v:.4g}") for v in torch.as_tensor(values).tolist()]
