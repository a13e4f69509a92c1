"""Table (b): every few-step method on the same data, teacher and budget; W2 at 1, 2, 4, 8 NFE.

    python -m pushforward.benchmarks.generative.few_step --preset small --out DIR

Writes ``few_step.json``, ``.md`` and ``.png``, and ``trajectories.png``; finished seeds are kept.
Data sets: two plane pairs, and the handwritten digits of scikit-learn (if it is installed) in 16
principal components.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pushforward.surrogates.flow import (
    BlockwiseField,
    CosinePath,
    DistillationLoss,
    FlowMatchingLoss,
    LinearPath,
    MeanFlowLoss,
    MeanFlowSampler,
    MinibatchOTCoupling,
    ODESampler,
    PairedCoupling,
    PCALatent,
    RefinedSampler,
    RefinerLoss,
    StraighteningLoss,
    TransitionMatchingLoss,
    TransitionSampler,
    bellman_time_grid,
    optimal_assignment,
    reflow,
    straightening_pairs,
)
from pushforward.surrogates.ot import cost_matrix

from ._densities import draw
from ._training import MLP, Counted, fit

__all__ = ["main"]

NFE = (1, 2, 4, 8)


@dataclass(frozen=True)
class Preset:
    """Size of a run; ``steps`` of the teacher, ``tune`` of everything that starts from it."""

    steps: int
    tune: int
    seeds: int
    test_points: int
    pairs: int
    width: int = 64
    depth: int = 3
    batch: int = 256


PRESETS = {
    "smoke": Preset(steps=20, tune=10, seeds=2, test_points=64, pairs=256),
    "small": Preset(steps=2000, tune=600, seeds=3, test_points=1024, pairs=8192),
    "paper": Preset(steps=20_000, tune=5000, seeds=5, test_points=2048, pairs=65_536),
}


class Data:
    """Batches of source and target points, the test sample, and the dimension."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = np.random.default_rng([11, seed])
        self.name, self.digits = name, None
        if name == "digits":
            from sklearn.datasets import load_digits

            pixels = torch.from_numpy(load_digits().data).float()
            latent = PCALatent.fit(pixels, 16)
            self.digits = latent.encode(pixels)
        self.d = 16 if name == "digits" else 2

    def source(self, n: int) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal((n, self.d)).astype(np.float32))

    def target(self, n: int) -> Tensor:
        if self.digits is not None:
            return self.digits[torch.from_numpy(self.rng.integers(0, len(self.digits), n))]
        return torch.from_numpy(draw(self.name, n, self.rng))


