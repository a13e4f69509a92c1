"""The transport schemes on the standard tests of the sphere.

    python -m pushforward.benchmarks.validation.atmosphere --out DIR

writes ``transport.json`` (every number, versions, command), ``transport.md`` (tables),
``transport_fields.png`` and ``transport_diagnostics.png``. Errors are of cell means against cell
means of the exact solution.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.benchmarks.metrics.transport import (
    filament_preservation,
    mixing,
    transport_errors,
)
from pushforward.benchmarks.validation.atmosphere_figures import draw_diagnostics, draw_fields
from pushforward.benchmarks.validation.atmosphere_tables import tables
from pushforward.simulators.atmosphere import (
    TracerState,
    TracerTransport,
    Winds,
    dcmip,
    deformational_flow,
    divergent_flow,
    latlon_grid,
    solid_body_rotation,
    tracers,
)
from pushforward.simulators.atmosphere.schemes import SchemeName
from pushforward.simulators.console import start_logging
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance
from pushforward.surrogates.training import Progress

__all__ = ["PRESETS", "Sizes", "main", "run"]

PERIOD = 12 * 86400.0
EARTH = 6371220.0
THRESHOLDS = np.round(0.1 + 0.05 * np.arange(19), 2)
TRACERS = {
    "gaussian_hills": tracers.gaussian_hills,
    "cosine_bells": tracers.cosine_bells,
    "slotted_cylinders": tracers.slotted_cylinders,
    "correlated_bells": tracers.correlated_bells,
}
SCHEMES: tuple[SchemeName, ...] = (
    "upwind",
    "van_leer",
    "ppm",
    "ppm_monotone",
    "slopes",
    "slopes_monotone",
    "moments",
    "moments_monotone",
    "moments_sheared",
)


@dataclass(frozen=True)
class Sizes:
    """Grids as (rows, steps), or (rows, layers, steps); columns are twice the rows."""

    schemes: tuple[SchemeName, ...] = SCHEMES
    nondivergent: tuple[tuple[int, int], ...] = ((60, 300), (120, 600))
    divergent: tuple[tuple[int, int], ...] = ((60, 150),)
    rotation: tuple[tuple[int, int], ...] = ((64, 256),)
    deformational_3d: tuple[tuple[int, int, int], ...] = ((36, 20, 120),)
    hadley_cell: tuple[tuple[int, int, int], ...] = ((30, 10, 24), (60, 20, 48))
    schemes_3d: tuple[SchemeName, ...] = ("van_leer", "ppm", "moments", "moments_sheared")


PRESETS = {
    "smoke": Sizes(
        ("ppm_monotone", "moments", "moments_sheared"),
        ((12, 48), (16, 64)),
        ((12, 48),),
        ((16, 64),),
        ((12, 6, 48),),
        ((12, 8, 24), (16, 10, 32)),
        ("moments",),
    ),
    "small": Sizes(),
}


def _fields(state: TracerState) -> np.ndarray:
    return state.mixing_ratio.numpy()


def _courant(winds: Winds, air: Tensor, dt: float) -> float:
    """Greatest share of a cell's air that leaves it along one axis in the first step."""
    fluxes = winds(0.0, dt)
    leaving = [
        fluxes.east.clamp(min=0) + (-fluxes.east.roll(1, -1)).clamp(min=0),
        fluxes.north[..., 1:, :].clamp(min=0) + (-fluxes.north[..., :-1, :]).clamp(min=0),
        fluxes.up[..., 1:, :, :].clamp(min=0) + (-fluxes.up[..., :-1, :, :]).clamp(min=0),
    ]
    return max(float((x / air).max()) for x in leaving)


