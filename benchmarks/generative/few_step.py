"""Table (b): every few-step method on the same data, teacher and budget; W2 at 1, 2, 4, 8 NFE.

    python -m pushforward.benchmarks.generative.few_step --preset small --out DIR

Writes ``few_step.json``, ``.md`` and ``.png``, and ``trajectories.png``; finished seeds are kept.
Data sets: two plane pairs from normal noise; the handwritten digits of scikit-learn (if it is
installed) in 16 principal components, from noise; simulated cells in 20 principal components, from
control to treated.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pushforward.simulators.console import start_logging
from pushforward.surrogates.flow import PCALatent, optimal_assignment
from pushforward.surrogates.ot import cost_matrix

from ..transport_tables._clouds import cell_populations
from ._densities import draw
from ._few_step_methods import NFE, Budget, Problem, all_methods
from ._few_step_page import plot_samples, plot_trajectories, render

__all__ = ["main"]

PRESETS = {
    "smoke": Budget(steps=20, tune=10, seeds=2, test_points=64, pairs=256),
    "small": Budget(steps=2000, tune=600, seeds=3, test_points=1024, pairs=8192),
    "paper": Budget(steps=20_000, tune=5000, seeds=5, test_points=2048, pairs=65_536),
}
DATA = ("8gaussians", "moons", "digits", "cells")
REPEATS = 5  # of each timing; the least is kept, so that other work on the machine does not count


def problem(name: str, budget: Budget, seed: int) -> Problem:
    """The samplers of one data set; both draw from streams of this seed alone."""
    if name == "cells":
        g = torch.Generator().manual_seed(11 + seed)
        control, treated = cell_populations(20)
        return Problem(20, lambda n: control(n, g), lambda n: treated(n, g), budget, seed)
    rng = np.random.default_rng([11, seed])
    d = 16 if name == "digits" else 2

    def noise(n: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((n, d)).astype(np.float32))

    if name != "digits":
        return Problem(d, noise, lambda n: torch.from_numpy(draw(name, n, rng)), budget, seed)
    from sklearn.datasets import load_digits

    pixels = torch.from_numpy(load_digits().data).float()
    digits = PCALatent.fit(pixels, d).encode(pixels)

    def digit(n: int) -> Tensor:
        return digits[torch.from_numpy(rng.integers(0, len(digits), n))]

    return Problem(d, noise, digit, budget, seed)


def w2(x: Tensor, y: Tensor) -> float:
    """Exact Wasserstein-2 distance of two samples of equal size."""
    c = cost_matrix(x.double(), y.double())
    return float(c[optimal_assignment(c), torch.arange(len(y))].mean()) ** 0.5


def run(
    name: str, seed: int, budget: Budget
) -> tuple[list[dict[str, Any]], dict[str, Tensor], dict[str, nn.Module]]:
    """Rows of one data set and seed, and what the plots need."""
    data = problem(name, budget, seed)
    table, fields = all_methods(data)
    x0, x1 = data.source(budget.test_points), data.target(budget.test_points)
    reference = {"floor": w2(data.target(budget.test_points), x1), "identity": w2(x0, x1)}
    rows, samples = [], {"target": x1}
    for method, (sampler, spent, seconds) in table.items():
        row: dict[str, Any] = {"data": name, "seed": seed, "method": method, **reference}
        row |= {"training_rows": spent, "training_seconds": seconds}
        for n in NFE:
            sample = sampler(n)
            if sample is None:
                continue
            took = []
            for _ in range(REPEATS):
                begin = time.perf_counter()
                x = sample(x0)
                took.append(time.perf_counter() - begin)
            row[f"seconds_{n}"] = min(took)
            row[f"w2_{n}"] = w2(x, x1)
            if n == 2:
                samples[method] = x
        rows.append(row)
    return rows, samples, fields


def main(arguments: list[str] | None = None) -> None:
    """The command line of table (b)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    options = parser.parse_args(arguments)
    start_logging()
    torch.set_num_threads(1)
    p = PRESETS[options.preset]
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "few_step.json"
    result: dict[str, Any] = {"preset_name": options.preset, "preset": asdict(p), "rows": []}
    if target.exists():
        stored = json.loads(target.read_text())
        if stored["preset"] == result["preset"]:
            result = stored
    done = {(r["data"], r["seed"]) for r in result["rows"]}
    for name in options.data:
        for seed in range(p.seeds):
            if (name, seed) in done:
                continue
            rows, samples, fields = run(name, seed, p)
            result["rows"] += rows
            target.write_text(json.dumps(result, indent=1) + "\n")
            target.with_suffix(".md").write_text(render(result))
            if name == "8gaussians" and seed == 0:
                plot_samples(samples, target.with_suffix(".png"))
                plot_trajectories(fields, options.out / "trajectories.png")


if __name__ == "__main__":
    main()
