"""Cells at scale: a shuffled epoch of a file larger than memory should hold, and a Monge map's fit.

`python -m pushforward.benchmarks.performance cells --out DIR [--cells N]`
"""

import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pushforward.benchmarks.performance.cells_reading import BATCH, LARGE, measure, write_cells
from pushforward.simulators.cells import PerturbedPopulations
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance
from pushforward.surrogates.cells import MongeOptions, fit_monge_map
from pushforward.surrogates.ot import wasserstein
from pushforward.surrogates.training import Optimisation, stream

__all__ = ["PRESETS", "run"]

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"cells": 20_000, "rounds": 1, "steps": 20, "hidden": (16,), "genes": 60},
    "small": {"cells": 1_000_000, "rounds": 2, "steps": 500, "hidden": (64,) * 4, "genes": 1000},
}
SHUFFLED = "ours, shuffled, CSR batches"
CONTIGUOUS = {n: f"anndata, contiguous blocks of {n}" for n in (BATCH, LARGE)}
OPTIONS = MongeOptions(fit_eps=0.05, batch_size=128)


def train_map(settings: dict[str, Any], *, seed: int) -> dict[str, float]:
    """Seconds of a fit in 50 dimensions, and what it is worth on cells that it did not see."""
    made = PerturbedPopulations(
        n_populations=1, n_cells=2000, n_latent=50, n_genes=settings["genes"]
    )
    cells = replace(made, measurement="none").simulate(seed=seed)
    z = torch.from_numpy(cells.obsm["latent"]).float()
    treated = torch.from_numpy((cells.obs["condition"] != "ctrl").to_numpy())
    sides = []
    for cloud in (z[~treated], z[treated]):
        order = torch.randperm(len(cloud), generator=stream(seed, "halves"))
        sides.append((cloud[order[:1000]], cloud[order[1000:]]))
    (x, x_new), (y, y_new) = sides
    begun = time.perf_counter()
    fitted = fit_monge_map(
        {"all": (x, y)},
        hidden=settings["hidden"],
        options=OPTIONS,
        optimisation=Optimisation(
            steps=settings["steps"], learning_rate=1e-3, weight_decay=1e-5, schedule="cosine"
        ),
        select_every=0,
        seed=seed,
    )
    seconds = time.perf_counter() - begun
    with torch.no_grad():
        moved = fitted.model(x_new)
    distances = {"W2": moved, "W2 identity": x_new, "W2 floor": y}
    return {
        "seconds": seconds,
        **{name: wasserstein(cloud, y_new).item() for name, cloud in distances.items()},
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    n = results["cells"]
    lines = [
        f"An epoch over {n:,} cells x 2,000 genes (CSR, 100 stored counts a cell), batches of "
        f"{BATCH} of one population and condition, counts log-normalised; "
        f"{results['rounds']} rounds in turns, each in a fresh process, file in the system's "
        f"cache, {results['processors']} processors. Rates: median (lowest to highest). Shares: "
        "median over rounds, of anndata's contiguous blocks of that size in the same round. "
        "Memory: resident peak of the whole process, imports and labels included.",
        "",
        f"| method | cells/s | share of {BATCH} | share of {LARGE} | peak MB | worker's MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, rounds in results["reading"].items():
        rates = [r["cells"] / r["seconds"] for r in rounds]
        shares = [
            statistics.median(
                rate * b["seconds"] / b["cells"]
                for rate, b in zip(rates, results["reading"][base], strict=True)
            )
            for base in CONTIGUOUS.values()
        ]
        peak = max(r["peak_mb"] for r in rounds)
        worker = f"{max(r['worker_peak_mb'] for r in rounds):.0f}" if "workers" in name else ""
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {shares[0]:.2f} | {shares[1]:.2f} | {peak:.0f} | {worker} |"
        )
    opened = [
        r["open_seconds"]
        for rounds in results["reading"].values()
        for r in rounds
        if "open_seconds" in r
    ]
    lines += [
        "",
        "Opening, with one pass over X that refuses NaN and finds whether it holds counts: "
        f"{statistics.median(opened):.1f} s.",
        "",
        f"A Monge map in 50 dimensions, {results['steps']} steps, 1000 control and 1000 treated "
        f"cells, {results['threads']} threads; W2 on 1000 unseen cells of each:",
        "",
        "| fit | seconds | W2 | identity | floor |",
        "|---|---|---|---|---|",
    ]
    for seed, fit in enumerate(results["training"]):
        lines.append(
            f"| seed {seed} | {fit['seconds']:.1f} | {fit['W2']:.2f} | {fit['W2 identity']:.2f} | "
            f"{fit['W2 floor']:.2f} |"
        )
    lines += ["", *(f"- {line}" for line in asked_and_found(results))]
    return "\n".join(lines) + "\n"


def asked_and_found(results: dict[str, Any]) -> list[str]:
    """What was asked of reading and of the fit, and whether the measurements give it."""

    def rate(name: str) -> float:
        return statistics.median(r["cells"] / r["seconds"] for r in results["reading"][name])

    share, base = rate(SHUFFLED) / rate(CONTIGUOUS[BATCH]), CONTIGUOUS[BATCH]
    peak = max(r["peak_mb"] for r in results["reading"][SHUFFLED])
    slowest = max(fit["seconds"] for fit in results["training"])
    found = [
        (f"a shuffled epoch at 70 % of the speed of {base} or more", share >= 0.7, f"{share:.0%}"),
        ("its resident memory below 1 GB", peak < 1000, f"{peak:.0f} MB"),
        ("a map in 50 dimensions within 2 minutes", slowest <= 120, f"{slowest:.1f} s at most"),
    ]
    return [f"{'Reached' if ok else 'Missed'}: {text} ({value})." for text, ok, value in found]


def _plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    names = list(results["reading"])
    figure, axis = plt.subplots(figsize=(7, 2.6))
    for i, name in enumerate(names):
        rates = [r["cells"] / r["seconds"] for r in results["reading"][name]]
        colour = "C0" if name.startswith("ours") else "0.6"
        axis.barh(i, statistics.median(rates), color=colour)
        axis.plot(rates, [i] * len(rates), "k.", markersize=4)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlabel(f"cells/s, {results['cells']:,} cells (dots: rounds)")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    plt.close(figure)


def run(
    preset: str, out: Path, *, threads: int = 2, n_cells: int | None = None, seeds: int = 3
) -> dict[str, Any]:
    """Write the file, measure, and leave cells.json, cells.md and cells.png in `out`.

    Parameters
    ----------
    preset : "smoke" (for tests) or "small" (a million cells).
    out : folder for the results; the cells' file lies there while it is read, then goes.
    threads : CPU threads of the map's fit.
    n_cells : another number of cells than the preset's.
    seeds : fits of the map.
    """
    import os

    settings = PRESETS[preset]
    n = settings["cells"] if n_cells is None else n_cells
    out.mkdir(parents=True, exist_ok=True)
    path = out / "cells-at-scale.h5ad"
    try:
        write_cells(path, n)
        reading = measure(path, n, rounds=settings["rounds"])
    finally:
        path.unlink(missing_ok=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        training = [train_map(settings, seed=seed) for seed in range(seeds)]
    finally:
        torch.set_num_threads(before)
    results = {
        "preset": preset,
        "cells": n,
        "rounds": settings["rounds"],
        "steps": settings["steps"],
        "threads": threads,
        "processors": os.cpu_count(),
        "reading": reading,
        "training": training,
        "provenance": provenance(configuration={**settings, "cells": n}),
    }
    write_json(out / "cells.json", results)
    with atomic_path(out / "cells.md") as temporary:
        temporary.write_text(table(results), encoding="utf-8")
    _plot(results, out / "cells.png")
    print(table(results))
    return results
