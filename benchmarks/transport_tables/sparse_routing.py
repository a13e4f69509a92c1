"""Sparsity-constrained transport as a router of tracer parcels to regional regressors."""

import time
import warnings

import torch
from torch import Tensor

from pushforward.benchmarks.study import Claim, Study
from pushforward.simulators.errors import ConvergenceWarning
from pushforward.surrogates.ot import cost_matrix, default_eps, round_plan, solve

__all__ = ["run"]

PRESETS = {
    "smoke": {"parcels": 64, "experts": 8, "seeds": 1},
    "small": {"parcels": 1024, "experts": 32, "seeds": 3},
}


def parcels(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Positions in the unit square and where a double gyre has carried them after a while."""
    x = torch.rand(n, 2, dtype=torch.float64, generator=generator)
    y = x.clone()
    for _ in range(60):
        u = -torch.sin(2 * torch.pi * y[:, 0]) * torch.cos(torch.pi * y[:, 1])
        v = 2 * torch.cos(2 * torch.pi * y[:, 0]) * torch.sin(torch.pi * y[:, 1])
        y = y + 0.01 * torch.stack([u, v], 1)
    return x, y


def centres(x: Tensor, m: int, generator: torch.Generator) -> Tensor:
    """Centres of the regions by Lloyd's algorithm."""
    c = x[torch.randperm(len(x), generator=generator)[:m]]
    for _ in range(20):
        near = cost_matrix(x, c).argmin(1)
        c = torch.stack([x[near == j].mean(0) if (near == j).any() else c[j] for j in range(m)])
    return c


def truncated(P: Tensor, k: int) -> Tensor:
    """The k largest entries of each column, scaled to the column's mass."""
    top, index = P.topk(min(k, len(P)), 0)
    kept = torch.zeros_like(P).scatter_(0, index, top)
    return kept * (P.sum(0) / kept.sum(0))


def emulate(P: Tensor, Q: Tensor, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]):
    """RMSE of linear regressors fitted with weights P and mixed by Q, rows are parcels."""
    features, unseen = (torch.cat([torch.ones_like(x[:, :1]), x], 1) for x in (train[0], test[0]))
    guess = torch.zeros_like(test[1])
    for j in range(P.shape[1]):
        w = P[:, j : j + 1] / P[:, j].sum()
        gram = features.T @ (w * features) + 1e-6 * torch.eye(3, dtype=P.dtype)
        beta = torch.linalg.solve(gram, features.T @ (w * train[1]))
        guess = guess + Q[:, j : j + 1] * (unseen @ beta)
    return (guess - test[1]).square().sum(1).mean().sqrt().item()


def _shares(P: Tensor, fallback: Tensor) -> Tensor:
    """Rows scaled to 1; a parcel that no expert took goes to its nearest."""
    rows = P.sum(1, keepdim=True)
    one = torch.nn.functional.one_hot(fallback, P.shape[1]).to(P)
    return torch.where(rows > 1e-12, P / rows.clamp_min(1e-12), one)


