"""Steps per second of the turbulence solvers beside jax-cfd, exponax and torch-cfd, in one run.

Every method of a case starts from the same field with the same dt, scheme, dtype and threads.
Peers live in Python environments of their own and are driven over a pipe (`turbulence_peers.py`);
repeats alternate between the methods, so that a machine that slows down slows all of them. How far
the fields lie apart after some steps says whether the same thing is timed.
"""

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from pushforward.benchmarks.performance.machine import processor
from pushforward.benchmarks.performance.turbulence_methods import Case, Ours, Peer
from pushforward.benchmarks.performance.turbulence_peers import PEERS
from pushforward.benchmarks.performance.turbulence_table import COMPARED_STEPS, plot, table
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import library_versions, provenance

__all__ = ["PRESETS", "run"]

PIECE = 100
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"sizes": (16,), "flows": 2, "batched": 16, "repeats": 2, "seconds": 0.005},
    "small": {"sizes": (64, 256, 1024), "flows": 16, "batched": 64, "repeats": 9, "seconds": 0.4},
}


def cases(n: int, flows: int, batched: int) -> list[Case]:
    """What is compared: finite volumes, two spectral steppers, and a batch of small flows."""
    names = {name: (name, name, 1) for name in ("ours", *PEERS)}
    ours, jax, exponax, port = names.values()
    found = [
        Case("finite volume, van Leer, Euler", "finite_volume", "euler", n, (ours, jax, port)),
        Case("spectral, ETDRK2", "spectral", "etdrk2", n, (ours, exponax)),
        Case("spectral, CN-RK4", "spectral", "cn_rk4", n, (ours, port)),
    ]
    if n == batched:
        many = (
            (f"ours, {flows} at once", "ours", flows),
            ("jax-cfd, one", "jax-cfd", 1),
            (f"jax-cfd, {flows} by vmap", "jax-cfd", flows),
        )
        name = f"finite volume, {flows} flows (flow-steps)"
        found.append(Case(name, "finite_volume", "euler", n, many))
    return found


def time_case(
    case: Case, pythons: Mapping[str, str], threads: int, repeats: int, seconds: float
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of one case, one a method, and the peers' versions."""
    methods: dict[str, tuple[Ours | Peer, int]] = {}
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for label, who, flows in case.methods:
                if who == "ours":
                    methods[label] = (Ours(case, flows), flows)
                elif who in pythons:
                    peer = Peer(who, pythons[who], threads, Path(folder))
                    methods[label] = (peer, flows)
                    peer.prepare(case, Ours(case, flows).field())
                    versions |= peer.versions
            for method, _ in methods.values():
                method.run(COMPARED_STEPS)
            fields = {label: method.field() for label, (method, _) in methods.items()}
            steps = {
                label: max(1, round(seconds / max(method.run(3) / 3, 1e-9)))
                for label, (method, _) in methods.items()
            }
            rates: dict[str, list[float]] = {label: [] for label in methods}
            for _ in range(repeats):
                for label, (method, flows) in methods.items():
                    rates[label].append(flows * steps[label] / _seconds(method, steps[label]))
        finally:
            for method, _ in methods.values():
                if isinstance(method, Peer):
                    method.close()
    first = case.methods[0][0]
    ours, field = rates[first], fields[first]
    rows = []
    for label, values in rates.items():
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        rows.append(
            {
                "case": case.name,
                "n": case.n,
                "method": label,
                "steps_per_second": median,
                "quartiles": [low, high],
                "ours_over_this": statistics.median(ratios),
                "distance": _distance(field, fields[label]),
                "steps_a_repeat": steps[label],
                "rates": values,
            }
        )
    return rows, versions


def _seconds(method: Ours | Peer, steps: int) -> float:
    """Seconds for that many steps, started anew after each piece: coarse flows grow too fast."""
    whole, rest = divmod(steps, PIECE)
    return sum(method.run(n) for n in [PIECE] * whole + [rest] * bool(rest))


def _distance(ours: np.ndarray, other: np.ndarray) -> float:
    """Greatest difference over our greatest value; a single flow is the first one of a batch."""
    ours = ours[(0,) * (ours.ndim - other.ndim)]
    return float(np.abs(ours - other).max() / np.abs(ours).max())


def run(
    preset: str,
    out: Path,
    *,
    threads: int = 1,
    sizes: Sequence[int] | None = None,
    pythons: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Time the cases of a preset; writes turbulence.json, .md and .png into `out`.

    Sizes and threads timed before into the same folder are kept, those timed again replaced.

    Parameters
    ----------
    preset : "smoke" (a second, for tests) or "small" (64, 256 and 1024 points a side).
    out : folder for the results.
    threads : CPU threads of every method.
    sizes : points a side, if not all those of the preset.
    pythons : peer's name -> its Python; a peer without one is left out.
    """
    settings, pythons = PRESETS[preset], pythons or {}
    sizes = tuple(sizes or settings["sizes"])
    path = out / "turbulence.json"
    entries = json.loads(path.read_text())["runs"] if path.exists() else []
    absent = sorted(set(PEERS) - set(pythons))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for n in sizes:
            rows, versions = [], library_versions()
            compared = cases(n, settings["flows"], settings["batched"])
            for case in tqdm(compared, desc=f"{n} x {n}, {threads} thread(s)"):
                timed, found = time_case(
                    case, pythons, threads, settings["repeats"], settings["seconds"]
                )
                rows += timed
                versions |= found
            entry = {
                "n": n,
                "threads": threads,
                "processor": processor(),
                "versions": versions,
                "absent": absent,
                "rows": rows,
                "provenance": provenance(configuration=settings),
            }
            entries = [e for e in entries if (e["n"], e["threads"]) != (n, threads)] + [entry]
    finally:
        torch.set_num_threads(before)
    entries.sort(key=lambda e: (e["threads"], e["n"]))
    results = {"runs": entries}
    write_json(path, results)
    with atomic_path(out / "turbulence.md") as temporary:
        temporary.write_text(table(results), encoding="utf-8")
    plot(results, out / "turbulence.png")
    print(table(results))
    return results
