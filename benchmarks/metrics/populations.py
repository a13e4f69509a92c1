"""How far a predicted population lies from the measured one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import cost_matrix, sinkhorn_divergence, wasserstein

__all__ = [
    "POPULATION_METRICS",
    "PopulationMetric",
    "check_clouds",
    "correlation",
    "discrimination_score",
    "energy_distance",
    "fraction_closed",
    "mmd",
    "pearson_differences",
    "r2_differences",
    "r2_means",
    "spread_error",
]

FLAT = 1e-6  # a vector whose entries differ by less than this share of its size is constant
GAMMAS = (2.0, 1.0, 0.5, 0.1, 0.01, 0.005)


def mmd(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, gammas: Sequence[float] = GAMMAS
) -> float:
    """Squared maximum mean discrepancy with Gaussian kernels, averaged over bandwidths.

        MMD²_γ = mean k(x,x') + mean k(y,y') − 2 mean k(x,y),   k = exp(−γ |x − y|²)

    Biased (the diagonal is kept), not square-rooted, as in the conditional-Monge and meta-flow
    code; it has a floor of about 2 (1 − mean k)/n, so compare only at equal numbers of cells.

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import mmd
    >>> round(mmd(torch.zeros(1, 1), torch.ones(1, 1), gammas=[1.0]), 6)  # 2 - 2/e
    1.264241
    """
    check_clouds(x, y)
    xx, yy, xy = cost_matrix(x, x), cost_matrix(y, y), cost_matrix(x, y)
    values = [
        torch.exp(-g * xx).mean() + torch.exp(-g * yy).mean() - 2 * torch.exp(-g * xy).mean()
        for g in gammas
    ]
    return torch.stack(values).mean().item()


def energy_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Energy distance 2 E|X − Y| − E|X − X'| − E|Y − Y'| (Euclidean, all pairs, not rooted).

    Zero exactly for equal laws; as a mean over all pairs (diagonal kept) it is never negative and
    has a floor of order 1/n.

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import energy_distance
    >>> energy_distance(torch.zeros(1, 1), torch.full((1, 1), 3.0))
    6.0
    """
    check_clouds(x, y)
    return (2 * _pairs(x, y) - _pairs(x, x) - _pairs(y, y)).item()


