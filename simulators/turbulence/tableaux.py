"""Explicit Runge-Kutta tableaux of the finite-volume solver."""

from typing import Literal

__all__ = ["TABLEAUX", "RungeKutta"]

RungeKutta = Literal["euler", "midpoint", "heun", "rk4"]

# Rows after the first stage, then the weights: row i gives stage state i+1 from tendencies 0..i.
TABLEAUX: dict[str, tuple[tuple[float, ...], ...]] = {
    "euler": ((1.0,),),
    "midpoint": ((1 / 2,), (0.0, 1.0)),
    "heun": ((1.0,), (1 / 2, 1 / 2)),
    "rk4": ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}
