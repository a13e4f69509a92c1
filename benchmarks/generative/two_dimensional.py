"""Table (a): four pairs of plane densities, ours beside torchcfm, same draws, same network.

    python -m pushforward.benchmarks.generative.two_dimensional --preset small --out DIR

needs torchcfm in the environment (any environment: it is not a dependency of this package).
Writes ``two_dimensional.json`` and ``.md``; finished pairs are kept and not run again.
"""

import argparse
import itertools
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pushforward.simulators.console import start_logging
from pushforward.surrogates.flow import (
    ConstantNoisePath,
    FlowMatchingLoss,
    IndependentCoupling,
    MinibatchOTCoupling,
    ODESampler,
    draw_times,
    optimal_assignment,
)
from pushforward.surrogates.ot import cost_matrix

from ._densities import PAIRS, draw
from ._ensemble import Ensemble

__all__ = ["main", "run_pair", "time_steps"]

METHODS = ("I-CFM", "OT-CFM")
PACKAGES = ("ours", "torchcfm")


@dataclass(frozen=True)
class Preset:
    """Size of a run. ``width`` and ``depth`` are torchcfm's MLP, ``sigma`` its tutorials'."""

    steps: int
    seeds: int
    test_points: int
    test_draws: int
    timing_rounds: int
    batch: int = 256
    sigma: float = 0.1
    width: int = 64
    depth: int = 3
    learning_rate: float = 1e-3


PRESETS = {
    "smoke": Preset(steps=50, seeds=2, test_points=128, test_draws=2, timing_rounds=1),
    "small": Preset(steps=10_000, seeds=5, test_points=2048, test_draws=2, timing_rounds=15),
    "paper": Preset(steps=20_000, seeds=5, test_points=2048, test_draws=5, timing_rounds=15),
}


def peer_matchers(sigma: float) -> dict[str, Any]:
    """torchcfm's two matchers; SystemExit with the remedy if it is not installed."""
    try:
        import torchcfm
    except ImportError as missing:
        raise SystemExit(
            "torchcfm is not installed in this environment. Make one for peers: "
            "python -m venv peers; peers/bin/pip install pushforward; "
            "peers/bin/pip install --no-deps torchcfm"
        ) from missing
    return {
        "I-CFM": torchcfm.ConditionalFlowMatcher(sigma=sigma),
        "OT-CFM": torchcfm.ExactOptimalTransportConditionalFlowMatcher(sigma=sigma),
    }


