"""The flow-matching loss, and score matching as its sister."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath, Prediction
from ._coupling import Coupling, IndependentCoupling
from ._objective import Field, call_field, follow_conditions, per_sample_loss, weighted_mean
from ._path import Path, PathSample, broadcast_time
from ._schedules import LinearPath
from ._time import TimeLaw, draw_times

__all__ = ["FlowMatchingLoss", "ScoreMatchingLoss"]


class FlowMatchingLoss:
    """E w(t) ω(x0, x1) |model(x_t, t) - target|², (x0, x1) from a coupling, x_t from a path.

    The minimiser is the conditional mean of the target given x_t: the marginal velocity for the
    default ``prediction="velocity"`` (target dx_t), else x1, x0 ("noise") or the score -x0/σ of an
    affine path. The loss does not go to 0 unless the coupling is deterministic: the variance of
    the target given x_t remains, so losses of different couplings or paths do not compare.

    Arguments: ``path`` (`LinearPath` by default); ``coupling`` (`IndependentCoupling` by default),
    whose weights, if any, multiply the loss; ``prediction``; ``time``, the law of t; ``time_range``
    (default: the path's, within which targets are finite); ``weight``, a function t -> (batch,);
    ``loss`` "mse" (mean over all axes) or "huber" (pseudo-Huber norm with ``huber_c``);
    ``condition_key``, the condition that the coupling must respect if there are several.

    Calling it with ``(model, x0, x1, generator=None, **condition)`` gives a scalar. The model is
    called ``model(x_t, t, **condition)`` with t of shape (batch,). Condition tensors with one row
    for each x1 follow their x1 through the coupling. Draws: pairs, then t, then the path's noise,
    all from ``generator`` (None: torch's default generator) on the data's device.

    Raises `DataError` for shapes that disagree. Sources: Lipman et al., *Flow Matching*, 2022; Liu
    et al., *Flow Straight and Fast*, 2022; Tong et al., 2023.

    >>> zero = lambda x, t: torch.zeros_like(x)
    >>> FlowMatchingLoss()(zero, torch.zeros(4, 2), torch.ones(4, 2)).item()
    1.0
    """

    def __init__(
        self,
        path: Path | None = None,
        coupling: Coupling | None = None,
        *,
        prediction: Prediction = "velocity",
        time: TimeLaw = "uniform",
        time_range: tuple[float | int, float | int] | None = None,
        weight: Callable[[Tensor], Tensor] | None = None,
        loss: str = "mse",
        huber_c: float | int | None = None,
        condition_key: str | None = None,
    ) -> None:
        self.path: Path = LinearPath() if path is None else path
        self.coupling: Coupling = IndependentCoupling() if coupling is None else coupling
        if prediction not in ("velocity", "x1", "noise", "score"):
            raise DataError(f"unknown prediction {prediction!r}; velocity, x1, noise or score.")
        if prediction != "velocity" and not isinstance(self.path, AffinePath):
            raise DataError(
                f"prediction {prediction!r} needs an affine path; {type(self.path).__name__} has "
                "noise of its own. Predict the velocity, or use InterpolantLoss."
            )
        if loss not in ("mse", "huber"):
            raise DataError(f"unknown loss {loss!r}; 'mse' or 'huber'.")
        self.prediction, self.time, self.weight = prediction, time, weight
        self.time_range = self.path.time_range if time_range is None else time_range
        lo, hi = self.time_range
        if not 0 <= lo < hi <= 1:
            raise DataError(f"time_range = {self.time_range}; expected 0 <= start < end <= 1.")
        self.loss, self.huber_c, self.condition_key = loss, huber_c, condition_key

    def __call__(
        self,
        model: Field,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Float[Tensor, ""]:
        """The loss of one batch, a scalar that carries gradients to the model."""
        pairs, condition = follow_conditions(
            self.coupling,
            x0,
            x1,
            condition,
            condition_key=self.condition_key,
            generator=generator,
        )
        t = draw_times(
            len(pairs.x1),
            self.time,
            time_range=self.time_range,
            generator=generator,
            device=pairs.x1.device,
            dtype=pairs.x1.dtype,
        )
        point = self.path.sample(pairs.x0, pairs.x1, t, generator=generator)
        out, target = call_field(model, point.x_t, t, **condition), self._target(point)
        if self.loss == "mse" and self.weight is None and pairs.weight is None:
            return torch.nn.functional.mse_loss(out, target)
        weight = None if self.weight is None else self.weight(t)
        return weighted_mean(
            per_sample_loss(out - target, self.loss, self.huber_c), weight, pairs.weight
        )

    def _target(self, point: PathSample) -> Tensor:
        if self.prediction == "velocity":
            return point.dx_t
        if self.prediction == "x1":
            return point.x1
        if self.prediction == "noise":
            return point.x0
        return -point.x0 / self.path.sigma(broadcast_time(point.t, point.x0))


class ScoreMatchingLoss(FlowMatchingLoss):
    """Denoising score matching, E σ² |s(x_t, t) + x0/σ|², for standard normal x0.

    The model predicts the score itself; the weight σ² keeps its target's variance at 1 for every t,
    where the bare target -x0/σ is infinite at t = 1.

    >>> noise = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    >>> exact = lambda x, t: -x / (1 - t)[:, None] ** 2      # the score if all data are at 0
    >>> bool(ScoreMatchingLoss()(exact, noise, torch.zeros(8, 2)) < 1e-10)
    True
    """

    def __init__(
        self,
        path: AffinePath | None = None,
        coupling: Coupling | None = None,
        *,
        time: TimeLaw = "uniform",
        time_range: tuple[float | int, float | int] | None = None,
        condition_key: str | None = None,
    ) -> None:
        affine = LinearPath() if path is None else path
        lo, hi = affine.time_range if time_range is None else time_range
        super().__init__(
            affine,
            coupling,
            prediction="score",
            time=time,
            # σ = 0 at t = 1, where the score has no meaning.
            time_range=(lo, min(hi, 0.999)),
            weight=lambda t: affine.sigma(t) ** 2,
            condition_key=condition_key,
        )
