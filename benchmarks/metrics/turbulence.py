"""How long a forecast of turbulence stays right, and whether its statistics are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = [
    "Duration",
    "bootstrap_interval",
    "diverged_at",
    "duration",
    "energy_spectrum",
    "spectrum_error",
    "vorticity_correlation",
]


def vorticity_correlation(
    predicted: Float[Tensor, "*batch x y"], truth: Float[Tensor, "*batch x y"]
) -> Float[Tensor, "*batch"]:
    r"""Correlation over space of two vorticity fields, one number a field.

        sum ω_p ω_t / √(sum ω_p² · sum ω_t²)

    Means are not subtracted: vorticity has none. Average the result over flows, never the sums.
    A field that is not finite correlates with nothing: 0.

    Raises
    ------
    DataError : different shapes.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([[1.0, -1.0], [2.0, -2.0]])
    >>> found = vorticity_correlation(torch.stack([3 * w, -w]), w.expand(2, 2, 2))
    >>> [round(c, 9) for c in found.tolist()]
    [1.0, -1.0]
    """
    if predicted.shape != truth.shape:
        raise DataError(
            f"predicted vorticity has shape {tuple(predicted.shape)}, the truth "
            f"{tuple(truth.shape)}; put both on one grid and the same times."
        )
    p, t = predicted.double(), truth.double()
    scale = p.square().sum((-2, -1)).sqrt() * t.square().sum((-2, -1)).sqrt()
    value = (p * t).sum((-2, -1)) / torch.where(scale > 0, scale, 1.0)
    return torch.where(torch.isfinite(value), value, 0.0)


def diverged_at(
    velocity: Float[Tensor, "flows time 2 x y"], *, largest: float
) -> Int[Tensor, " flows"]:
    """First frame at which a flow is not finite, or faster than `largest`; `time` if none is.

    Parameters
    ----------
    largest : a speed that no flow of the kind reaches.

    Examples
    --------
    >>> import torch
    >>> v = torch.zeros(2, 5, 2, 4, 4)
    >>> v[1, 3] = float("nan")
    >>> diverged_at(v, largest=10.0).tolist()
    [5, 3]
    """
    fastest = velocity.abs().amax((2, 3, 4))
    bad = ~(fastest <= largest)
    first = torch.where(bad.any(1), bad.int().argmax(1), velocity.shape[1])
    return first.long()


@dataclass(frozen=True)
class Duration:
    """How long a correlation stays above a threshold.

    Parameters
    ----------
    crossing : time units up to the first frame that is not above it.
    count : frames above it, anywhere, times their spacing: equal to `crossing` unless the curve
        comes back.
    reached_end : the curve never fell to it, so that both are lower bounds.
    """

    crossing: float
    count: float
    reached_end: bool


def duration(curve: Float[np.ndarray, " time"], *, spacing: float, threshold: float) -> Duration:
    """Duration above a threshold of a correlation curve whose frames are at spacing, 2 spacing, …

    Parameters
    ----------
    curve : correlation, usually its mean over flows.
    spacing : time units between frames.
    threshold : 0.8 in the temporal-stencil paper's tables, 0.95 in learned interpolation's code.

    Examples
    --------
    >>> import numpy as np
    >>> duration(np.array([1.0, 0.9, 0.7, 0.85]), spacing=0.5, threshold=0.8)
    Duration(crossing=1.0, count=1.5, reached_end=False)
    """
    above = curve > threshold
    leading = len(curve) if above.all() else int(np.argmin(above))
    return Duration(leading * spacing, float(above.sum()) * spacing, bool(above.all()))


def energy_spectrum(
    velocity: Float[Tensor, "*batch 2 x y"],
) -> Float[Tensor, "*batch shells"]:
    r"""Kinetic energy by shells of the wave number; the shells add up to all of it.

        E_k = sum over k − 1/2 ≤ |m| < k + 1/2 of |û_m|²/2,   û the Fourier series' coefficients

    so that by Parseval sum_k E_k = mean |v|²/2, in the square of the velocity's unit. m counts
    waves on the domain, which must be square; corners of Fourier space are included.

    Raises
    ------
    DataError : a grid that is not square.

    Examples
    --------
    >>> import math, torch
    >>> x = 2 * math.pi * torch.arange(8) / 8
    >>> wave = torch.stack([torch.zeros(8, 8), torch.cos(2 * x)[:, None].expand(8, 8)])
    >>> [round(e, 6) for e in energy_spectrum(wave).tolist()]
    [0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0]
    """
    n = velocity.shape[-1]
    if velocity.shape[-2] != n:
        raise DataError(f"a grid of {velocity.shape[-2]} x {n} is not square.")
    power = (torch.fft.fft2(velocity.double()).abs() / n**2).square().sum(-3) / 2
    m = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=velocity.device)
    shell = (m[:, None] ** 2 + m[None, :] ** 2).sqrt().round().long()
    spectrum = power.new_zeros(*power.shape[:-2], int(shell.max()) + 1)
    return spectrum.index_add_(-1, shell.flatten(), power.flatten(-2))


def spectrum_error(
    predicted: Float[Tensor, " shells"], truth: Float[Tensor, " shells"], *, largest: int
) -> float:
    """Mean |ln E_k − ln E_k,truth| over shells 1 … largest.

    Examples
    --------
    >>> import math, torch
    >>> e = torch.tensor([0.0, 1.0, 0.5, 0.1])
    >>> round(spectrum_error(math.e * e, e, largest=3), 6)
    1.0
    """
    shells = slice(1, largest + 1)
    floor = torch.finfo(torch.float64).tiny
    logs = [s[shells].double().clamp_min(floor).log() for s in (predicted, truth)]
    return (logs[0] - logs[1]).abs().mean().item()


def bootstrap_interval(
    statistic: Callable[[Int[np.ndarray, " flows"]], float],
    flows: int,
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.9,
) -> tuple[float, float, float]:
    """Standard error and interval of a statistic when the flows are drawn again with replacement.

    Parameters
    ----------
    statistic : indices of flows -> number; compute differences of models inside it, so that both
        see the same flows.
    flows : how many there are.
    seed, draws : of the resampling.
    level : share of the draws inside the interval; 0.9 cuts 5 % at each end.

    Returns
    -------
    (standard error, lower end, upper end).

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(100.0)
    >>> error, low, high = bootstrap_interval(lambda i: values[i].mean(), 100)
    >>> bool(abs(error - values.std() / 10) < 0.2 and low < 49.5 < high)
    True
    """
    generator = np.random.default_rng(seed)
    found = np.array([statistic(generator.integers(flows, size=flows)) for _ in range(draws)])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(found.std(ddof=1)), float(low), float(high)