def our_target(
    method: str, x0: Tensor, x1: Tensor, sigma: float, g: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """t, x_t and the regression target of this package."""
    coupling = MinibatchOTCoupling() if method == "OT-CFM" else IndependentCoupling()
    pairs = coupling(x0, x1, generator=g)
    t = draw_times(len(x1), generator=g)
    point = ConstantNoisePath(sigma).sample(pairs.x0, pairs.x1, t, generator=g)
    return t, point.x_t, point.dx_t


def train(pair: tuple[str, str], p: Preset) -> tuple[Ensemble, list[tuple[str, str, int]]]:
    """All (package, method, seed) networks of one pair at once, on the same batches."""
    rows = [(k, m, s) for k in PACKAGES for m in METHODS for s in range(p.seeds)]
    net = Ensemble([1000 + s for _, _, s in rows], 3, 2, p.width, p.depth)
    optimiser = torch.optim.Adam(net.parameters(), lr=p.learning_rate)
    peers = peer_matchers(p.sigma)
    data = [np.random.default_rng([7, s]) for s in range(p.seeds)]
    for step in range(p.steps):
        batches = [
            tuple(torch.from_numpy(draw(name, p.batch, rng)) for name in pair) for rng in data
        ]
        inputs, targets = [], []
        for package, method, s in rows:
            x0, x1 = batches[s]
            seed = step * p.seeds + s
            if package == "ours":
                g = torch.Generator().manual_seed(seed)
                t, x_t, u = our_target(method, x0, x1, p.sigma, g)
            else:
                # The peer draws from the global generators: same stream of t and noise as ours.
                torch.manual_seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                t, x_t, u = peers[method].sample_location_and_conditional_flow(x0, x1)
            inputs.append(torch.cat((x_t, t[:, None]), 1))
            targets.append(u)
        residual = net(torch.stack(inputs)) - torch.stack(targets)
        loss = residual.square().mean((1, 2)).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return net, rows


def squared_w2(x: Tensor, y: Tensor) -> float:
    """Exact squared Wasserstein-2 distance of two equal samples."""
    c = cost_matrix(x.double(), y.double())
    return float(c[optimal_assignment(c), torch.arange(len(y))].mean())


def score(field: Any, tests: list[tuple[Tensor, ...]], w2_squared: float) -> dict[str, float]:
    """W2 at 100 RK4 steps and 1, 2, 4, 8 Euler steps, signed NPE, straightness."""
    out: dict[str, list[float]] = {}
    for x0, x1 in tests:
        path = ODESampler(field, method="rk4", steps=100).sample(x0, keep_trajectory=True)
        states: Any = path.trajectory
        speed = torch.stack(
            [field(x, t.expand(len(x))) for x, t in zip(states, path.ts, strict=True)]
        )
        energy = torch.trapezoid(speed.square().sum(2).mean(1), path.ts)
        bend = (path.x - x0 - speed).square().sum(2).mean(1)
        out.setdefault("npe", []).append((float(energy) - w2_squared) / w2_squared)
        out.setdefault("straightness", []).append(float(torch.trapezoid(bend, path.ts)))
        out.setdefault("w2_rk4_100", []).append(squared_w2(path.x, x1) ** 0.5)
        for steps in (1, 2, 4, 8):
            x = ODESampler(field, method="euler", steps=steps).sample(x0).x
            out.setdefault(f"w2_euler_{steps}", []).append(squared_w2(x, x1) ** 0.5)
    return {name: float(np.mean(values)) for name, values in out.items()}


def run_pair(pair: tuple[str, str], p: Preset) -> dict[str, Any]:
    """Train and score all networks of one pair."""
    start = time.perf_counter()
    net, rows = train(pair, p)
    trained = time.perf_counter() - start
    rng = np.random.default_rng(99)
    tests = [
        tuple(torch.from_numpy(draw(name, p.test_points, rng)) for name in pair)
        for _ in range(p.test_draws)
    ]
    reference = [
        squared_w2(
            *(torch.from_numpy(draw(name, p.test_points, rng)) for name in pair),
        )
        for _ in range(5)
    ]
    floor = [
        squared_w2(
            torch.from_numpy(draw(pair[1], p.test_points, rng)),
            torch.from_numpy(draw(pair[1], p.test_points, rng)),
        )
        ** 0.5
        for _ in range(5)
    ]
    w2_squared = float(np.mean(reference))
    runs = [
        {"package": k, "method": m, "seed": s, **score(net.member(i), tests, w2_squared)}
        for i, (k, m, s) in enumerate(rows)
    ]
    return {
        "source": pair[0],
        "target": pair[1],
        "w2_squared": w2_squared,
        "w2_squared_error": float(np.std(reference, ddof=1) / len(reference) ** 0.5),
        "floor": float(np.mean(floor)),
        "floor_error": float(np.std(floor, ddof=1) / len(floor) ** 0.5),
        "runs": runs,
        "train_seconds_all": trained,
        "total_seconds": time.perf_counter() - start,
    }


def time_steps(p: Preset, steps: int = 100) -> list[dict[str, Any]]:
    """Milliseconds a training step, alternating between the packages; the ratio of each round.

    Both use the same `nn.Sequential` network, optimiser and batches; only the making of pairs,
    x_t, target and loss differs.
    """
    table = []
    peers = peer_matchers(p.sigma)
    for method in METHODS:
        for pair in PAIRS:
            rng = np.random.default_rng(3)
            batches = [
                tuple(torch.from_numpy(draw(n, p.batch, rng)) for n in pair) for _ in range(steps)
            ]
            coupling = MinibatchOTCoupling() if method == "OT-CFM" else IndependentCoupling()
            loss_of = FlowMatchingLoss(ConstantNoisePath(p.sigma), coupling)
            clock: dict[str, list[float]] = {k: [] for k in PACKAGES}
            nets = {k: _network(p) for k in PACKAGES}
            for _ in range(p.timing_rounds + 1):
                for package in PACKAGES:
                    net, optimiser = nets[package]

                    def field(x: Tensor, t: Tensor, net: nn.Module = net) -> Tensor:
                        return net(torch.cat((x, t[:, None]), 1))

                    start = time.perf_counter()
                    for x0, x1 in batches:
                        optimiser.zero_grad()
                        if package == "ours":
                            loss = loss_of(field, x0, x1)
                        else:
                            t, x_t, u = peers[method].sample_location_and_conditional_flow(x0, x1)
                            loss = torch.mean((field(x_t, t) - u) ** 2)
                        loss.backward()
                        optimiser.step()
                    clock[package].append(1e3 * (time.perf_counter() - start) / steps)
            ours, theirs = (np.array(clock[k][1:]) for k in PACKAGES)  # the first round warms up
            ratio = ours / theirs
            table.append(
                {
                    "method": method,
                    "source": pair[0],
                    "target": pair[1],
                    "ours_ms": float(np.median(ours)),
                    "torchcfm_ms": float(np.median(theirs)),
                    "ratio": float(np.median(ratio)),
                    "ratio_quartiles": [float(q) for q in np.quantile(ratio, (0.25, 0.75))],
                }
            )
    return table


def _network(p: Preset) -> tuple[nn.Module, torch.optim.Optimizer]:
    sizes = [3, *[p.width] * p.depth]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.SELU()]
    net = nn.Sequential(*layers, nn.Linear(p.width, 2))
    return net, torch.optim.Adam(net.parameters(), lr=p.learning_rate)


