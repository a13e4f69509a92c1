"""Time steppers for du/dt = G u + F(u), G linear and diagonal, as tables of symbols."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["SPECTRAL_STEPPERS", "SpectralStepper", "stage_table"]

SpectralStepper = Literal["etdrk2", "etdrk4", "euler", "cn_rk2", "cn_rk3", "cn_rk4", "imex_sil3"]
Tendency = Callable[[Tensor], Tensor]
Algorithm = Callable[[Tensor, Tendency, Tensor], Tensor]
_CONTOUR_POINTS = 32


def stage_table(stepper: SpectralStepper, z: Tensor) -> list[list[Tensor | None]]:
    """Coefficients of each stage of a stepper, for every mode.

    Every stepper here is linear in the state u_0 and the explicit tendencies F_j = F(u_j) of its
    stages, with coefficients that depend on z = dt G only:
        u_i = c_i0(z) u_0 + dt Σ_{j<i} c_i,j+1(z) F_j.
    The table is found by running the stepper's textbook form on the basis vectors of that span.

    Parameters
    ----------
    stepper : a name of `SPECTRAL_STEPPERS`.
    z : dt G, real and not positive for a decaying linear part; any shape.

    Returns
    -------
    rows i = 1, 2, …, the last one being the new state; row i holds c_i0 … c_ii, each of the shape
    of z, or None where it vanishes for every z.

    Examples
    --------
    >>> stage_table("euler", torch.tensor(-1.0, dtype=torch.float64))  # (u + dt F)/(1 − z)
    [[tensor(0.5000, dtype=torch.float64), tensor(0.5000, dtype=torch.float64)]]
    """
    algorithm, n_stages = SPECTRAL_STEPPERS[stepper]
    basis = torch.eye(n_stages + 1, dtype=z.dtype, device=z.device)
    basis = basis.reshape(n_stages + 1, n_stages + 1, *[1] * z.ndim)
    states: list[Tensor] = []

    def record(state: Tensor) -> Tensor:
        states.append(state)
        return basis[len(states)]

    states.append(algorithm(basis[0].expand(-1, *z.shape), record, z))
    return [
        [row[j].clone() if bool((row[j] != 0).any()) else None for j in range(i + 1)]
        for i, row in enumerate(states[1:], start=1)
    ]


def _backward_forward_euler(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
    return (u + f(u)) / (1 - z)


def _cn_rk2(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
    """Crank-Nicolson for G, Heun for F."""
    f0 = f(u)
    half = u + z / 2 * u
    u1 = (half + f0) / (1 - z / 2)
    return (half + (f0 + f(u1)) / 2) / (1 - z / 2)


def _low_storage(
    alpha: tuple[float, ...], beta: tuple[float, ...], gamma: tuple[float, ...]
) -> Algorithm:
    """Crank-Nicolson for G within each stage of a low-storage Runge-Kutta method for F."""

    def algorithm(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
        h = torch.zeros_like(u)
        for k in range(len(beta)):
            h = f(u) + beta[k] * h
            m = (alpha[k + 1] - alpha[k]) / 2
            u = (u + gamma[k] * h + m * z * u) / (1 - m * z)
        return u

    return algorithm


def _imex_sil3(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
    """Whitaker and Kar's implicit-explicit scheme; its last stage is the result.

    Third order in linear explicit terms, second in others.
    """
    explicit = ((1 / 3,), (1 / 6, 1 / 2), (1 / 2, -1 / 2, 1.0))
    implicit = ((1 / 6, 1 / 6), (1 / 3, 0.0, 1 / 3), (3 / 8, 0.0, 3 / 8, 1 / 4))
    states, tendencies = [u], []
    for a_ex, a_im in zip(explicit, implicit, strict=True):
        tendencies.append(f(states[-1]))
        total = u
        for a, tendency in zip(a_ex, tendencies, strict=True):
            total = total + a * tendency
        for a, state in zip(a_im, states, strict=False):
            total = total + a * z * state
        states.append(total / (1 - a_im[-1] * z))
    return states[-1]


def _contour_mean(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """A function with a removable singularity at 0, as its mean on a unit circle about z.

    Cauchy's formula; the points come in conjugate pairs, so the upper half and the real part do.
    """
    angles = math.pi * (torch.arange(_CONTOUR_POINTS // 2, dtype=torch.float64) + 0.5)
    circle = torch.exp(1j * angles / (_CONTOUR_POINTS // 2)).to(z.device)
    total = torch.zeros_like(z)
    for point in circle:
        total += function(z + point).real.to(z.dtype)
    return total / len(circle)


def _etdrk2(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
    phi1 = _contour_mean(lambda s: (s.exp() - 1) / s, z)
    phi2 = _contour_mean(lambda s: (s.exp() - 1 - s) / s**2, z)
    f0 = f(u)
    a = z.exp() * u + phi1 * f0
    return a + phi2 * (f(a) - f0)


def _etdrk4(u: Tensor, f: Tendency, z: Tensor) -> Tensor:
    whole, half = z.exp(), (z / 2).exp()
    q = _contour_mean(lambda s: ((s / 2).exp() - 1) / s, z)
    first = _contour_mean(lambda s: (-4 - s + s.exp() * (4 - 3 * s + s**2)) / s**3, z)
    middle = _contour_mean(lambda s: (2 + s + s.exp() * (s - 2)) / s**3, z)
    last = _contour_mean(lambda s: (-4 - 3 * s - s**2 + s.exp() * (4 - s)) / s**3, z)
    f0 = f(u)
    a = half * u + q * f0
    fa = f(a)
    b = half * u + q * fa
    fb = f(b)
    c = half * a + q * (2 * fb - f0)
    return whole * u + first * f0 + 2 * middle * (fa + fb) + last * f(c)


_RK3 = ((0.0, 1 / 3, 3 / 4, 1.0), (0.0, -5 / 9, -153 / 128), (1 / 3, 15 / 16, 8 / 15))
_CARPENTER_KENNEDY = (
    (0.0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1.0),
    (0.0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257),
    (0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681),
)

# name -> (algorithm, evaluations of F a step)
SPECTRAL_STEPPERS: dict[str, tuple[Algorithm, int]] = {
    "etdrk2": (_etdrk2, 2),  # Cox and Matthews, J. Comput. Phys. 176, 2002
    "etdrk4": (_etdrk4, 4),  # Kassam and Trefethen, SIAM J. Sci. Comput. 26, 2005
    "euler": (_backward_forward_euler, 1),
    "cn_rk2": (_cn_rk2, 2),
    "cn_rk3": (_low_storage(*_RK3), 3),
    "cn_rk4": (_low_storage(*_CARPENTER_KENNEDY), 5),  # Carpenter and Kennedy, 1994
    "imex_sil3": (_imex_sil3, 3),  # Whitaker and Kar, Mon. Wea. Rev. 141, 2013
}
