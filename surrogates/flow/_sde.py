"""Stochastic sampling: the same marginals as the flow, with noise that forgets errors."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._affine import AffinePath
from ._grid import check_grid
from ._grid import time_grid as make_grid
from ._objective import Field, call_field
from ._solution import SamplingError, Solution, check_finite

__all__ = ["SDESampler", "score_from_velocity"]


def score_from_velocity(field: Field, path: AffinePath) -> Field:
    """The score of a velocity field on an affine path from standard normal noise.

    s = -x̂0/σ: not defined at t = 1, where `SDESampler` does not ask for it.

    >>> from pushforward.surrogates.flow import CosinePath
    >>> score = score_from_velocity(lambda x, t: torch.zeros_like(x), CosinePath())
    >>> score(torch.ones(1, 1), torch.tensor([0.5]))      # N(0, 1) stays N(0, 1)
    tensor([[-1.]])
    """

    def score(x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        u = call_field(field, x, t, **condition)
        return path.convert(u, x, t, source="velocity", target="score")

    return score


class SDESampler:
    """dX = (u + ε s) dt + √(2 ε) dW from time 0 to 1, with the marginals of dx = u dt for any ε(t).

    ``scheme`` "euler_maruyama" (weak order 1) or "heun", which takes the drift at both ends of the
    step with the *same* noise (2 calls a step). The last step adds no noise: ``last_step`` "mean"
    integrates the drift alone; "tweedie" returns E[x1 | x] = (x + σ² s)/α, which needs ``path``.

    Arguments: ``field`` u and ``score`` s, both (x, t, **condition); ``diffusion`` ε, a number or a
    function of a scalar time tensor; ``steps`` (default 100) or an ascending ``time_grid``, not
    both. NFE counts one call of u and one of s as one. The score is never asked for at the end.
    Raises `DataError` for arguments that do not fit, `SamplingError` for non-finite states.

    >>> still, score = (lambda x, t: torch.zeros_like(x)), (lambda x, t: -x)
    >>> sampler = SDESampler(still, score, diffusion=1.0, steps=50)
    >>> x = sampler.sample(torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)),
    ...                    generator=torch.Generator().manual_seed(1)).x
    >>> bool((x.std() - 1).abs() < 0.1)
    True
    """

    def __init__(
        self,
        field: Field,
        score: Field,
        *,
        diffusion: float | int | Callable[[Tensor], Tensor] = 1.0,
        steps: int | None = None,
        time_grid: Float[Tensor, "..."] | list[float] | None = None,
        scheme: str = "euler_maruyama",
        last_step: str = "mean",
        path: AffinePath | None = None,
    ) -> None:
        if steps is not None and time_grid is not None:
            raise DataError(f"both steps = {steps} and time_grid given; give one.")
        if scheme not in ("euler_maruyama", "heun"):
            raise DataError(f"unknown scheme {scheme!r}; 'euler_maruyama' or 'heun'.")
        if last_step not in ("mean", "tweedie"):
            raise DataError(f"unknown last_step {last_step!r}; 'mean' or 'tweedie'.")
        if last_step == "tweedie" and path is None:
            raise DataError("last_step 'tweedie' needs the path, whose α and σ it uses.")
        if time_grid is None:
            grid = make_grid(100 if steps is None else steps)
        else:
            grid = check_grid(torch.as_tensor(time_grid, dtype=torch.float64).detach().cpu())
        if grid[0] > grid[-1]:
            raise DataError("time_grid descends; this equation runs forward, from 0 to 1.")
        self.field, self.score, self.diffusion = field, score, diffusion
        self.grid, self.scheme, self.last_step, self.path = grid, scheme, last_step, path

    def sample(
        self,
        x0: Float[Tensor, "..."],
        *,
        generator: torch.Generator | None = None,
        keep_trajectory: bool = False,
        **condition: Any,
    ) -> Solution:
        """Carry x0 (batch, *shape) from the start to the end of the grid, without gradients."""
        x, states, nfe = x0, [x0], 0
        ts = self.grid.to(x0)
        last = len(ts) - 2
        with torch.no_grad():
            for i in range(last + 1):
                t, s = ts[i], ts[i + 1]
                h = s - t
                b = self._drift(x, t, condition)
                nfe += 1
                if i == last:
                    x = self._finish(x, t, h, b, condition)
                else:
                    noise = torch.randn(
                        x.shape, generator=generator, dtype=x.dtype, device=x.device
                    )
                    kick = (2 * self._strength(t) * h).sqrt() * noise
                    if self.scheme == "heun":
                        b = (b + self._drift(x + h * b + kick, s, condition)) / 2
                        nfe += 1
                    x = x + h * b + kick
                check_finite(x, step=i, t=float(s), method=self.scheme)
                if keep_trajectory:
                    states.append(x)
        return Solution(x, ts, torch.stack(states) if keep_trajectory else None, nfe)

    def _strength(self, t: Tensor) -> Tensor:
        eps = self.diffusion(t) if callable(self.diffusion) else self.diffusion
        eps = torch.as_tensor(eps, dtype=t.dtype, device=t.device)
        if not bool(torch.isfinite(eps)) or float(eps) < 0:
            raise SamplingError(
                "non_finite",
                f"the diffusion is {float(eps):.4g} at t = {float(t):.6g}; it must be finite and "
                "not negative. Start time_grid later if it is singular at 0.",
            )
        return eps

    def _drift(self, x: Tensor, t: Tensor, condition: dict[str, Any]) -> Tensor:
        tb = t.expand(len(x))
        u = call_field(self.field, x, tb, **condition)
        eps = self._strength(t)
        if float(eps) == 0:
            return u
        return u + eps * call_field(self.score, x, tb, **condition)

    def _finish(
        self, x: Tensor, t: Tensor, h: Tensor, drift: Tensor, condition: dict[str, Any]
    ) -> Tensor:
        if self.last_step == "mean" or self.path is None:
            return x + h * drift
        s = call_field(self.score, x, t.expand(len(x)), **condition)
        return (x + self.path.sigma(t) ** 2 * s) / self.path.alpha(t)
