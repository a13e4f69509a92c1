"""Seconds a full time step of the channel solver takes: direct simulation and each sub-grid model.

A step is three Runge-Kutta stages in float64 with 3/2 padding in x and z, implicit viscosity and
constant flux. Every row starts from the same turbulent-like state; the median over repeats is
shown, with quartiles. Thread counts alternate within a repeat, so that a machine that slows down
slows them alike.
"""

import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pushforward.benchmarks.performance.machine import processor
from pushforward.simulators.channel import (
    WALE,
    ChannelFlow,
    ChannelState,
    DynamicSmagorinsky,
    VanDriestSmagorinsky,
    perturbed,
)
from pushforward.simulators.channel.closures import Closure
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import library_versions, provenance

__all__ = ["PRESETS", "run"]

CLOSURES: dict[str, Closure | None] = {
    "none": None,
    "dynamic Smagorinsky": DynamicSmagorinsky(),
    "WALE": WALE(),
    "Smagorinsky, van Driest": VanDriestSmagorinsky(),
}
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"direct": ((8, 17, 8),), "modelled": (8, 17, 8), "repeats": 3, "seconds": 0.005},
    "small": {
        "direct": ((16, 33, 16), (32, 65, 32), (64, 65, 64), (128, 129, 64)),
        "modelled": (16, 33, 16),
        "repeats": 9,
        "seconds": 0.3,
    },
}


def cases(settings: dict[str, Any]) -> list[tuple[tuple[int, int, int], str]]:
    """(points, closure) of every row."""
    direct = [(shape, "none") for shape in settings["direct"]]
    return direct + [(settings["modelled"], c) for c in CLOSURES if c != "none"]


def prepare(shape: tuple[int, int, int], closure: str) -> tuple[ChannelFlow, ChannelState]:
    """The solver and a moving state of the minimal flow unit, or of a box twice as long and wide
    where there are points for it."""
    size = 2.0 if shape[0] > 32 else 1.0
    flow = ChannelFlow(
        shape,
        lengths=(size * math.pi, size * 0.34 * math.pi),
        viscosity=1 / 4200,
        closure=CLOSURES[closure],
        dt=0.01,
    )
    return flow, flow.advance(perturbed(flow, seed=0), 1)


def run(preset: str, out: Path, *, threads: int = 2) -> dict[str, Any]:
    """Time every case on one thread and on `threads`; writes channel.json and .md into `out`.

    Parameters
    ----------
    preset : "smoke" (a second, for tests) or "small" (up to 128 x 129 x 64 points).
    out : folder for the results.
    threads : the larger of the two thread counts; 1 times one only.
    """
    settings, counts = PRESETS[preset], sorted({1, threads})
    before = torch.get_num_threads()
    rows = []
    try:
        for shape, closure in tqdm(cases(settings), desc="steps of the channel solver"):
            flow, state = prepare(shape, closure)
            times = _times(flow, state, counts, settings["repeats"], settings["seconds"])
            for count in counts:
                low, median, high = statistics.quantiles(times[count], n=4, method="inclusive")
                rows.append(
                    {
                        "points": list(shape),
                        "closure": closure,
                        "threads": count,
                        "milliseconds": median,
                        "quartiles": [low, high],
                    }
                )
    finally:
        torch.set_num_threads(before)
    results = {
        "preset": preset,
        "rows": rows,
        "processor": processor(),
        "versions": library_versions(),
        "provenance": provenance(configuration=settings),
    }
    write_json(out / "channel.json", results)
    with atomic_path(out / "channel.md") as temporary:
        temporary.write_text(table(results), encoding="utf-8")
    print(table(results))
    return results


def _times(
    flow: ChannelFlow, state: ChannelState, counts: list[int], repeats: int, seconds: float
) -> dict[int, list[float]]:
    """Milliseconds a step, repeat by repeat, for each number of threads."""
    start = time.perf_counter()
    flow.step(state)
    steps = max(1, round(seconds / (time.perf_counter() - start)))
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            torch.set_num_threads(count)
            now, start = flow.step(state), time.perf_counter()
            for _ in range(steps):
                now = flow.step(now)
            times[count].append((time.perf_counter() - start) / steps * 1e3)
    return times


def table(results: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        "# Channel solver, milliseconds a time step",
        "",
        f"{results['processor']}; float64, 3/2 padding, three stages; median (quartiles).",
        "",
        "| points x, y, z | sub-grid model | threads | ms |",
        "| --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        low, high = row["quartiles"]
        lines.append(
            f"| {' x '.join(map(str, row['points']))} | {row['closure']} | {row['threads']} | "
            f"{row['milliseconds']:.3g} ({low:.3g} to {high:.3g}) |"
        )
    return "\n".join(lines) + "\n"