def plane_flow(
    make: Callable[..., Winds], scheme: SchemeName, n_lat: int, n_steps: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Errors and diagnostics of the four tracers after T, and the fields at T/2 and T."""
    grid = latlon_grid(n_lat, 2 * n_lat, radius=EARTH)
    winds, solver = make(grid), TracerTransport(grid, scheme=scheme, dt=PERIOD / n_steps)
    start = solver.initial(list(TRACERS.values()))
    half = solver.advance(start, n_steps // 2, winds)
    end = solver.advance(half, n_steps - n_steps // 2, winds)
    q0, qh, q, area = (*map(_fields, (start, half, end)), grid.cell_area.numpy()[None])
    row: dict[str, Any] = {
        "scheme": scheme,
        "rows": n_lat,
        "degrees": 180 / n_lat,
        "steps": n_steps,
        "courant": _courant(winds, start.air_mass, solver.dt),
        "mass_error": float((end.tracer_mass.sum() / start.tracer_mass.sum() - 1).abs()),
        "air_error": float((end.air_mass / start.air_mass - 1).abs().max()),
    }
    for i, name in enumerate(TRACERS):
        row[name] = transport_errors(q[i], q0[i], area, q0[i])._asdict()
    row["mixing"] = mixing(qh[1], qh[3], area)._asdict()
    row["filaments"] = filament_preservation(qh[1], q0[1], area, THRESHOLDS).tolist()
    return row, {"start": q0[:, 0], "half": qh[:, 0], "end": q[:, 0]}


def rotation(scheme: SchemeName, n_lat: int, n_steps: int) -> dict[str, Any]:
    """l₂ of Williamson's bell after a revolution, along the equator and over the poles."""
    grid = latlon_grid(n_lat, 2 * n_lat, radius=EARTH)
    row: dict[str, Any] = {"scheme": scheme, "rows": n_lat, "steps": n_steps}
    for name, angle in (("equator", 0.0), ("tilted", math.pi / 4), ("poles", math.pi / 2)):
        solver = TracerTransport(grid, scheme=scheme, dt=PERIOD / n_steps)
        start = solver.initial([tracers.cosine_bell])
        end = solver.advance(start, n_steps, solid_body_rotation(grid, angle=angle))
        q0, q = _fields(start)[0], _fields(end)[0]
        row[name] = transport_errors(q, q0, grid.cell_area.numpy(), q0)._asdict()
    return row


def volume_flow(
    case: str, scheme: SchemeName, n_lat: int, layers: int, n_steps: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Errors of a DCMIP case and its first tracer half way."""
    grid = latlon_grid(n_lat, 2 * n_lat, radius=EARTH)
    test = getattr(dcmip, case)(grid, layers)
    solver = TracerTransport(grid, scheme=scheme, dt=test.duration / n_steps)
    start = solver.initial(
        list(test.tracers.values()), air_mass=test.air_mass, pressure=test.pressure
    )
    half = solver.advance(start, n_steps // 2, test.winds)
    end = solver.advance(half, n_steps - n_steps // 2, test.winds)
    q0, q, weight = _fields(start), _fields(end), test.air_mass.numpy()
    row: dict[str, Any] = {
        "scheme": scheme,
        "rows": n_lat,
        "degrees": 180 / n_lat,
        "layers": layers,
        "steps": n_steps,
        "courant": _courant(test.winds, start.air_mass, solver.dt),
        "errors": {
            name: transport_errors(q[i], q0[i], weight, q0[i])._asdict()
            for i, name in enumerate(test.tracers)
        },
    }
    if len(q) == 4:  # 0.3 (q1 + q2 + q3) + q4 = 1 at all times in a linear scheme
        row["linear_relation"] = float(abs(0.3 * q[:3].sum(0) + q[3] - 1).max())
    return row, _fields(half)[0]


def run(preset: str, out: Path) -> dict[str, Any]:
    """All cases of a preset; writes the files into `out` and returns the numbers."""
    sizes = PRESETS[preset]
    parts = len(sizes.schemes) * (
        len(sizes.nondivergent) + len(sizes.divergent) + len(sizes.rotation)
    ) + len(sizes.schemes_3d) * (len(sizes.deformational_3d) + len(sizes.hadley_cell))
    results: dict[str, Any] = {"thresholds": THRESHOLDS.tolist()}
    fields: dict[str, Any] = {}
    with Progress(parts, "cases") as progress:
        for name, make in (("nondivergent", deformational_flow), ("divergent", divergent_flow)):
            results[name] = []
            for scheme in sizes.schemes:
                for n_lat, n_steps in getattr(sizes, name):
                    row, fields[f"{name} {scheme}"] = plane_flow(make, scheme, n_lat, n_steps)
                    results[name].append(row)
                    progress.advance()
        results["rotation"] = []
        for scheme in sizes.schemes:
            for n_lat, n_steps in sizes.rotation:
                results["rotation"].append(rotation(scheme, n_lat, n_steps))
                progress.advance()
        for case in ("deformational_3d", "hadley_cell"):
            results[case] = []
            for scheme in sizes.schemes_3d:
                for n_lat, layers, n_steps in getattr(sizes, case):
                    row, fields[f"{case} {scheme}"] = volume_flow(
                        case, scheme, n_lat, layers, n_steps
                    )
                    results[case].append(row)
                    progress.advance()
    out.mkdir(parents=True, exist_ok=True)
    about = provenance(configuration={"preset": preset, "threads": torch.get_num_threads()})
    write_json(out / "transport.json", {"preset": preset, **results, "provenance": about})
    with atomic_path(out / "transport.md") as temporary:
        temporary.write_text(tables(results), encoding="utf-8")
    draw_fields(fields, sizes.schemes, out / "transport_fields.png")
    draw_diagnostics(results, out / "transport_diagnostics.png")
    return results


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.validation.atmosphere",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("atmosphere-validation"))
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--threads", type=int, default=2, help="of the kernels")
    options = parser.parse_args(arguments)
    start_logging()
    torch.set_num_threads(options.threads)
    print(tables(run(options.preset, options.out)))


if __name__ == "__main__":
    main()
