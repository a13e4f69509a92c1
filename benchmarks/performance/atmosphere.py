"""The transport's speed: cell-updates a second of the kernels, beside NumPy, in one run.

A cell-update is one tracer in one cell carried through one whole step (X½ Y X½) of the deforming
flow of Nair and Lauritzen, its winds included. `NumPy` is the same parabolic scheme, PPM, written
with whole arrays: the yardstick of what one would write by hand.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pushforward.simulators.atmosphere import (
    TracerTransport,
    deformational_flow,
    latlon_grid,
    tracers,
)
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance

__all__ = ["PRESETS", "run"]

PERIOD = 12 * 86400.0
TRACERS = (
    tracers.gaussian_hills,
    tracers.cosine_bells,
    tracers.slotted_cylinders,
    tracers.correlated_bells,
)
SCHEMES = (
    "upwind",
    "van_leer",
    "ppm",
    "ppm_monotone",
    "slopes",
    "moments",
    "moments_monotone",
    "moments_sheared",
)
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "rows": 12,
        "steps": 60,
        "numpy_steps": 60,
        "repeats": 1,
        "schemes": ("ppm", "moments"),
    },
    "small": {"rows": 120, "steps": 600, "numpy_steps": 60, "repeats": 2, "schemes": SCHEMES},
}

Array = NDArray[np.float64]


def numpy_step(mass: Array, tracer: Array, east: Array, north: Array) -> tuple[Array, Array]:
    """X½ Y X½ of unlimited PPM for masses (lat, lon) and tracers (tracer, lat, lon)."""
    for axis, share in (("x", 0.5), ("y", 1.0), ("x", 0.5)):
        q = tracer / mass
        if axis == "x":
            flux = share * np.concatenate((east[:, -1:], east), -1)
            wide = np.concatenate((q[..., -3:], q, q[..., :3]), -1)
            air = np.pad(mass, ((0, 0), (1, 1)), "wrap")
        else:
            flux = share * north.T
            beyond = np.roll(q, q.shape[-1] // 2, -1)
            wide = np.concatenate((beyond[:, 2::-1], q, beyond[:, :-4:-1]), -2).swapaxes(-1, -2)
            air = np.pad(mass.T, ((0, 0), (1, 1)), "edge")
        edge = (7 * (wide[..., 1:-2] + wide[..., 2:-1]) - (wide[..., :-3] + wide[..., 3:])) / 12
        left, right, mean = edge[..., :-1], edge[..., 1:], wide[..., 2:-2]
        jump, curve = right - left, 6 * mean - 3 * (left + right)
        forth, back = np.maximum(flux, 0), np.maximum(-flux, 0)
        a, b = forth / air[:, :-1], back / air[:, 1:]
        out = right[..., :-1] - a / 2 * (jump[..., :-1] - (1 - 2 * a / 3) * curve[..., :-1])
        into = left[..., 1:] + b / 2 * (jump[..., 1:] + (1 - 2 * b / 3) * curve[..., 1:])
        change, moved = np.diff(flux), np.diff(forth * out - back * into)
        mass = mass - (change if axis == "x" else change.T)
        tracer = tracer - (moved if axis == "x" else moved.swapaxes(-1, -2))
    return mass, tracer


def run(preset: str, out: Path, *, threads: int = 2) -> dict[str, Any]:
    """Time every scheme and the NumPy twin; writes atmosphere.json, .md and .png into `out`.

    Parameters
    ----------
    preset : "smoke" (a second, for tests) or "small" (case 4 at 1.5 degrees, 600 steps).
    out : folder for the results.
    threads : CPU threads of the kernels; NumPy's operations use one.
    """
    settings = PRESETS[preset]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows, difference = _measure(settings)
    finally:
        torch.set_num_threads(before)
    results = {
        "preset": preset,
        "threads": threads,
        "steps": settings["steps"],
        "tracers": len(TRACERS),
        "rows": rows,
        "largest_difference_to_numpy": difference,
        "provenance": provenance(configuration=settings),
    }
    write_json(out / "atmosphere.json", results)
    with atomic_path(out / "atmosphere.md") as temporary:
        temporary.write_text(table(results), encoding="utf-8")
    _plot(rows, out / "atmosphere.png")
    print(table(results))
    return results


def _measure(settings: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
    n_lat, n_steps = settings["rows"], settings["steps"]
    grid = latlon_grid(n_lat, 2 * n_lat)
    winds, dt = deformational_flow(grid), PERIOD / n_steps
    cells, rows = grid.n_lat * grid.n_lon, []
    for scheme in settings["schemes"]:
        solver = TracerTransport(grid, scheme=scheme, dt=dt)
        start = solver.initial(list(TRACERS))
        solver.advance(start, 2, winds)  # compile
        seconds = []
        for _ in range(settings["repeats"]):
            begun = time.perf_counter()
            solver.advance(start, n_steps, winds)
            seconds.append(time.perf_counter() - begun)
        rows.append(_row(scheme, seconds, n_steps, cells))
    solver = TracerTransport(grid, scheme="ppm", dt=dt)
    state, steps = solver.initial(list(TRACERS)), settings["numpy_steps"]
    ours = solver.advance(state, steps, winds)
    mass, tracer = state.air_mass[0].numpy(), state.tracer_mass[:, 0].numpy()
    start_mass, start_tracer, seconds = mass, tracer, []
    for _ in range(settings["repeats"]):
        mass, tracer = start_mass, start_tracer
        begun = time.perf_counter()
        for n in range(steps):
            fluxes = winds(n * dt, dt)
            east, north = fluxes.east[0].numpy(), fluxes.north[0].numpy()
            mass, tracer = numpy_step(mass, tracer, east, north)
        seconds.append(time.perf_counter() - begun)
    rows.append(_row("ppm in NumPy", seconds, steps, cells))
    return rows, float(np.abs(tracer / mass - ours.mixing_ratio[:, 0].numpy()).max())


def _row(name: str, seconds: list[float], steps: int, cells: int) -> dict[str, Any]:
    return {
        "scheme": name,
        "steps": steps,
        "seconds": min(seconds),
        "repeats": seconds,
        "cell_updates_a_second": steps * cells * len(TRACERS) / min(seconds),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = results["rows"]
    numpy = rows[-1]["cell_updates_a_second"]
    lines = [
        f"{results['tracers']} tracers, {results['threads']} thread(s), winds included. Seconds "
        f"for {results['steps']} steps, the least of {len(rows[0]['repeats'])} runs; NumPy's are "
        f"scaled from {rows[-1]['steps']}. Largest difference between the two ways to do PPM: "
        f"{results['largest_difference_to_numpy']:.0e}.",
        "",
        "| scheme | seconds | million cell-updates a second | times NumPy |",
        "|---|---|---|---|",
    ]
    for r in rows:
        seconds = r["seconds"] * results["steps"] / r["steps"]
        speed = r["cell_updates_a_second"]
        lines.append(f"| {r['scheme']} | {seconds:.2f} | {speed / 1e6:.1f} | {speed / numpy:.1f} |")
    return "\n".join(lines) + "\n"


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
    axis.barh([r["scheme"] for r in rows], [r["cell_updates_a_second"] / 1e6 for r in rows])
    axis.invert_yaxis()
    axis.set_xlabel("million cell-updates a second")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    plt.close(figure)