class Transition(nn.Module):
    """Backbone and head of difference transition matching, as small as the other networks."""

    def __init__(self, d: int, p: Preset, seed: int) -> None:
        super().__init__()
        self.backbone = MLP(d + 1, p.width, width=p.width, depth=p.depth - 1, seed=seed)
        self.inner = MLP(d + 1 + p.width, d, width=p.width, depth=2, seed=seed + 1)

    def features(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        return self.backbone(x, t)

    def head(self, y: Tensor, s: Tensor, h: Tensor) -> Tensor:
        return self.inner(y, s, h)


Sampler = Callable[[int], Callable[[Tensor], Tensor] | None]


def methods(
    data: Data, p: Preset, seed: int
) -> tuple[dict[str, tuple[Sampler, float, float]], dict[str, nn.Module]]:
    """name -> (NFE -> sampler or None, network rows spent in training, seconds of training).

    Beside it the fields whose trajectories are drawn.
    """
    d, g = data.d, torch.Generator().manual_seed(seed)
    out: dict[str, tuple[Sampler, float, float]] = {}

    def network(extra: int = 1) -> MLP:
        return MLP(d + extra, d, width=p.width, depth=p.depth, seed=100 + seed)

    def batch() -> tuple[Tensor, Tensor]:
        return data.source(p.batch), data.target(p.batch)

    def solver(field: Any, method: str, per_step: int = 1, path: Any = None) -> Sampler:
        def at(nfe: int) -> Callable[[Tensor], Tensor] | None:
            if nfe % per_step:
                return None
            s = ODESampler(field, method=method, steps=nfe // per_step, path=path)
            return lambda x: s.sample(x).x

        return at

    # Teachers.
    teacher = network()
    count = Counted(teacher)
    loss = FlowMatchingLoss(LinearPath())
    cost = fit(teacher, lambda: loss(count, *batch(), generator=g), steps=p.steps)
    base = (count.rows, cost)
    for name, method, per_step in (
        ("teacher, Euler", "euler", 1),
        ("teacher, Heun", "heun", 2),
        ("teacher, DPM-Solver++(2M)", "dpm_solver_2m", 1),
    ):
        out[name] = (solver(teacher, method, per_step, LinearPath()), *base)

    def short(method: str) -> Sampler:
        """Methods that take N + 1 calls for N steps."""

        def at(nfe: int) -> Callable[[Tensor], Tensor] | None:
            if nfe < 2:
                return None
            s = ODESampler(teacher, method=method, steps=nfe - 1)
            return lambda x: s.sample(x).x

        return at

    out["teacher, AB2"] = (short("ab2"), *base)
    out["teacher, pseudo-corrector"] = (short("pseudo_corrector"), *base)

    probe = data.source(256)
    grids = {n: bellman_time_grid(teacher, probe, nfe=n, fine=64) for n in NFE}
    out["teacher, Euler on Bellman grid"] = (
        lambda n: lambda x: ODESampler(teacher, method="euler", time_grid=grids[n]).sample(x).x,
        base[0] + 65 * 256 * 2 * len(NFE),
        base[1],
    )

    ot = network()
    count = Counted(ot)
    ot_loss = FlowMatchingLoss(LinearPath(), MinibatchOTCoupling())
    cost = fit(ot, lambda: ot_loss(count, *batch(), generator=g), steps=p.steps)
    out["OT coupling, Euler"] = (solver(ot, "euler"), count.rows, cost)

    # Pairs of the teacher: reflow, distillation, Rectified Diffusion.
    start = time.perf_counter()
    counted_teacher = Counted(teacher)
    pairs = reflow(counted_teacher, data.source(p.pairs), steps=50)
    made = (base[0] + counted_teacher.rows, base[1] + time.perf_counter() - start)

    def rows() -> tuple[Tensor, Tensor]:
        pick = torch.randint(len(pairs.x0), (p.batch,), generator=g)
        return pairs.x0[pick], pairs.x1[pick]

    def tuned(initial: nn.Module, objective: Any, steps: int) -> tuple[nn.Module, float, float]:
        net = copy.deepcopy(initial)
        spent = Counted(net)
        seconds = fit(net, lambda: objective(spent, *rows(), generator=g), steps=steps)
        return net, made[0] + spent.rows, made[1] + seconds

    paired = FlowMatchingLoss(LinearPath(), PairedCoupling())
    rectified, *spent = tuned(teacher, paired, p.tune)
    out["reflow, Euler"] = (solver(rectified, "euler"), spent[0], spent[1])
    distilled, *more = tuned(rectified, DistillationLoss(1), p.tune)
    out["reflow + 1-step distillation"] = (
        lambda n: solver(distilled, "euler")(n) if n == 1 else None,
        spent[0] + more[0] - made[0],
        spent[1] + more[1] - made[1],
    )
    path = CosinePath()
    curved = FlowMatchingLoss(path, PairedCoupling(), loss="huber")
    first_order, *more = tuned(network(), curved, p.steps)
    out["Rectified Diffusion (cosine), DDIM"] = (
        solver(first_order, "ddim", path=path),
        more[0],
        more[1],
    )

    # Straightening on the Bellman grid, one network for each NFE.
    straight: dict[int, nn.Module] = {}
    total, seconds = base[0], base[1]
    for n in NFE:
        begin = time.perf_counter()
        watched = Counted(teacher)
        found, t0, t1 = straightening_pairs(watched, data.source(p.pairs // 8), grids[n])
        net = copy.deepcopy(teacher)
        spent_on = Counted(net)

        def chord(
            spent_on: Counted = spent_on, found: Any = found, t0: Tensor = t0, t1: Tensor = t1
        ) -> Tensor:
            pick = torch.randint(len(t0), (p.batch,), generator=g)
            return StraighteningLoss()(spent_on, found.x0[pick], found.x1[pick], t0[pick], t1[pick])

        fit(net, chord, steps=p.tune)
        straight[n] = net
        total += watched.rows + spent_on.rows
        seconds += time.perf_counter() - begin
    out["Bellman grid + straightening"] = (
        lambda n: lambda x: ODESampler(straight[n], method="euler", time_grid=grids[n]).sample(x).x,
        total,
        seconds,
    )

    mean_flow = network(extra=2)
    count = Counted(mean_flow)
    objective_mean = MeanFlowLoss()
    cost = fit(mean_flow, lambda: objective_mean(count, *batch(), generator=g), steps=p.steps)
    out["MeanFlow"] = (
        lambda n: lambda x: MeanFlowSampler(mean_flow, steps=n).sample(x).x,
        2 * count.rows,  # value and forward-mode derivative
        cost,
    )

    blocks = BlockwiseField([network(), network()])
    count = Counted(blocks)
    cost = fit(blocks, lambda: loss(count, *batch(), generator=g), steps=p.steps)
    out["2 blocks, Euler"] = (
        lambda n: solver(blocks, "euler")(n) if n > 1 else None,
        count.rows,
        cost,
    )

    refiner = MLP(2 * d + 1, d, width=16, depth=1, seed=200 + seed)
    counted_teacher = Counted(teacher)
    refine_loss = RefinerLoss(counted_teacher, max_step=0.3)
    cost = fit(refiner, lambda: refine_loss(refiner, *batch(), generator=g), steps=p.tune)

    def refined(n: int) -> Callable[[Tensor], Tensor] | None:
        if n < 2:
            return None
        s = RefinedSampler(teacher, refiner, heun=1, pseudo=n - 2, refined=2)
        return lambda x: s.sample(x).x

    out["velocity refiner (+ 2 refined steps)"] = (
        refined,
        base[0] + counted_teacher.rows,
        base[1] + cost,
    )

    chains: dict[int, Transition] = {}
    total, seconds = 0, 0.0
    for n in NFE:
        chain = Transition(d, p, 300 + seed)
        transition_loss = TransitionMatchingLoss(n)

        def chain_loss(chain: Transition = chain, loss: Any = transition_loss) -> Tensor:
            return loss(chain, *batch(), generator=g)

        seconds += fit(chain, chain_loss, steps=p.steps // 2)
        total += p.batch * (p.steps // 2)
        chains[n] = chain
    out["transition matching (head: 8 steps)"] = (
        lambda n: (
            lambda x: (
                TransitionSampler(chains[n], steps=n, head_steps=8)
                .sample(x, generator=torch.Generator().manual_seed(5))
                .x
            )
        ),
        total,
        seconds,
    )
    return out, {"teacher": teacher, "OT coupling": ot, "reflow": rectified}


def w2(x: Tensor, y: Tensor) -> float:
    c = cost_matrix(x.double(), y.double())
    return float(c[optimal_assignment(c), torch.arange(len(y))].mean()) ** 0.5


def run(
    name: str, seed: int, p: Preset
) -> tuple[list[dict[str, Any]], dict[str, Tensor], dict[str, nn.Module]]:
    """Rows of one data set and seed, and what the plots need."""
    data = Data(name, seed)
    table, fields = methods(data, p, seed)
    x0, x1 = data.source(p.test_points), data.target(p.test_points)
    floor = w2(data.target(p.test_points), x1)
    rows, samples = [], {"target": x1}
    for method, (sampler, spent, seconds) in table.items():
        row: dict[str, Any] = {"data": name, "seed": seed, "method": method, "floor": floor}
        row |= {"training_rows": spent, "training_seconds": seconds}
        for n in NFE:
            run_sampler = sampler(n)
            if run_sampler is None:
                continue
            begin = time.perf_counter()
            x = run_sampler(x0)
            row[f"seconds_{n}"] = time.perf_counter() - begin
            row[f"w2_{n}"] = w2(x, x1)
            if n == 2:
                samples[method] = x
        rows.append(row)
    return rows, samples, fields


def render(result: dict[str, Any]) -> str:
    """The tables in Markdown, from the numbers of the JSON file."""
    p = result["preset"]
    lines = [
        "# Few steps",
        "",
        f"Up to {p['seeds']} seeds, teachers {p['steps']} steps of Adam at batch {p['batch']}, "
        f"tuning {p['tune']}, MLP {p['depth']}x{p['width']}. Exact W2 of {p['test_points']} points "
        "to the target, mean ± standard error over seeds; NFE counts calls of the full network "
        "(for transition matching: of the backbone). `rows`: network rows evaluated in training, "
        "teacher included, in millions. `ms`: sampling all test points at 8 NFE.",
    ]
    for name in dict.fromkeys(r["data"] for r in result["rows"]):
        rows = [r for r in result["rows"] if r["data"] == name]
        floor = np.mean([r["floor"] for r in rows])
        lines += ["", f"## {name} (target against target: {floor:.3f})", ""]
        lines += ["| method | 1 NFE | 2 NFE | 4 NFE | 8 NFE | rows | training s | ms |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for method in dict.fromkeys(r["method"] for r in rows):
            mine = [r for r in rows if r["method"] == method]
            cells = []
            for n in NFE:
                v = np.array([r[f"w2_{n}"] for r in mine if f"w2_{n}" in r])
                if len(v) > 1:
                    cells.append(f"{v.mean():.3f} ± {v.std(ddof=1) / len(v) ** 0.5:.3f}")
                else:
                    cells.append(f"{v[0]:.3f} (one seed)" if len(v) else "-")
            spent = np.mean([r["training_rows"] for r in mine]) / 1e6
            seconds = np.mean([r["training_seconds"] for r in mine])
            quick = [1e3 * r["seconds_8"] for r in mine if "seconds_8" in r]
            took = f"{np.median(quick):.1f}" if quick else "-"
            lines.append(
                f"| {method} | {' | '.join(cells)} | {spent:.2f} | {seconds:.1f} | {took} |"
            )
    return "\n".join(lines) + "\n"


def plot(samples: dict[str, Tensor], target: Path) -> None:
    """Scatter of every method at 2 NFE on the plane."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = 5
    lines = -(-len(samples) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.6 * columns, 2.6 * lines))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, x) in zip(axes.flat, samples.items(), strict=False):
        axis.scatter(*x[:1000].T, s=2, alpha=0.4)
        axis.set_title(name, fontsize=7)
        axis.set_xlim(-8, 8)
        axis.set_ylim(-8, 8)
    figure.suptitle("8 Gaussians at 2 evaluations", fontsize=9)
    figure.savefig(target, dpi=90, bbox_inches="tight")
    plt.close(figure)


def plot_trajectories(fields: dict[str, nn.Module], target: Path) -> None:
    """Trajectories of three fields, and the density of the first by its exact log-likelihood."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(fields) + 1, figsize=(3 * len(fields) + 3, 3.2))
    x0 = torch.randn(150, 2, generator=torch.Generator().manual_seed(0))
    for axis, (name, field) in zip(axes[:-1], fields.items(), strict=True):
        out = ODESampler(field, method="rk4", steps=40).sample(x0, keep_trajectory=True)
        if out.trajectory is not None:
            axis.plot(*out.trajectory.permute(2, 0, 1), lw=0.4, color="tab:blue", alpha=0.6)
        axis.scatter(*out.x.T, s=4, color="tab:red")
        axis.set_title(f"{name}: trajectories", fontsize=8)
    line = torch.linspace(-7.5, 7.5, 80)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        log_p = ODESampler(next(iter(fields.values())), method="rk4", steps=25).log_prob(
            grid, lambda x: -x.square().sum(1) / 2 - np.log(2 * np.pi)
        )
    axes[-1].imshow(log_p.exp().reshape(80, 80).T, origin="lower", extent=(-7.5, 7.5, -7.5, 7.5))
    axes[-1].set_title("teacher: density", fontsize=8)
    for axis in axes:
        axis.set_xlim(-7.5, 7.5)
        axis.set_ylim(-7.5, 7.5)
        axis.set_axis_off()
    figure.savefig(target, dpi=90, bbox_inches="tight")
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """The command line of table (b)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--data", nargs="+", default=["8gaussians", "moons", "digits"])
    options = parser.parse_args(arguments)
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
                plot(samples, target.with_suffix(".png"))
                plot_trajectories(fields, options.out / "trajectories.png")


if __name__ == "__main__":
    main()