def render(result: dict[str, Any]) -> str:
    """The table in Markdown, from the numbers of the JSON file."""
    p = result["preset"]
    lines = [
        "# Four pairs in the plane, beside torchcfm",
        "",
        f"{p['seeds']} seeds, {p['steps']} steps of Adam at batch {p['batch']}, MLP "
        f"{p['depth']}x{p['width']}, noise {p['sigma']}; exact W2 of {p['test_points']} points, "
        f"mean of {p['test_draws']} draws, the same for all. Mean ± standard error over seeds; "
        "`ours - torchcfm` is paired by seed (same initial network, batches, times and noise).",
        "",
        "| pair | method | package | W2, RK4 100 | W2, Euler 1 | Euler 2 | Euler 4 | Euler 8 "
        "| signed NPE | straightness |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    columns = ["w2_rk4_100", *(f"w2_euler_{n}" for n in (1, 2, 4, 8)), "npe", "straightness"]
    for pair in result["pairs"]:
        name = f"{pair['source']} → {pair['target']}"
        for method in METHODS:
            values = {
                k: np.array(
                    [
                        [r[c] for c in columns]
                        for r in pair["runs"]
                        if r["package"] == k and r["method"] == method
                    ]
                )
                for k in PACKAGES
            }
            rows = {**values, "ours - torchcfm": values["ours"] - values["torchcfm"]}
            for label, v in rows.items():
                mean, error = v.mean(0), v.std(0, ddof=1) / len(v) ** 0.5
                cells = " | ".join(f"{a:.3f} ± {b:.3f}" for a, b in zip(mean, error, strict=True))
                lines.append(f"| {name} | {method} | {label} | {cells} |")
        share = pair["w2_squared_error"] / pair["w2_squared"]
        lines.append(
            f"| {name} | reference | W2² = {pair['w2_squared']:.3f} ± "
            f"{pair['w2_squared_error']:.3f}, target against target "
            f"{pair['floor']:.3f} ± {pair['floor_error']:.3f} | | | | | | error of the reference: "
            f"{share:.3f} | |"
        )
    lines += ["", "A training step, alternating in one run (median, quartiles of the ratio):", ""]
    lines += ["| method | pair | ours, ms | torchcfm, ms | ratio |", "|---|---|---|---|---|"]
    for row in result["timing"]:
        low, high = row["ratio_quartiles"]
        lines.append(
            f"| {row['method']} | {row['source']} → {row['target']} | {row['ours_ms']:.2f} | "
            f"{row['torchcfm_ms']:.2f} | {row['ratio']:.2f} ({low:.2f}, {high:.2f}) |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """The command line of table (a)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--only", choices=("pairs", "timing"), help="one part of the table")
    parser.add_argument(
        "--pairs",
        nargs="+",
        choices=[":".join(pair) for pair in PAIRS],
        default=[":".join(pair) for pair in PAIRS],
        help="which rows, SOURCE:TARGET",
    )
    options = parser.parse_args(arguments)
    start_logging()
    torch.set_num_threads(1)
    p = PRESETS[options.preset]
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "two_dimensional.json"
    result: dict[str, Any] = {"preset_name": options.preset, "preset": asdict(p), "pairs": []}
    if target.exists():
        stored = json.loads(target.read_text())
        if stored["preset"] == result["preset"]:
            result = stored
    done = {(r["source"], r["target"]) for r in result["pairs"]}
    if options.only != "timing":
        for pair in PAIRS:
            if pair not in done and ":".join(pair) in options.pairs:
                result["pairs"].append(run_pair(pair, p))
                _write(target, result)
    if options.only != "pairs":
        result["timing"] = time_steps(p)
        _write(target, result)


def _write(target: Path, result: dict[str, Any]) -> None:
    result.setdefault("timing", [])
    result["versions"] = {"python": platform.python_version(), "torch": torch.__version__}
    target.write_text(json.dumps(result, indent=1) + "\n")
    target.with_suffix(".md").write_text(render(result))


if __name__ == "__main__":
    main()
