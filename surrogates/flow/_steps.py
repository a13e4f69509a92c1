"""Fixed-step rules for dx/dt = f(x, t). Those with a memory keep it between steps."""

from collections.abc import Callable

from torch import Tensor

__all__ = ["RULES", "Rule"]

Rate = Callable[[Tensor, Tensor], Tensor]


class Rule:
    """One step of a method; a sampler makes a fresh rule for every smooth piece of a run."""

    order = 1

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The state at time s from the state x at time t."""
        raise NotImplementedError


class Euler(Rule):
    """First order, one call a step."""

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return x + (s - t) * f(x, t)


class Midpoint(Rule):
    """Second order, two calls a step; never evaluates at the end of the interval."""

    order = 2

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        half = (s - t) / 2
        return x + (s - t) * f(x + half * f(x, t), t + half)


class Heun(Rule):
    """Second order, two calls a step (explicit trapezoid)."""

    order = 2

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        h = s - t
        d = f(x, t)
        return x + h / 2 * (d + f(x + h * d, s))


class RungeKutta4(Rule):
    """Fourth order, four calls a step."""

    order = 4

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        h = s - t
        k1 = f(x, t)
        k2 = f(x + h / 2 * k1, t + h / 2)
        k3 = f(x + h / 2 * k2, t + h / 2)
        k4 = f(x + h * k3, s)
        return x + h / 6 * (k1 + 2 * (k2 + k3) + k4)


class AdamsBashforth2(Rule):
    """Second order, one call a step after a first step of Heun; uneven grids allowed."""

    order = 2

    def __init__(self) -> None:
        self.last: tuple[Tensor, Tensor] | None = None

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        h, d = s - t, f(x, t)
        if self.last is None:
            new = x + h / 2 * (d + f(x + h * d, s))
        else:
            d_last, h_last = self.last
            new = x + h * (d + h / (2 * h_last) * (d - d_last))
        self.last = (d, h)
        return new


class PseudoCorrector(Rule):
    """Heun that re-uses the slope of its own last prediction: second order, one call a step.

    The first step is Heun's. Source: *FlowTurbo* (velocity cached at the predicted point).
    """

    order = 2

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def step(self, f: Rate, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        h = s - t
        d = f(x, t) if self.last is None else self.last
        self.last = f(x + h * d, s)
        return x + h / 2 * (d + self.last)


RULES: dict[str, type[Rule]] = {
    "euler": Euler,
    "midpoint": Midpoint,
    "heun": Heun,
    "rk4": RungeKutta4,
    "ab2": AdamsBashforth2,
    "pseudo_corrector": PseudoCorrector,
}
