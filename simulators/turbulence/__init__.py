"""Two-dimensional Navier-Stokes on a periodic rectangle: finite volumes and Fourier modes."""

from pushforward.simulators.turbulence.advection import (
    advect_scalar,
    advect_velocity,
    advection_from_fluxes,
    face_value,
    face_velocities,
    van_leer_limited,
)
from pushforward.simulators.turbulence.downsampling import downsample_velocity
from pushforward.simulators.turbulence.exact_flows import taylor_green
from pushforward.simulators.turbulence.finite_volume import FiniteVolumeSolver
from pushforward.simulators.turbulence.forcing import Forcing, KolmogorovForcing
from pushforward.simulators.turbulence.grid import PeriodicGrid
from pushforward.simulators.turbulence.initial import random_velocity
from pushforward.simulators.turbulence.operators import (
    divergence,
    laplacian,
    project,
    solve_diffusion,
    vorticity,
)
from pushforward.simulators.turbulence.resampling import fourier_resample, refine_velocity
from pushforward.simulators.turbulence.spectral import SpectralSolver
from pushforward.simulators.turbulence.time_step import stable_time_step

__all__ = [
    "FiniteVolumeSolver",
    "Forcing",
    "KolmogorovForcing",
    "PeriodicGrid",
    "SpectralSolver",
    "advect_scalar",
    "advect_velocity",
    "advection_from_fluxes",
    "divergence",
    "downsample_velocity",
    "face_value",
    "face_velocities",
    "fourier_resample",
    "laplacian",
    "project",
    "random_velocity",
    "refine_velocity",
    "solve_diffusion",
    "stable_time_step",
    "taylor_green",
    "van_leer_limited",
    "vorticity",
]