def r2_means(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Squared Pearson correlation, over coordinates, of the two mean vectors (0 if one is flat)."""
    check_clouds(x, y)
    return correlation(x.mean(0), y.mean(0)) ** 2


def r2_differences(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], control: Float[Tensor, "k d"]
) -> float:
    """Squared Pearson correlation of predicted and true mean *change* from control.

    Unlike `r2_means` it gives no credit for cells staying as they were. A prediction without any
    change (the identity) scores 0; so does a change in exactly the opposite direction.
    """
    r = pearson_differences(x, y, control)
    return r**2 if r > 0 else 0.0


def pearson_differences(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], control: Float[Tensor, "k d"]
) -> float:
    """Pearson correlation, with its sign, of predicted and true mean change from control.

    `pearson_delta` of cell-eval. 0 for a prediction without change (up to rounding).
    """
    check_clouds(x, y)
    predicted, true = x.mean(0) - control.mean(0), y.mean(0) - control.mean(0)
    spread = control.std(0).max() if len(control) > 1 else torch.ones(())
    if predicted.abs().max() <= 1e-6 * spread:
        return 0.0
    return correlation(predicted, true)


def discrimination_score(
    predicted: Float[Tensor, " d"], true: Float[Tensor, " d"], others: Float[Tensor, "k d"]
) -> float:
    """1 − rank/N: is the predicted mean change nearer to the true one than to other real ones?

    Parameters
    ----------
    predicted, true : mean changes from control.
    others : mean changes of the other populations or treatments; with the true one N = k + 1.

    Returns
    -------
    1 if the true change is the nearest (Euclidean), 1/N if all others are nearer. cell-eval's
    `discrimination_score_l2`; an answer that does not depend on the question scores about a half.

    Raises
    ------
    DataError : no other change to be told from.

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import discrimination_score
    >>> others = torch.tensor([[0.0], [5.0], [9.0]])
    >>> discrimination_score(torch.tensor([4.0]), torch.tensor([3.5]), others)
    1.0
    >>> discrimination_score(torch.tensor([4.0]), torch.tensor([2.0]), others)
    0.75
    """
    if len(others) == 0:
        raise DataError("no other change given; discrimination needs at least one.")
    nearer = (others - predicted).norm(dim=1) < (true - predicted).norm()
    return 1 - nearer.sum().item() / (len(others) + 1)


def fraction_closed(
    model: Sequence[float], identity: Sequence[float], floor: Sequence[float]
) -> tuple[float, float]:
    """Share of the way from doing nothing to the noise floor that a model went.

        F = (mean identity − mean model) / (mean identity − mean floor)

    1 is as good as a second sample of the truth, 0 as good as doing nothing, below 0 worse.

    Parameters
    ----------
    model, identity, floor : a distance (lower is better) on the same draws, in the same order.

    Returns
    -------
    F and its standard error over draws (first-order: the draws' residuals about the ratio).

    Raises
    ------
    DataError : different numbers of draws, or identity not above the floor (no effect to predict).

    Examples
    --------
    >>> from pushforward.benchmarks.metrics import fraction_closed
    >>> fraction_closed([3.0, 3.0], [5.0, 5.0], [1.0, 1.0])
    (0.5, 0.0)
    """
    m, i, f = (torch.tensor(list(v), dtype=torch.float64) for v in (model, identity, floor))
    if not len(m) == len(i) == len(f) > 0:
        raise DataError(f"{len(m)}, {len(i)} and {len(f)} draws; all three need the same number.")
    whole = (i - f).mean()
    if not whole > 0:
        raise DataError(
            f"doing nothing ({i.mean():.4g}) is already at the noise floor ({f.mean():.4g}): "
            "there is no effect to predict, so no share of it."
        )
    ratio = (i - m).mean() / whole
    if len(m) == 1:
        return ratio.item(), 0.0
    residual = (i - m) - ratio * (i - f)
    return ratio.item(), (residual.std() / whole / len(m) ** 0.5).item()


def spread_error(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """|log(V(x)/V(y))|, V the total variance: is the prediction as spread out as the truth?

    A cloud drawn towards its middle gains in W2, which is also small for a compromise between all
    cells; this number shows it. 0 is right; log 2 = 0.69 means half, or twice, the variance.

    Examples
    --------
    >>> import torch
    >>> from pushforward.benchmarks.metrics import spread_error
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> round(spread_error(x / 2, x), 4)  # log 4
    1.3863
    """
    check_clouds(x, y)
    predicted, true = x.var(0).sum(), y.var(0).sum()
    if not (predicted > 0 and true > 0):
        raise DataError("all cells of a cloud coincide, so it has no spread to compare.")
    return torch.log(predicted / true).abs().item()


@dataclass(frozen=True)
class PopulationMetric:
    """A metric as the results file states it: function, unit, and which value is best."""

    compute: Callable[[Tensor, Tensor, Tensor, float], float]
    unit: str
    best: str
    label: str


POPULATION_METRICS: dict[str, PopulationMetric] = {
    "w2": PopulationMetric(
        lambda x, y, c, e: wasserstein(x, y, p=2).item(), "PC units", "lowest", "W2"
    ),
    "w1": PopulationMetric(
        lambda x, y, c, e: wasserstein(x, y, p=1).item(), "PC units", "lowest", "W1"
    ),
    "sinkhorn_divergence": PopulationMetric(
        lambda x, y, c, e: sinkhorn_divergence(x, y, eps=e).item(),
        "PC units squared",
        "lowest",
        "Sinkhorn divergence",
    ),
    "mmd": PopulationMetric(lambda x, y, c, e: mmd(x, y), "1", "lowest", "MMD"),
    "energy_distance": PopulationMetric(
        lambda x, y, c, e: energy_distance(x, y), "PC units", "lowest", "energy distance"
    ),
    "spread_error": PopulationMetric(
        lambda x, y, c, e: spread_error(x, y), "1", "lowest", "error of the spread"
    ),
    "r2_means": PopulationMetric(lambda x, y, c, e: r2_means(x, y), "1", "highest", "r² of means"),
    "r2_differences": PopulationMetric(
        lambda x, y, c, e: r2_differences(x, y, c), "1", "highest", "r² of differences"
    ),
    "pearson_differences": PopulationMetric(
        lambda x, y, c, e: pearson_differences(x, y, c), "1", "highest", "r of differences"
    ),
}
"""Name -> metric of (predicted, true, control, eps of the Sinkhorn divergence)."""


def _pairs(x: Tensor, y: Tensor) -> Tensor:
    return cost_matrix(x, y, cost="euclidean").mean()


def correlation(u: Tensor, v: Tensor) -> float:
    """Pearson correlation of two vectors; 0 where one of them is constant."""
    u, v = u.double(), v.double()
    du, dv = u - u.mean(), v - v.mean()
    if du.norm() <= FLAT * u.norm() or dv.norm() <= FLAT * v.norm():
        return 0.0
    return (du @ dv / (du.norm() * dv.norm())).item()


def check_clouds(x: Tensor, y: Tensor) -> None:
    """Refuse clouds of different dimension and cells that are not finite."""
    if x.shape[1] != y.shape[1]:
        raise DataError(
            f"predicted cells have {x.shape[1]} coordinates, true cells {y.shape[1]}; "
            "compare them in the same features."
        )
    for name, cloud in (("predicted", x), ("true", y)):
        bad = int((~torch.isfinite(cloud)).any(1).sum())
        if bad:
            raise DataError(f"{bad} of {len(cloud)} {name} cells hold NaN or infinity.")
