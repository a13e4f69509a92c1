"""The ODE sampler: any field, any of the methods, exact count of evaluations."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._adaptive import integrate_dopri5
from ._affine import AffinePath, Prediction
from ._diffusion_steps import PATH_RULES
from ._grid import check_grid
from ._grid import time_grid as make_grid
from ._likelihood import augmented_rate
from ._objective import Field, call_field
from ._solution import SamplingError, Solution, Status, check_finite
from ._steps import RULES

__all__ = ["ODESampler"]

Method = str
#: (field, x, t) -> velocity, or (x̂1, x̂0) for the methods that know the path.
Evaluate = Callable[[Field, Tensor, Tensor], Any]
_METHODS = (*RULES, *PATH_RULES, "dopri5")


class ODESampler:
    """Solve dx/dt = u(x, t) from the source at t = 0 to the data at t = 1, or back.

    Methods and their cost in calls of the field over N steps: "euler" N; "midpoint", "heun" 2N;
    "rk4" 4N; "ab2", "pseudo_corrector" N + 1; on an affine ``path`` also "ddim", "dpm_solver_2m" N
    and "edm_heun" (up to) 2N - 1; "dopri5" adaptive (one step size for the batch).

    Arguments: ``field(x, t, **condition)`` with t of shape (batch,); ``steps``, equal ones, or
    ``time_grid``, a strictly monotone sequence in [0, 1] (descending: from data to source), not
    both (default 100 steps; "dopri5" takes only a grid of output times); ``path`` and
    ``prediction`` where the field predicts x1, noise or score instead of the velocity;
    ``rtol``, ``atol``, ``max_steps`` for "dopri5"; ``on_failure`` "raise" (`SamplingError`, a
    `DivergedError`) or "return" (a `Solution` with status and message, stopped at the failure).
    A field with ``on_interval(t, s)`` (`BlockwiseField`) supplies the field for each step, and a
    field with ``boundaries`` has them put into the grid made from ``steps``.

    Raises `DataError` before any work for meaningless arguments, and for a field that returns
    another shape.

    >>> sampler = ODESampler(lambda x, t: -x, method="heun", steps=10)
    >>> solution = sampler.sample(torch.ones(1, 1))
    >>> round(solution.x.item(), 3), solution.nfe
    (0.369, 20)
    """

    def __init__(
        self,
        field: Field,
        *,
        method: Method = "heun",
        steps: int | None = None,
        time_grid: Float[Tensor, "..."] | list[float] | None = None,
        path: AffinePath | None = None,
        prediction: Prediction = "velocity",
        rtol: float | int = 1e-5,
        atol: float | int = 1e-5,
        max_steps: int = 10_000,
        on_failure: str = "raise",
    ) -> None:
        if method not in _METHODS:
            raise DataError(f"unknown method {method!r}; choose one of {_METHODS}.")
        if steps is not None and time_grid is not None:
            raise DataError(
                f"both steps = {steps} and time_grid ({len(time_grid)} times) given; a grid "
                "already says how many steps there are. Give one."
            )
        if method == "dopri5" and steps is not None:
            raise DataError(
                f"steps = {steps} with method 'dopri5', which chooses its own; set rtol and atol, "
                "or time_grid for the times to keep."
            )
        if steps is not None and steps < 1:
            raise DataError(f"steps = {steps}; at least one step is needed.")
        if path is None and (method in PATH_RULES or prediction != "velocity"):
            raise DataError(
                f"method {method!r} with prediction {prediction!r} needs the path that the field "
                "was trained on, e.g. path=LinearPath()."
            )
        if on_failure not in ("raise", "return"):
            raise DataError(f"on_failure = {on_failure!r}; 'raise' or 'return'.")
        if time_grid is None:
            n = 1 if method == "dopri5" else 100 if steps is None else steps
            grid = make_grid(n, breaks=() if n == 1 else getattr(field, "boundaries", ()))
        else:
            grid = check_grid(torch.as_tensor(time_grid, dtype=torch.float64).detach().cpu())
        self.field, self.method, self.time_grid = field, method, grid
        self.path, self.prediction = path, prediction
        self.rtol, self.atol, self.max_steps = rtol, atol, max_steps
        self.on_failure = on_failure

    def sample(
        self,
        x0: Shaped[Tensor, "..."],
        *,
        keep_trajectory: bool = False,
        enable_grad: bool = False,
        **condition: Any,
    ) -> Solution:
        """Carry x0 (batch, *shape) along the time grid.

        ``keep_trajectory`` stores every state; ``enable_grad`` lets gradients flow through the
        solver (memory grows with the number of calls); ``condition`` goes to the field.
        """
        with torch.set_grad_enabled(enable_grad and torch.is_grad_enabled()):
            return self._run(self._evaluate(condition), x0, self.time_grid, keep_trajectory)

    def invert(
        self, x1: Shaped[Tensor, "..."], *, keep_trajectory: bool = False, **condition: Any
    ) -> Solution:
        """Carry x1 back along the reversed time grid; at best exact to the method's order."""
        with torch.no_grad():
            grid = self.time_grid.flip(0)
            return self._run(self._evaluate(condition), x1, grid, keep_trajectory)

    def log_prob(
        self,
        x1: Shaped[Tensor, "..."],
        log_p0: Callable[[Tensor], Tensor],
        *,
        divergence: str = "exact",
        probes: int = 1,
        generator: torch.Generator | None = None,
        **condition: Any,
    ) -> Float[Tensor, " batch"]:
        """log p1(x1) = log p0(x0) - ∫ div u dt along the trajectory that ends in x1, (batch,).

        ``log_p0`` maps (batch, *shape) to (batch,). ``divergence`` "exact" costs one derivative
        for each number in a sample; "hutchinson" one for each of ``probes`` random signs, fixed
        along the trajectory: unbiased. Any shape of x. Gradients reach the field's parameters
        where they are enabled. The grid must span [0, 1]; path methods do not serve here.
        """
        if self.method in PATH_RULES:
            raise DataError(
                f"method {self.method!r} solves for x alone; log_prob needs a general one such as "
                "'heun', 'rk4' or 'dopri5'."
            )
        if divergence not in ("exact", "hutchinson") or probes < 1:
            raise DataError(
                f"divergence = {divergence!r}, probes = {probes}; 'exact' or 'hutchinson' with at "
                "least one probe."
            )
        grid = self.time_grid if self.time_grid[0] > self.time_grid[-1] else self.time_grid.flip(0)
        if (float(grid[0]), float(grid[-1])) != (1.0, 0.0):
            raise DataError(
                f"time_grid spans {float(grid[-1]):.6g} to {float(grid[0]):.6g}; the density of "
                "the data needs the whole way from 1 to 0."
            )
        signs = None
        if divergence == "hutchinson":
            shape = (probes, *x1.shape)
            coin = torch.randint(2, shape, generator=generator, device=x1.device)
            signs = (2 * coin - 1).to(x1.dtype)
        state = torch.cat((x1.flatten(1), x1.new_zeros(len(x1), 1)), 1)
        out = self._run(augmented_rate(self._evaluate(condition), x1.shape, signs), state, grid)
        if not out.converged:
            raise SamplingError(out.status, out.message)
        return log_p0(out.x[:, :-1].reshape(x1.shape)) + out.x[:, -1]

    def _evaluate(self, condition: dict[str, Any]) -> Evaluate:
        """What the method needs from a field at (x, t): the velocity, or for path rules the ends.

        Times reach the field as a tensor of x's dtype, one for each sample.
        """

        def evaluate(field: Field, x: Tensor, t: Tensor) -> Any:
            tb = t.to(x).expand(len(x))
            # An adaptive solver's time may carry gradients of its step size.
            self._check_defined(float(t.detach()))
            out = call_field(field, x, tb, **condition)
            if self.path is None:
                return out
            if self.method in PATH_RULES:
                return self.path.endpoints(out, x, tb, source=self.prediction)
            return self.path.convert(out, x, tb, source=self.prediction, target="velocity")

        return evaluate

    def _check_defined(self, t: float) -> None:
        """Raise `DataError` where the prediction does not determine the velocity."""
        if self.path is None or self.prediction == "velocity":
            return
        time = torch.tensor(t, dtype=torch.float64)
        missing = None
        if self.prediction in ("noise", "score") and float(self.path.alpha(time)) == 0:
            missing = "α"
        if self.prediction == "x1" and float(self.path.sigma(time)) == 0:
            missing = "σ"
        if missing is not None:
            raise DataError(
                f"at t = {t:.6g}, where {missing} = 0, a field that predicts "
                f"{self.prediction!r} says nothing about the velocity. Let time_grid end (or "
                "start) 1e-3 away from there, or take a method that does not evaluate there "
                "('euler', 'midpoint', 'ddim')."
            )

    def _pieces(self, grid: Tensor) -> list[tuple[Field, Tensor]]:
        """The grid cut where the field jumps, each piece with its field."""
        on_interval = getattr(self.field, "on_interval", None)
        if on_interval is None:
            return [(self.field, grid)]
        fields = [on_interval(float(t), float(s)) for t, s in itertools.pairwise(grid)]
        cuts = [i for i in range(1, len(fields)) if fields[i] is not fields[i - 1]]
        edges = [0, *cuts, len(fields)]
        return [(fields[a], grid[a : b + 1]) for a, b in itertools.pairwise(edges)]

    def _run(self, evaluate: Evaluate, x: Tensor, grid: Tensor, keep: bool = False) -> Solution:
        if not x.is_floating_point() or x.ndim < 1:
            raise DataError(
                f"x has dtype {x.dtype} and shape {tuple(x.shape)}; expected floating-point "
                "numbers with a batch axis."
            )
        nfe = 0
        ts, states = [float(grid[0])], [x]
        status: Status = "ok"
        message = ""
        try:
            for field, piece in self._pieces(grid):

                def f(x: Tensor, t: Tensor, field: Field = field) -> Any:
                    nonlocal nfe
                    nfe += 1
                    return evaluate(field, x, t)

                for s, new in self._advance(f, x, piece, first_step=len(ts) - 1):
                    x = new
                    ts.append(s)
                    if keep:
                        states.append(x)
        except SamplingError as failure:
            if self.on_failure == "raise":
                raise
            status, message = failure.status, str(failure)
        return Solution(
            x,
            torch.tensor(ts, dtype=x.dtype, device=x.device),
            torch.stack(states) if keep else None,
            nfe,
            status,
            message,
        )

    def _advance(
        self, f: Callable[[Tensor, Tensor], Any], x: Tensor, grid: Tensor, *, first_step: int
    ) -> Iterator[tuple[float, Tensor]]:
        """Times and states along one piece of the grid, checked for finite values."""
        if self.method == "dopri5":
            xs = integrate_dopri5(
                f, x, grid, rtol=self.rtol, atol=self.atol, max_steps=self.max_steps
            )
            yield from zip(grid[1:].tolist(), xs[1:], strict=True)
            return
        rule: Any
        if self.method in PATH_RULES and self.path is not None:
            rule = PATH_RULES[self.method](self.path)
        else:
            rule = RULES[self.method]()
        # The grid in x's dtype: nothing in double precision leaks into single-precision states.
        times = grid.to(x)
        for i in range(len(grid) - 1):
            x = rule.step(f, x, times[i], times[i + 1])
            s = float(grid[i + 1])
            check_finite(x, step=first_step + i, t=s, method=self.method)
            yield s, x
