"""Peers of the turbulence timings: run by the peer's own Python, which need not have pushforward.

`PYTHON turbulence_peers.py NAME THREADS` answers one JSON line for each JSON line it is given:
{"prepare": case} compiles, {"run": steps} takes steps from the case's initial field and gives the
seconds, {"save": path} writes the field they led to. A case holds n, length, dt, viscosity, drag,
amplitude and wavenumber of the forcing, the equation and the path of the initial field.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

__all__ = ["PEERS", "serve"]

Advance = Callable[[Any, int], Any]


def jax_cfd(case: dict[str, Any], field: np.ndarray) -> tuple[Any, Advance, Callable]:
    """`semi_implicit_navier_stokes` (explicit diffusion, van Leer, forward Euler)."""
    import jax
    import jax_cfd.base as cfd

    n, length = case["n"], case["length"]
    grid = cfd.grids.Grid((n, n), domain=((0, length), (0, length)))
    forcing = cfd.forcings.sum_forcings(
        cfd.forcings.kolmogorov_forcing(grid, scale=case["amplitude"], k=case["wavenumber"]),
        cfd.forcings.linear_forcing(grid, -case["drag"]),
    )
    step = cfd.equations.semi_implicit_navier_stokes(
        density=1.0, viscosity=case["viscosity"], dt=case["dt"], grid=grid, forcing=forcing
    )

    def wrap(velocity: Any) -> Any:
        boundary = cfd.boundaries.periodic_boundary_conditions(2)
        return tuple(
            cfd.grids.GridVariable(cfd.grids.GridArray(c, offset, grid), boundary)
            for c, offset in zip(velocity, grid.cell_faces, strict=True)
        )

    def one(velocity: Any, steps: Any) -> Any:
        velocity = jax.lax.fori_loop(0, steps, lambda _, v: step(v), wrap(velocity))
        return tuple(c.data for c in velocity)

    advance = jax.jit(jax.vmap(one, in_axes=(0, None)) if field.ndim == 4 else one)
    start = tuple(jax.numpy.asarray(np.moveaxis(field, -3, 0)))
    return (
        start,
        lambda state, steps: jax.block_until_ready(advance(state, steps)),
        lambda state: np.stack(state, -3),
    )


def exponax(case: dict[str, Any], field: np.ndarray) -> tuple[Any, Advance, Callable]:
    """`KolmogorovFlowVorticity` of order 2 (ETDRK2), stepped in Fourier space.

    Its velocity is (∂y, −∂x) Δ⁻¹ω, so its ω is the negative of the curl.
    """
    import exponax
    import jax

    stepper = exponax.stepper.KolmogorovFlowVorticity(
        2,
        case["length"],
        case["n"],
        case["dt"],
        diffusivity=case["viscosity"],
        drag=-case["drag"],
        injection_mode=case["wavenumber"],
        injection_scale=-case["amplitude"],
        order=2,
    )
    advance = jax.jit(
        lambda state, steps: jax.lax.fori_loop(
            0, steps, lambda _, s: stepper.step_fourier(s), state
        )
    )
    start = exponax.fft(jax.numpy.asarray(-field[None]), num_spatial_dims=2)
    return (
        start,
        lambda state, steps: jax.block_until_ready(advance(state, steps)),
        lambda state: -np.asarray(exponax.ifft(state, num_spatial_dims=2, num_points=case["n"]))[0],
    )


def torch_cfd(case: dict[str, Any], field: np.ndarray) -> tuple[Any, Advance, Callable]:
    """Finite volumes by forward Euler and van Leer, or Fourier modes by CN-RK4."""
    import torch
    from torch_cfd import boundaries, forcings, fvm, grids, spectral

    length, dt = case["length"], case["dt"]
    grid = grids.Grid((case["n"],) * 2, domain=((0, length), (0, length)))
    modes = case["equation"] == "spectral"
    forcing = forcings.KolmogorovForcing(
        grid=grid,
        scale=case["amplitude"],
        diam=length,
        wave_number=case["wavenumber"],
        offsets=((0, 0), (0, 0)) if modes else grid.cell_faces,
        vorticity=modes,
    )
    flow = torch.from_numpy(field)
    start: Any
    if modes:
        solver = spectral.NavierStokes2DSpectral(
            viscosity=case["viscosity"],
            grid=grid,
            drag=case["drag"],
            smooth=True,
            forcing_fn=forcing,
            step_fn=spectral.RK4CrankNicolsonStepper(),
        )
        start = torch.fft.rfft2(flow)

        def back(state: Any) -> np.ndarray:
            return torch.fft.irfft2(state).numpy()
    else:
        solver = fvm.NavierStokes2DFVMProjection(
            viscosity=case["viscosity"],
            grid=grid,
            drag=case["drag"],
            forcing=forcing,
            step_fn=fvm.RKStepper.from_method("forward_euler"),
        )
        start = grids.GridVariableVector(
            tuple(
                grids.GridVariable(c, offset, grid, boundaries.periodic_boundary_conditions(ndim=2))
                for c, offset in zip(flow.unbind(-3), grid.cell_faces, strict=True)
            )
        )

        def back(state: Any) -> np.ndarray:
            return torch.stack([c.data for c in state], -3).numpy()

    @torch.no_grad()
    def advance(state: Any, steps: int) -> Any:
        for _ in range(steps):
            state, _ = solver(state, dt)
        return state

    return start, advance, back


PEERS = {
    "jax-cfd": (jax_cfd, ("jax-cfd", "jax")),
    "exponax": (exponax, ("exponax", "jax")),
    "torch-cfd": (torch_cfd, ("torch-cfd", "torch")),
}


def serve(name: str, threads: int) -> None:
    """Answer orders from standard input until it ends."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # what XLA counts
    os.environ["OMP_NUM_THREADS"] = str(threads)
    make, packages = PEERS[name]
    replies, sys.stdout = sys.stdout, sys.stderr  # whatever a peer prints stays out of the way
    start, state, advance, back = None, None, None, None
    for line in sys.stdin:
        order = json.loads(line)
        reply: dict[str, Any] = {}
        if "prepare" in order:
            case = order["prepare"]
            start, advance, back = make(case, np.load(case["initial"], allow_pickle=False))
            advance(start, 2)
            reply["versions"] = {p: metadata.version(p) for p in packages}
        elif "run" in order and advance is not None:
            begin = time.perf_counter()
            state = advance(start, order["run"])
            reply["seconds"] = time.perf_counter() - begin
        elif "save" in order and back is not None:
            np.save(order["save"], back(state))
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
