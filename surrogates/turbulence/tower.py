"""The plain convolutional tower of learned interpolation, on a periodic plane."""

import math
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.simulators.errors import DataError

__all__ = ["PeriodicTower", "Precision"]

Precision = Literal["float32", "bfloat16"]


class PeriodicTower(nn.Module):
    """Periodic 3x3 convolutions with ReLU, then a linear convolution; no norms, no skips.

    Parameters
    ----------
    channels_in, hidden, channels_out : numbers of channels.
    layers : hidden convolutions; 6 in the papers' code.
    head : side of the last kernel, 1 or 3; 3 in the papers' code. With 1 a network with many
        outputs costs a fraction.
    head_gain : factor on the last layer's initial weights; 0 starts from a zero output.
    precision : of the hidden layers; "bfloat16" halves their memory and is several times quicker
        where the processor multiplies matrices of it (AMX, tensor cores). Weights are kept, and the
        last layer is done, in the input's precision.
    generator : of the initial weights, He-normal.

    Examples
    --------
    >>> import torch
    >>> tower = PeriodicTower(2, 8, 5, layers=2, generator=torch.Generator().manual_seed(0))
    >>> x = torch.randn(1, 2, 6, 6)
    >>> bool(torch.allclose(tower(x.roll(2, -1)), tower(x).roll(2, -1), atol=1e-6))
    True
    """

    def __init__(
        self,
        channels_in: int,
        hidden: int,
        channels_out: int,
        *,
        layers: int = 6,
        head: int = 3,
        head_gain: float = 1.0,
        precision: Precision = "float32",
        generator: torch.Generator,
    ):
        super().__init__()
        if precision not in get_args(Precision):
            raise DataError(f"precision = {precision!r} must be float32 or bfloat16.")
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        if min(channels_in, hidden, channels_out, layers) < 1:
            raise DataError(
                f"channels {channels_in}, {hidden}, {channels_out} and layers {layers} must be "
                "at least 1."
            )
        if head not in (1, 3):
            raise DataError(f"head = {head} must be 1 or 3.")
        widths = [channels_in, *[hidden] * layers, channels_out]
        kernels = [3] * layers + [head]
        stack = [nn.Conv2d(a, b, k) for a, b, k in zip(widths, widths[1:], kernels, strict=False)]
        self.convolutions = nn.ModuleList(stack)
        last = len(kernels) - 1
        for i, convolution in enumerate(stack):
            fan_in = convolution.in_channels * kernels[i] ** 2
            gain = head_gain if i == last else math.sqrt(2.0)
            with torch.no_grad():
                convolution.weight.normal_(0.0, gain / math.sqrt(fan_in), generator=generator)
                if convolution.bias is not None:
                    convolution.bias.zero_()

    def trunk(self, x: Float[Tensor, "n c x y"]) -> Float[Tensor, "n h x y"]:
        """The hidden layers."""
        out = x.dtype
        low = self.dtype if out == torch.float32 else out
        x = x.to(low, memory_format=torch.channels_last)
        for convolution in self.hidden:
            weight, bias = convolution.weight.to(low), cast(Tensor, convolution.bias).to(low)
            x = F.relu_(F.conv2d(wrap(x), weight, bias))
        return x.to(out)

    def head(
        self, x: Float[Tensor, "n h x y"], weight: Float[Tensor, "out h k k"], bias: Tensor
    ) -> Float[Tensor, "n out x y"]:
        """A last convolution with weights that the caller may have mixed from this tower's own."""
        if weight.shape[-1] == 3:
            return F.conv2d(wrap(x), weight, bias).contiguous()
        matrix = weight.flatten(1).expand(len(x), -1, -1)
        return torch.baddbmm(bias[:, None], matrix, x.flatten(2)).unflatten(2, x.shape[2:])

    def forward(self, x: Float[Tensor, "n c x y"]) -> Float[Tensor, "n out x y"]:
        """Trunk and head."""
        return self.head(self.trunk(x), *self.last)

    @property
    def hidden(self) -> list[nn.Conv2d]:
        """All convolutions but the last."""
        return [cast(nn.Conv2d, c) for c in self.convolutions[:-1]]

    @property
    def last(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the last convolution."""
        convolution = cast(nn.Conv2d, self.convolutions[-1])
        return convolution.weight, cast(Tensor, convolution.bias)


def wrap(x: Float[Tensor, "n c x y"]) -> Float[Tensor, "n c X Y"]:
    """One periodic cell on every side."""
    return _Wrap.apply(x)


class _Wrap(torch.autograd.Function):
    """Circular padding by one with its gradient in one piece; autograd's own, slice by slice, took
    longer than the convolutions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n, c, n_x, n_y = x.shape
        layout = torch.channels_last if c > 1 else torch.contiguous_format
        out = torch.empty(
            (n, c, n_x + 2, n_y + 2), dtype=x.dtype, device=x.device, memory_format=layout
        )
        inner = out[:, :, 1:-1]
        inner[..., 1:-1] = x
        inner[..., 0], inner[..., -1] = x[..., -1], x[..., 0]
        out[:, :, 0], out[:, :, -1] = out[:, :, -2], out[:, :, 1]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        rows = grad[..., 1:-1].clone(memory_format=torch.preserve_format)
        rows[..., 0] += grad[..., -1]
        rows[..., -1] += grad[..., 0]
        rows[:, :, 1] += rows[:, :, -1]
        rows[:, :, -2] += rows[:, :, 0]
        return rows[:, :, 1:-1]
