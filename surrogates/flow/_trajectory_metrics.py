"""How a field moves mass: path energy, straightness, first-order defect, transport cost."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ..ot import wasserstein
from ._affine import AffinePath, Prediction
from ._objective import Field, call_field
from ._ode import Method, ODESampler

__all__ = [
    "PathStatistics",
    "first_order_defect",
    "normalized_path_energy",
    "path_energy",
    "path_statistics",
    "straightness",
    "transport_cost",
]


@dataclass(frozen=True)
class PathStatistics:
    """Statistics of the trajectories Z_t of a field; energy = displacement + straightness.

    ``energy`` E ∫ |v|² dt; ``straightness`` E ∫ |Z_1 - Z_0 - v|² dt; ``displacement``
    E|Z_1 - Z_0|²; each a float, sums over the axes of a sample. ``x`` the end points.
    """

    energy: float
    straightness: float
    displacement: float
    x: Tensor


def path_statistics(
    field: Field,
    x0: Float[Tensor, "..."],
    *,
    steps: int = 100,
    method: Method = "rk4",
    **condition: Any,
) -> PathStatistics:
    """Energy, straightness and displacement of the trajectories from x0 (batch, *shape).

    The trapezoidal rule on ``steps`` intervals; at least 100 keep its error below that of W2.

    >>> s = path_statistics(lambda x, t: torch.ones_like(x), torch.zeros(3, 2), steps=4)
    >>> s.energy, s.straightness, s.displacement
    (2.0, 0.0, 2.0)
    """
    out = ODESampler(field, method=method, steps=steps).sample(
        x0, keep_trajectory=True, **condition
    )
    shift = out.x - x0
    energy, bend = [], []
    with torch.no_grad():
        for x, t in zip(_states(out.trajectory), out.ts, strict=True):
            v = call_field(field, x, t.expand(len(x)), **condition)
            energy.append(v.flatten(1).square().sum(1).mean())
            bend.append((shift - v).flatten(1).square().sum(1).mean())
    return PathStatistics(
        float(torch.trapezoid(torch.stack(energy), out.ts)),
        float(torch.trapezoid(torch.stack(bend), out.ts)),
        float(shift.flatten(1).square().sum(1).mean()),
        out.x,
    )


def _states(trajectory: Tensor | None) -> Tensor:
    if trajectory is None:
        raise RuntimeError("a trajectory was asked for and not kept")
    return trajectory


def path_energy(field: Field, x0: Float[Tensor, "..."], **options: Any) -> float:
    """E ∫_0^1 |v(Z_t, t)|² dt along the field's own trajectories, at least W2²(p0, p1).

    Options as in `path_statistics`.

    >>> path_energy(lambda x, t: 2 * torch.ones_like(x), torch.zeros(3, 1), steps=2)
    4.0
    """
    return path_statistics(field, x0, **options).energy


def straightness(field: Field, x0: Float[Tensor, "..."], **options: Any) -> float:
    """E ∫ |Z_1 - Z_0 - v(Z_t, t)|² dt, 0 only for straight lines at constant speed.

    Options as in `path_statistics`. Source: Liu, Gong, Liu, *Flow Straight and Fast*, 2022.

    >>> straightness(lambda x, t: torch.ones_like(x), torch.zeros(3, 1), steps=2)
    0.0
    """
    return path_statistics(field, x0, **options).straightness


def normalized_path_energy(
    field: Field,
    x0: Float[Tensor, "..."],
    x1: Float[Tensor, "..."] | None = None,
    *,
    w2_squared: float | None = None,
    signed: bool = False,
    **options: Any,
) -> float:
    """|PE - W2²| / W2², how far the path energy exceeds that of optimal transport.

    W2² between ``x0`` and a sample ``x1`` of the target, or a better estimate ``w2_squared`` (not
    both). ``signed`` keeps the sign: a flow that stops short of the data has a negative value, so
    a smaller absolute one is not by itself better. No finer than the error of W2².

    >>> ones = lambda x, t: torch.ones_like(x)
    >>> normalized_path_energy(ones, torch.zeros(3, 1), torch.ones(3, 1), steps=2)
    0.0
    """
    if (x1 is None) == (w2_squared is None):
        raise DataError("give either x1, a sample of the target, or w2_squared.")
    if w2_squared is None and x1 is not None:
        w2_squared = float(wasserstein(x0.flatten(1), x1.flatten(1), p=2)) ** 2
    if not w2_squared:
        raise DataError("W2² = 0: source and target agree, so the ratio is undefined.")
    value = (path_energy(field, x0, **options) - w2_squared) / w2_squared
    return value if signed else abs(value)


def first_order_defect(
    field: Field,
    x0: Float[Tensor, "..."],
    path: AffinePath,
    *,
    prediction: Prediction = "velocity",
    time_grid: Float[Tensor, " n"] | None = None,
    steps: int = 100,
    method: Method = "rk4",
    **condition: Any,
) -> float:
    """E ∫ |x̂0(Z_t, t) - mean_t x̂0|² dt: 0 if and only if one DDIM step from t = 0 is exact.

    x̂0 is the noise implied by the field on ``path``; it is constant along each trajectory of a
    first-order flow, however curved that is in x. On the linear path this is straightness (of x̂0).
    Evaluated inside (0, 1), where every path is regular. ``time_grid`` for other solver grids.
    Source of the criterion: Wang et al., *Rectified Diffusion*, 2024; the number is derived here.

    >>> from pushforward.surrogates.flow import LinearPath
    >>> ones = lambda x, t: torch.ones_like(x)
    >>> abs(first_order_defect(ones, torch.zeros(3, 1), LinearPath(), steps=8)) < 1e-9
    True
    """
    if time_grid is not None:
        sampler = ODESampler(
            field, method=method, time_grid=time_grid, path=path, prediction=prediction
        )
    else:
        sampler = ODESampler(field, method=method, steps=steps, path=path, prediction=prediction)
    out = sampler.sample(x0, keep_trajectory=True, **condition)
    noises = []
    with torch.no_grad():
        for x, t in zip(_states(out.trajectory)[1:-1], out.ts[1:-1], strict=True):
            tb = t.expand(len(x))
            v = call_field(field, x, tb, **condition)
            noises.append(path.endpoints(v, x, tb, source=prediction)[1].flatten(1))
    noise = torch.stack(noises)
    return float((noise - noise.mean(0)).square().sum(2).mean())


def transport_cost(
    x0: Float[Tensor, "..."], x1: Float[Tensor, "..."], *, p: float | int = 2
) -> Float[Tensor, ""]:
    """E|x1 - x0|^p of pairs; rectifying a coupling never raises it for p ≥ 1.

    >>> transport_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), p=1).item()
    5.0
    """
    if x0.shape != x1.shape:
        raise DataError(
            f"x0 has shape {tuple(x0.shape)}, x1 {tuple(x1.shape)}; pairs have equal shapes."
        )
    return (x1 - x0).flatten(1).square().sum(1).pow(p / 2).mean()
