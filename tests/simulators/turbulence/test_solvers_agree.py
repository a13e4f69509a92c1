"""Finite volumes and Fourier modes, which share no line of numerics, solve the same equation."""

import math

import pytest
import torch

from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    fourier_resample,
    project,
    vorticity,
)

TAU = 2 * math.pi
CENTRES = ((1.0, 0.5), (0.5, 1.0))


def difference(n, *, forced, time, advection, stepper, cells=64):
    """Greatest difference of the vorticity over its root mean square; both resolve the start."""
    forcing = KolmogorovForcing() if forced else None
    options = {"domain": TAU, "viscosity": 1e-2, "drag": 0.1, "forcing": forcing}
    options |= {"max_velocity": 2.0, "dtype": torch.float64}
    modes = SpectralSolver((cells, cells), dt=time / 64, stepper="etdrk4", **options)
    start = modes.initial(seed=0, max_velocity=2.0, peak_wavenumber=2.0)
    velocity = modes.velocity(start)
    steps = math.ceil(time / (0.2 * TAU / n / 2.0))
    volumes = FiniteVolumeSolver(
        (n, n), dt=time / steps, advection=advection, stepper=stepper, **options
    )
    faces = [
        fourier_resample(velocity[i], offset=(0.0, 0.0), to_cells=n, to_offset=o)
        for i, o in enumerate(CENTRES)
    ]
    state = volumes.advance(project(torch.stack(faces), volumes.spacing), steps)
    exact = modes.vorticity(modes.advance(start, 64))
    exact = fourier_resample(exact, offset=(0.0, 0.0), to_cells=n, to_offset=(1.0, 1.0))
    found = vorticity(state, volumes.spacing)
    return ((found - exact).abs().max() / exact.square().mean().sqrt()).item()


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(
    ("scheme", "most", "least_order"),
    [(("central", "rk4"), 0.05, 1.7), (("van_leer", "euler"), 0.2, 1.0)],
)
def test_they_converge_to_each_other(forced, scheme, most, least_order):
    advection, stepper = scheme
    errors = [
        difference(n, forced=forced, time=0.5, advection=advection, stepper=stepper)
        for n in (64, 128)
    ]
    assert errors[1] < most
    assert math.log2(errors[0] / errors[1]) > least_order


@pytest.mark.slow
@pytest.mark.parametrize(("forced", "steps", "most"), [(False, 500, 0.09), (True, 150, 0.075)])
def test_they_agree_at_512_as_the_peers_do(forced, steps, most):
    """From the same random start on 512² cells, nu 1e-2, speed 2, CFL 0.1; the vorticity of the
    staggered grid sits one cell further. The peers' bounds are 0.09 and 0.07 for a random field of
    their own generator; with this one the forced case was measured at 0.0710."""
    n = 512
    dt = 0.1 * TAU / n / 2.0
    forcing = KolmogorovForcing() if forced else None
    options = {"domain": TAU, "viscosity": 1e-2, "drag": 0.1 if forced else 0.0, "dt": dt}
    options |= {"forcing": forcing, "max_velocity": 2.0}
    volumes = FiniteVolumeSolver((n, n), **options)
    modes = SpectralSolver((n, n), stepper="cn_rk4", **options)
    state = volumes.initial(seed=0, max_velocity=2.0, peak_wavenumber=3.0)
    spectrum = torch.fft.rfft2(vorticity(state, volumes.spacing).roll((1, 1), (0, 1)))
    found = vorticity(volumes.advance(state, steps), volumes.spacing).roll((1, 1), (0, 1))
    expected = modes.vorticity(modes.advance(spectrum, steps))
    assert (found - expected).abs().max() < most
    assert (expected - torch.fft.irfft2(spectrum)).abs().max() > 10 * most
