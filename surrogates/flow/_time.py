"""The laws from which training times are drawn."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = ["TimeLaw", "draw_times"]

#: A name, or a function (n, generator, device, dtype) -> (n,) times in [0, 1].
TimeLaw = str | Callable[..., Tensor]


def draw_times(
    n: int,
    law: TimeLaw = "uniform",
    *,
    time_range: tuple[float | int, float | int] = (0.0, 1.0),
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """n times, drawn on ``device``, from a law on [0, 1] scaled into ``time_range``.

    "uniform"; "logit_normal": sigmoid of N(0, 1), more in the middle; "u_shaped": density
    ∝ cosh(4 (t - 1/2)), more at both ends, as reflow likes it; or a function
    (n, generator, device, dtype) -> times.
    Raises `DataError` for an unknown name or times outside [0, 1].

    >>> t = draw_times(1000, "u_shaped", generator=torch.Generator().manual_seed(0))
    >>> bool((t >= 0).all() and (t <= 1).all())
    True
    """
    options: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}
    if callable(law):
        t = law(n, generator, device, dtype)
        if t.shape != (n,) or not bool(((t >= 0) & (t <= 1)).all()):
            raise DataError(
                f"the time law returned shape {tuple(t.shape)} with values from {t.min():.3g} to "
                f"{t.max():.3g}; expected ({n},) in [0, 1]."
            )
    elif law == "uniform":
        t = torch.rand(n, **options)
    elif law == "logit_normal":
        t = torch.randn(n, **options).sigmoid()
    elif law == "u_shaped":
        # The inverse of F(t) = 1/2 + sinh(4 (t - 1/2)) / (2 sinh 2).
        top = torch.sinh(torch.tensor(2.0, device=device, dtype=dtype))
        t = 0.5 + torch.asinh((2 * torch.rand(n, **options) - 1) * top) / 4
        t = t.clamp(0, 1)
    else:
        raise DataError(
            f"unknown time law {law!r}; 'uniform', 'logit_normal', 'u_shaped' or a function."
        )
    lo, hi = time_range
    return t if (lo, hi) == (0.0, 1.0) else lo + (hi - lo) * t
