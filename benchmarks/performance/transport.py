"""Entropic transport against POT and GeomLoss: seconds to an L1 marginal error, in one run.

Every method gets the same cost matrix in float64 and the same threads; what counts is the error
measured on the plan it returns, not the one it reports. A peer that stops early is run again with
a stricter threshold; one that cannot reach the goal within its limit is listed with the error it
had when it was stopped, and its seconds are then a lower bound.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance
from pushforward.surrogates.ot import cost_matrix, solve

__all__ = ["PRESETS", "run"]

GOAL = 1e-6
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"n": 64, "fractions": (0.05,), "dimensions": (2,), "batch": (8, 16), "limit": 1.0},
    "small": {
        "n": 1024,
        "fractions": (0.05, 0.01, 0.002),
        "dimensions": (50, 2),
        "batch": (256, 64),
        "limit": 30.0,
    },
}


def clouds(n: int, d: int, count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Two Gaussian clouds, x ~ N(0, I) and y ~ N(0.3, 0.81 I), shape (count, n, d)."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((count, n, d)))
    y = torch.from_numpy(0.9 * rng.standard_normal((count, n, d)) + 0.3)
    return x, y


def marginal_error(P: torch.Tensor) -> float:
    """Worst L1 violation of uniform marginals over all plans, (count, n, m)."""
    if not torch.isfinite(P).all():
        return float("inf")
    rows = (P.sum(-1) - 1 / P.shape[-2]).abs().sum(-1)
    columns = (P.sum(-2) - 1 / P.shape[-1]).abs().sum(-1)
    return torch.maximum(rows, columns).max().item()


def timed(call: Callable[[], torch.Tensor], repeats: int = 3) -> tuple[float, float]:
    """Median seconds and the measured error of the plan."""
    seconds: list[float] = []
    plan = torch.empty(0)
    for _ in range(max(repeats, 1)):
        start = time.perf_counter()
        plan = call()
        seconds.append(time.perf_counter() - start)
        if seconds[0] > 2.0:
            break
    return sorted(seconds)[len(seconds) // 2], marginal_error(plan)


def _ours(C: torch.Tensor, eps: float, tol: float = GOAL) -> torch.Tensor:
    return solve(C, eps=eps, tol=tol, warn=False).plan


def _pot(C: torch.Tensor, eps: float, method: str, threshold: float, limit: int) -> torch.Tensor:
    import ot

    a = torch.full((C.shape[0],), 1 / C.shape[0], dtype=C.dtype)
    b = torch.full((C.shape[1],), 1 / C.shape[1], dtype=C.dtype)
    return ot.sinkhorn(a, b, C, eps, method=method, stopThr=threshold, numItermax=limit, warn=False)


def _pot_to_goal(C: torch.Tensor, eps: float, method: str, limit: float) -> dict[str, Any]:
    """POT with the threshold that just meets the goal; its own threshold is a 2-norm."""
    _pot(C, eps, method, 0.0, 1)
    start = time.perf_counter()
    _pot(C, eps, method, 0.0, 20)
    iterations = max(20, int(limit / (time.perf_counter() - start) * 20))
    iterations = min(iterations, 5000) if method == "sinkhorn" else iterations
    threshold = GOAL / C.shape[0] ** 0.5
    for _ in range(4):
        seconds, error = timed(partial(_pot, C, eps, method, threshold, iterations))
        if error <= GOAL or seconds > 0.8 * limit:
            break
        threshold *= max(0.1, 0.8 * GOAL / error)
    return {"seconds": seconds, "error": error, "met": error <= GOAL}


def _case(n: int, d: int, fraction: float, limit: float) -> dict[str, Any]:
    x, y = clouds(n, d)
    C = cost_matrix(x[0], y[0])
    eps = fraction * C.mean().item()
    _ours(C, eps)
    seconds, error = timed(lambda: _ours(C, eps), 5)
    methods = {"ours": {"seconds": seconds, "error": error, "met": error <= GOAL}}
    methods["POT kernel"] = _pot_to_goal(C, eps, "sinkhorn", limit)
    methods["POT log"] = _pot_to_goal(C, eps, "sinkhorn_log", limit)
    again, _ = timed(lambda: _ours(C, eps), 5)
    methods["ours"]["seconds"] = (seconds + again) / 2
    geomloss = _geomloss(x[0], y[0], eps)
    if geomloss is not None:
        methods["GeomLoss"] = geomloss
    curves: dict[str, list[tuple[float, float]]] = {"ours": [], "POT kernel": []}
    for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        curves["ours"].append(timed(partial(_ours, C, eps, tol), 1))
    for iterations in (10, 30, 100, 300, 1000, 3000):
        curves["POT kernel"].append(timed(partial(_pot, C, eps, "sinkhorn", 0.0, iterations), 1))
    return {"n": n, "d": d, "fraction": fraction, "methods": methods, "curves": curves}


def _geomloss(x: torch.Tensor, y: torch.Tensor, eps: float) -> dict[str, Any] | None:
    """GeomLoss at its finest usual schedule, if installed; its cost is |x-y|²/2, eps = blur²."""
    try:
        from geomloss import SamplesLoss
    except ImportError:
        return None
    n, m = len(x), len(y)
    loss = SamplesLoss(
        "sinkhorn",
        p=2,
        blur=(eps / 2) ** 0.5,
        scaling=0.9,
        debias=False,
        potentials=True,
        backend="tensorized",
    )

    def plan() -> torch.Tensor:
        f, g = loss(x, y)
        C = (x[:, None] - y[None]).square().sum(-1) / 2
        return ((f.reshape(n, 1) + g.reshape(1, m) - C) / (eps / 2)).exp() / (n * m)

    start = time.perf_counter()
    loss(x, y)
    seconds = time.perf_counter() - start
    error = marginal_error(plan())
    return {"seconds": seconds, "error": error, "met": error <= GOAL}


def _batched(count: int, n: int, limit: float) -> list[dict[str, Any]]:
    import ot

    x, y = clouds(n, 50, count)
    C = cost_matrix(x, y)
    rows = []
    for fraction in (0.05, 0.01):
        eps = fraction * C.mean((-2, -1))

        def ours(eps: torch.Tensor = eps) -> torch.Tensor:
            return solve(C, eps=eps, tol=GOAL, warn=False).plan

        def loop(eps: torch.Tensor = eps) -> torch.Tensor:
            threshold = GOAL / n**0.5 / 2
            plans, start = [], time.perf_counter()
            for cost, width in zip(C, eps.tolist(), strict=True):
                plans.append(_pot(cost, width, "sinkhorn", threshold, 5000))
                if time.perf_counter() - start > limit:
                    break
            return torch.stack(plans)

        def batch(eps: torch.Tensor = eps) -> torch.Tensor:
            return ot.solve_batch(C, reg=float(eps.mean()), max_iter=1000, tol=GOAL / n**0.5).plan

        ours()
        methods = {}
        for name, call in (("ours", ours), ("POT loop", loop), ("POT batch", batch)):
            if name == "POT batch" and fraction < 0.05:
                continue
            start = time.perf_counter()
            plans = call()
            first = time.perf_counter() - start
            done = len(plans) / count
            seconds, error = (first / done, marginal_error(plans))
            if name == "ours":
                seconds, error = timed(call, 5)
            methods[name] = {"seconds": seconds, "error": error, "met": error <= GOAL}
        rows.append({"count": count, "n": n, "fraction": fraction, "methods": methods})
    return rows


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"Seconds to an L1 marginal error of {GOAL:g}, float64, {results['threads']} thread(s), "
        "all methods in one run. `>`: stopped before the goal, at the error shown. "
        "Ratios are peer over ours.",
        "",
        "| n | d | eps / mean cost | method | seconds | L1 error | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in results["cases"]:
        lines += _rows(case, f"| {case['n']} | {case['d']} | {case['fraction']}")
    lines += ["", "Batches of problems in 50 dimensions, all of them together:", ""]
    lines += ["| problems | n | eps / mean cost | method | seconds | L1 error | ratio |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for case in results["batches"]:
        lines += _rows(case, f"| {case['count']} | {case['n']} | {case['fraction']}")
    return "\n".join(lines) + "\n"


def _rows(case: dict[str, Any], start: str) -> list[str]:
    ours = case["methods"]["ours"]["seconds"]
    return [
        f"{start} | {name} | {'' if m['met'] else '> '}{m['seconds']:.3f} | {m['error']:.1e} | "
        f"{'' if m['met'] else '> '}{m['seconds'] / ours:.1f} |"
        for name, m in case["methods"].items()
    ]


def _plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    cases = results["cases"]
    figure, axes = plt.subplots(1, len(cases), figsize=(3.2 * len(cases), 3.2), squeeze=False)
    for axis, case in zip(axes[0], cases, strict=True):
        for name, points in case["curves"].items():
            seconds, errors = zip(*points, strict=True)
            axis.loglog(seconds, errors, "o-", label=name)
        for name, m in case["methods"].items():
            if name not in case["curves"]:
                axis.loglog([m["seconds"]], [m["error"]], "s", label=name)
        axis.axhline(GOAL, color="grey", lw=0.5)
        axis.set(title=f"d = {case['d']}, eps = {case['fraction']} mean", xlabel="seconds")
    axes[0][0].set_ylabel("L1 marginal error")
    axes[0][0].legend()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    plt.close(figure)


def run(preset: str, out: Path, *, threads: int = 1) -> dict[str, Any]:
    """Run all cases of a preset; writes ot.json, ot.md and ot.png into `out`.

    Parameters
    ----------
    preset : "smoke" (a second, for tests) or "small" (the six cases of 1024 points).
    out : folder for the results.
    threads : CPU threads of every method.
    """
    settings = PRESETS[preset]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        cases = []
        for d in settings["dimensions"]:
            for fraction in settings["fractions"]:
                cases.append(_case(settings["n"], d, fraction, settings["limit"]))
                print(*_rows(cases[-1], f"| {settings['n']} | {d} | {fraction}"), sep="\n")
        batches = _batched(settings["batch"][0], settings["batch"][1], settings["limit"])
    finally:
        torch.set_num_threads(before)
    results = {
        "preset": preset,
        "threads": threads,
        "goal": GOAL,
        "cases": cases,
        "batches": batches,
        "provenance": provenance(configuration=settings),
    }
    write_json(out / "ot.json", results)
    with atomic_path(out / "ot.md") as temporary:
        temporary.write_text(table(results), encoding="utf-8")
    _plot(results, out / "ot.png")
    print(table(results))
    return results
