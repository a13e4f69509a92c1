"""How good a forecast of channel flow is, and how right its statistics are."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__ = [
    "PROFILES",
    "ChannelSpectra",
    "bounded_steps",
    "channel_profiles",
    "channel_spectra",
    "crossing_time",
    "fluctuation_correlation",
    "fluctuation_energy",
    "profile_error",
    "relative_error",
    "spectra_error",
]

PROFILES = ("U", "u_rms", "v_rms", "w_rms", "uv")


def relative_error(
    predicted: Float[Tensor, "*batch 3 x y z"],
    truth: Float[Tensor, "*batch 3 x y z"],
    mean: Float[Tensor, "3 y"],
    weights: Float[Tensor, " y"],
) -> Float[Tensor, "*batch"]:
    r"""‖u − u_true‖/‖u_true − U‖: the error in units of the true fluctuations.

    ‖·‖² is the volume integral over all components, with quadrature weights in y. Relative to the
    whole velocity every error would look small, for most of it is the mean profile.

    Raises
    ------
    DataError : different shapes.

    Examples
    --------
    >>> import torch
    >>> u, zero, w = torch.randn(3, 4, 2, 4), torch.zeros(3, 2), torch.ones(2)
    >>> round(relative_error(1.5 * u, u, zero, w).item(), 6)
    0.5
    """
    _same(predicted, truth)
    scale = _square(truth - _profile(mean, truth), weights)
    return (_square(predicted - truth, weights) / scale).sqrt()


def fluctuation_correlation(
    predicted: Float[Tensor, "*batch 3 x y z"],
    truth: Float[Tensor, "*batch 3 x y z"],
    mean: Float[Tensor, "3 y"],
    weights: Float[Tensor, " y"],
) -> Float[Tensor, "*batch"]:
    r"""∫u'·u'_true / √(∫|u'|² ∫|u'_true|²), u' = u − U; 0 where the prediction isn't finite.

    Raises
    ------
    DataError : different shapes.

    Examples
    --------
    >>> import torch
    >>> u, zero, w = torch.randn(3, 4, 2, 4), torch.zeros(3, 2), torch.ones(2)
    >>> round(fluctuation_correlation(-2 * u, u, zero, w).item(), 6)
    -1.0
    """
    _same(predicted, truth)
    p, t = (u - _profile(mean, u) for u in (predicted, truth))
    product = _integral((p * t).sum(-4).double(), weights)
    scale = (_square(p, weights) * _square(t, weights)).sqrt()
    value = product / torch.where(scale > 0, scale, 1.0)
    return torch.where(torch.isfinite(value), value, 0.0)


def fluctuation_energy(
    velocity: Float[Tensor, "*batch 3 x y z"],
    mean: Float[Tensor, "3 y"],
    weights: Float[Tensor, " y"],
) -> Float[Tensor, "*batch"]:
    """Volume mean of |u − U|²/2."""
    return _square(velocity - _profile(mean, velocity), weights) / (2 * weights.sum())


def channel_profiles(
    velocity: Float[Tensor, "*samples 3 x y z"], *, fold: bool = True
) -> dict[str, Float[np.ndarray, " heights"]]:
    r"""U, u', v', w' (rms) and −<u'v'> over y, averaged over x, z and all samples.

    u' = u − <u> with the samples' own mean.

    Parameters
    ----------
    velocity : in any unit, which the profiles have too.
    fold : average the two halves (U and the variances are even, the shear stress odd) and return
        the lower one with the centre plane; only for grids that are symmetric in y.

    Examples
    --------
    >>> import torch
    >>> u = torch.zeros(3, 4, 5, 4)
    >>> u[0] = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None, None] + 3
    >>> found = channel_profiles(u)
    >>> found["U"].tolist(), found["u_rms"].tolist(), len(found["uv"])
    ([3.0, 3.0, 3.0], [1.0, 1.0, 1.0], 3)
    """
    flat = velocity.reshape(-1, *velocity.shape[-4:])
    mean = flat.mean((0, 2, 4), dtype=torch.float64)
    deviation = flat - _profile(mean, flat)
    variance = deviation.square().mean((0, 2, 4), dtype=torch.float64)
    shear = -(deviation[:, 0] * deviation[:, 1]).mean((0, 1, 3), dtype=torch.float64)
    rows = {"U": mean[0], "u": variance[0], "v": variance[1], "w": variance[2], "uv": shear}
    if fold:
        half = (velocity.shape[-2] + 1) // 2
        sign = {"uv": -1.0}
        rows = {k: ((r + sign.get(k, 1.0) * r.flip(0)) / 2)[:half] for k, r in rows.items()}
    return {
        (f"{k}_rms" if k in ("u", "v", "w") else k): (r.sqrt() if k in ("u", "v", "w") else r)
        .cpu()
        .numpy()
        for k, r in rows.items()
    }


def profile_error(
    profile: Float[np.ndarray, " y"],
    reference: Float[np.ndarray, " y"],
    weights: Float[np.ndarray, " y"],
) -> float:
    r"""‖q − q_ref‖/‖q_ref‖, norms integrated over y.

    Examples
    --------
    >>> import numpy as np
    >>> round(profile_error(np.array([1.1, 2.2]), np.array([1.0, 2.0]), np.ones(2)), 6)
    0.1
    """
    return float(np.sqrt(((profile - reference) ** 2) @ weights / (reference**2 @ weights)))


@dataclass(frozen=True)
class ChannelSpectra:
    """One-dimensional spectra of u, v, w at some heights.

    Parameters
    ----------
    along_x, along_z : (3, heights, k), folded to k >= 0 so that the sum over k is the variance of
        the plane. k counts waves in the box, the Nyquist one left out.
    """

    along_x: Float[np.ndarray, "3 heights kx"]
    along_z: Float[np.ndarray, "3 heights kz"]


def channel_spectra(
    velocity: Float[Tensor, "*samples 3 x y z"], planes: list[tuple[int, ...]]
) -> ChannelSpectra:
    """Spectra of fluctuations, averaged over the samples and the planes of each height.

    The mean over samples and plane is taken out, so k = 0 along x holds what varies along z alone.

    Parameters
    ----------
    velocity : any number of samples.
    planes : for each height the indices in y of its planes, one at each wall as a rule.

    Examples
    --------
    >>> import math, torch
    >>> u = torch.zeros(3, 8, 2, 8)
    >>> u[1] = torch.cos(2 * math.pi * 3 * torch.arange(8) / 8)[:, None, None]
    >>> found = channel_spectra(u, [(0, 1)])
    >>> found.along_x[1, 0].round(6).tolist(), found.along_z[1, 0].round(6).tolist()
    ([0.0, 0.0, 0.0, 0.5], [0.5, 0.0, 0.0, 0.0])
    """
    flat = velocity.reshape(-1, *velocity.shape[-4:])
    nx, nz = flat.shape[-3], flat.shape[-1]
    power_x = torch.zeros(3, len(planes), nx // 2, dtype=torch.float64)
    power_z = torch.zeros(3, len(planes), nz // 2, dtype=torch.float64)
    for i, indices in enumerate(planes):
        for j in indices:
            plane = flat[..., j, :].double()
            plane = plane - plane.mean((0, 2, 3), keepdim=True)
            modes = torch.fft.fft2(plane, norm="forward").abs().square().mean(0).cpu()
            for power, along in ((power_x, modes.sum(-1)), (power_z, modes.sum(-2))):
                n = along.shape[-1]
                folded = along[:, : n // 2].clone()
                folded[:, 1:] += along[:, n // 2 + 1 :].flip(-1)
                power[:, i] += folded / len(indices)
    return ChannelSpectra(power_x.numpy(), power_z.numpy())


def spectra_error(found: ChannelSpectra, reference: ChannelSpectra) -> float:
    r"""Mean of |log₁₀ E/E_ref| over components, heights and k >= 1, along x and along z alike.

    Infinite where a spectrum has nothing at some k.

    Examples
    --------
    >>> import numpy as np
    >>> one = ChannelSpectra(np.ones((3, 1, 4)), np.ones((3, 1, 4)))
    >>> ten = ChannelSpectra(np.full((3, 1, 4), 10.0), np.full((3, 1, 4), 10.0))
    >>> spectra_error(ten, one)
    1.0
    """
    logs = []
    for name in ("along_x", "along_z"):
        with np.errstate(divide="ignore"):
            a, b = (np.log10(getattr(s, name)[..., 1:]) for s in (found, reference))
        logs.append(np.abs(a - b).mean())
    return float(np.mean(logs))


def bounded_steps(
    energy: Float[np.ndarray, " time"], mean: float, *, low: float = 0.5, high: float = 2.0
) -> int:
    """Frames before an energy first leaves low to high times its mean, or the finite range.

    Examples
    --------
    >>> import numpy as np
    >>> bounded_steps(np.array([1.0, 1.9, 2.1, 1.0]), 1.0), bounded_steps(np.ones(4), 1.0)
    (2, 4)
    """
    inside = (energy >= low * mean) & (energy <= high * mean)
    return len(energy) if inside.all() else int(np.argmin(inside))


def crossing_time(
    correlation: Float[np.ndarray, " time"], *, spacing: float, level: float
) -> float:
    """Time at which a correlation that starts at 1 first falls below a level, interpolated.

    Parameters
    ----------
    correlation : at spacing, 2 spacing, …; its whole length if it never falls so low.

    Examples
    --------
    >>> import numpy as np
    >>> crossing_time(np.array([0.75, 0.25]), spacing=2.0, level=0.5)
    3.0
    """
    below = correlation < level
    if not below.any():
        return len(correlation) * spacing
    first = int(np.argmax(below))
    before = 1.0 if first == 0 else float(correlation[first - 1])
    share = (before - level) / (before - float(correlation[first]))
    return (first + share) * spacing


def _same(predicted: Tensor, truth: Tensor) -> None:
    if predicted.shape != truth.shape:
        raise DataError(
            f"predicted velocity has shape {tuple(predicted.shape)}, the truth "
            f"{tuple(truth.shape)}; put both on one grid and the same times."
        )


def _profile(mean: Tensor, like: Tensor) -> Tensor:
    """(3, y) beside (..., 3, x, y, z)."""
    return mean.to(like)[:, None, :, None]


def _integral(field: Tensor, weights: Tensor) -> Tensor:
    """Over y, mean over x and z; axes (x, y, z) last."""
    return field.mean((-3, -1)) @ weights.to(field)


def _square(velocity: Tensor, weights: Tensor) -> Tensor:
    return _integral(velocity.square().sum(-4).double(), weights.double())