def run(preset: str) -> Study:
    """Cost, sparsity, violation and speed of each router, then the emulator's error."""
    settings = PRESETS[preset]
    n, m = settings["parcels"], settings["experts"]
    study = Study(
        title="Sparsity-constrained transport: routing parcels to regional regressors",
        notes=[
            f"{n} parcels, {m} experts, cost |x-c|² divided by its maximum, quadratic strength "
            "gamma = default_eps·max(n, m); semi-dual by L-BFGS.",
            "Columns are experts: an expert may take k parcels, so that k < n/m cannot serve all "
            "rows. Columns are parcels: a parcel may go to k experts, so that every k is feasible "
            "in the count, though not always in the masses.",
            "row error: L1 violation of the rows before rounding; rounded cost: ⟨C,P⟩ of the "
            "feasible plan after rounding; gap: its objective minus the dual value.",
        ],
        settings=dict(settings),
    )
    for seed in range(settings["seeds"]):
        generator = torch.Generator().manual_seed(seed)
        x, y = parcels(n, generator)
        c = centres(x, m, generator)
        C = cost_matrix(x, c)
        C = C / C.max()
        for name, cost, ks in (
            ("columns are experts", C, (n // m // 4, n // m, 2 * n // m, n // 4, n)),
            ("columns are parcels", C.T.contiguous(), (1, 2, 4, 8, m)),
        ):
            _solvers(study, name, cost, ks)
        _emulators(study, x, y, c, n // m, generator)
    _claims(study, n, m)
    return study


def _solvers(study: Study, table: str, C: Tensor, ks: tuple[int, ...]) -> None:
    rows, columns = (torch.full((k,), 1 / k, dtype=C.dtype) for k in C.shape)
    strength = default_eps(C).item() * max(C.shape)

    def add(name: str, P: Tensor, seconds: float, steps: int, gap: float | None) -> None:
        fixed = round_plan(P, rows, columns)
        values = {
            "nonzeros_max": (1e-9 / C.numel() < P).sum(0).max().item(),
            "cost": (C * P).sum().item(),
            "row_error": (P.sum(1) - rows).abs().sum().item(),
            "rounded_cost": (C * fixed).sum().item(),
            "seconds": seconds,
            "iterations": steps,
        }
        study.add(table, name, **values, **({} if gap is None else {"gap": gap}))

    start = time.perf_counter()
    exact = solve(C)
    add("exact (LP)", exact.plan, time.perf_counter() - start, exact.n_iter, None)
    start = time.perf_counter()
    blurred = solve(C, eps=default_eps(C).item())
    seconds = time.perf_counter() - start
    for k in ks[:-1]:
        add(f"Sinkhorn, top {k}", truncated(blurred.plan, k), seconds, blurred.n_iter, None)
    for k in ks:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            result = solve(C, sparsity=k, eps=strength, max_iter=1000)
        seconds = time.perf_counter() - start
        label = "quadratic (k = all)" if k == ks[-1] else f"sparse, k = {k}"
        add(label, result.plan, seconds, result.n_iter, result.duality_gap.item())


def _emulators(
    study: Study, x: Tensor, y: Tensor, c: Tensor, k: int, generator: torch.Generator
) -> None:
    unseen = parcels(len(x), generator)
    plans: dict[str, list[Tensor]] = {}
    for points in (x, unseen[0]):
        C = cost_matrix(points, c)
        scale = C.max()
        C = C / scale
        eps = default_eps(C).item()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            sparse = solve(C, sparsity=k, eps=eps * len(C), max_iter=1000).plan
        blurred = solve(C, eps=eps).plan
        soft = torch.softmax(-C / eps, 1) / len(C)
        near = C.argmin(1)
        for name, P in (
            ("nearest expert, no capacity", torch.nn.functional.one_hot(near, len(c)).double()),
            ("softmax", soft),
            (f"softmax, top {k} a expert", truncated(soft, k)),
            ("Sinkhorn", blurred),
            (f"Sinkhorn, top {k} a expert", truncated(blurred, k)),
            ("exact", solve(C).plan),
            (f"sparse, k = {k}", sparse),
        ):
            plans.setdefault(name, []).append(_shares(P, near))
    for name, (P, Q) in plans.items():
        study.add(
            "emulator of the gyre, error of unseen parcels",
            name,
            rmse=emulate(P, Q, (x, y), unseen),
            largest_load=len(c) * Q.sum(0).max().item() / len(Q),
        )
    mean = (y.mean(0) - unseen[1]).square().sum(1).mean().sqrt().item()
    study.add("emulator of the gyre, error of unseen parcels", "mean of the data", rmse=mean)


def _claims(study: Study, n: int, m: int) -> None:
    for table, rows in study.tables.items():
        ks = [r for r in rows if r.startswith("sparse, k = ")]
        if "quadratic (k = all)" not in rows:
            continue
        worst = [max(rows[r]["nonzeros_max"]) - int(r.split("= ")[1]) for r in ks]
        study.claims.append(
            Claim(
                f"{table}: at most k nonzeros a column, exactly",
                max(worst) <= 0,
                f"largest excess {max(worst):.0f}",
            )
        )
        order = ["exact (LP)", *ks, "quadratic (k = all)"]
        costs = [study.mean(table, r, "rounded_cost") for r in order]
        study.claims.append(
            Claim(
                f"{table}: the cost of the feasible plan rises from LP to quadratic with k",
                costs == sorted(costs),
                ", ".join(f"{c:.5f}" for c in costs),
            )
        )
        steps = [study.mean(table, r, "iterations") for r in order[1:]]
        study.claims.append(
            Claim(
                f"{table}: iterations fall as k rises",
                steps == sorted(steps, reverse=True),
                ", ".join(f"{s:.0f}" for s in steps),
            )
        )
