"""Which noise goes with which data point: what immiscible pairings save, and what they break."""

import sys
import time
from typing import Any

import torch
from torch import Tensor

from pushforward.benchmarks.study import Claim, Study
from pushforward.surrogates.ot import couple, gibbs_weights, nearest_noise

from ._clouds import cell_populations, eight_gaussians, mixture, normal
from ._flow import floor, judge, sliced_error, train

__all__ = ["run"]

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 20, "seeds": 1, "judged": 64, "batches": (64,), "rows": 3},
    "small": {"steps": 1000, "seeds": 3, "judged": 512, "batches": (256, 1024, 4096), "rows": 99},
}


def _independent(x0: Tensor, x1: Tensor, generator: torch.Generator):
    return x0, x1, None


def _assigned(x0: Tensor, x1: Tensor, generator: torch.Generator):
    return x0, x1[couple(x0, x1)], None


def _nearest(k: int, corrected: bool):
    def pair(x0: Tensor, x1: Tensor, generator: torch.Generator):
        return nearest_noise(x1, k=k, corrected=corrected, generator=generator), x1, None

    return pair


def _weighted(x0: Tensor, x1: Tensor, generator: torch.Generator):
    mean = (x0 - x1.roll(1, 0)).square().sum(-1).sqrt().mean().item()
    return x0, x1, gibbs_weights(x0, x1, eps=0.5 * mean)


COUPLINGS = {
    "independent": (_independent, 1.0),
    "nearest noise, k = 4": (_nearest(4, False), 1.0),
    "nearest noise, k = 4, corrected": (_nearest(4, True), 1.0),
    "nearest noise, k = 2": (_nearest(2, False), 1.0),
    "nearest noise, k = 16": (_nearest(16, False), 1.0),
    "nearest noise, k = 16, corrected": (_nearest(16, True), 1.0),
    "assignment (exact minibatch OT)": (_assigned, 1.0),
    "data scaled by 2": (_independent, 2.0),
    "data scaled by 4": (_independent, 4.0),
    "Gibbs weights": (_weighted, 1.0),
}


def miscibility(x0: Tensor, x1: Tensor) -> float:
    """Entropy in nats of p(x1 | x_t) at t = 0.1 over the pairs of a batch, by Bayes' rule.

    The candidates are the data of the batch with the residual noise 0.9·N(0, I) of independent
    pairs: an upper bound for couplings that tell more.
    """
    t = 0.1
    xt = (1 - t) * x0 + t * x1
    log_p = -torch.cdist(xt, t * x1).square() / (2 * (1 - t) ** 2)
    p = torch.softmax(log_p, -1)
    return -(p * p.clamp_min(1e-30).log()).sum(-1).mean().item()


def run(preset: str) -> Study:
    """Train one small flow per coupling and seed in 2 and 50 dimensions."""
    settings = PRESETS[preset]
    study = Study(
        title="Pairing noise with data: savings and side effects",
        notes=[
            f"Flow matching, MLP 3 x 64 SELU, Adam 1e-3, batch 256, {settings['steps']} steps; "
            "Euler steps from N(0, I); errors in the data's own unit.",
            "steps to baseline: first of ten looks at which SW2 is at most the final SW2 of the "
            "independent coupling; twice the run if never.",
            "noise mean square: of the noise trained on, per coordinate; N(0, I) has 1, and "
            "sampling starts there.",
            "Assignment with |x-z| and with |x-z|² differ little; the squared cost is used.",
            "entropy: of p(x1 | x_t) at t = 0.1 within a batch, nats.",
            "(floor): W2 between two samples of the data.",
        ],
        settings={k: v for k, v in settings.items() if k != "batches"},
    )
    tasks = {
        "8 Gaussians, d = 2": (2, eight_gaussians),
        "mixture, d = 50": (50, mixture(50, 0.5)),
        "treated cells (simulated), 50 components": (50, cell_populations(50)[1]),
    }
    rows = dict(list(COUPLINGS.items())[: settings["rows"]])
    for name, (d, data) in tasks.items():
        source = normal(d)
        for seed in range(settings["seeds"]):
            goal = 0.0
            study.add(name, "(floor)", **floor(data, settings["judged"], seed))
            for row, (pair, scale) in rows.items():
                _one(study, name, row, pair, scale, d, source, data, seed, settings, goal)
                print(name, seed, row, file=sys.stderr)
                if row == "independent":
                    goal = study.tables[name][row]["final_SW2"][-1]
    _timings(study, rows, settings["batches"])
    _claims(study)
    return study


def _one(study, table, row, pair, scale, d, source, data, seed, settings, goal) -> None:
    def scaled(n: int, generator: torch.Generator) -> Tensor:
        return scale * data(n, generator)

    steps = settings["steps"]
    look = sliced_error(source, scaled, settings["judged"])
    trained = train(
        pair, source, scaled, d=d, steps=steps, seed=seed, check=lambda m: look(m) / scale
    )
    generator = torch.Generator().manual_seed(5)
    x0, x1, _ = pair(source(1024, generator), scaled(1024, generator), generator)
    judged = judge(trained.field, source, scaled, settings["judged"])
    final = trained.checks[-1][1]
    target = goal or final
    reached = [s for s, e in trained.checks if e <= target]
    study.add(
        table,
        row,
        steps_to_baseline=reached[0] if reached else 2 * steps,
        final_SW2=final,
        **{k: v / scale if k.startswith("W2") else v for k, v in judged.items()},
        noise_mean_square=x0.square().mean().item(),
        entropy=miscibility(x0, x1),
    )


def _timings(study: Study, rows: dict, batches: tuple[int, ...]) -> None:
    for d in (2, 50):
        for row, (pair, scale) in rows.items():
            if scale != 1.0:
                continue
            for n in batches:
                if n > 1024 and "assignment" in row and d == 2:
                    continue
                generator = torch.Generator().manual_seed(0)
                x0 = torch.randn(n, d, generator=generator)
                x1 = 0.5 * torch.randn(n, d, generator=generator)
                pair(x0, x1, generator)
                start = time.perf_counter()
                pair(x0, x1, generator)
                ms = 1e3 * (time.perf_counter() - start)
                study.add(f"milliseconds to pair a batch, d = {d}", row, **{f"batch_{n}": ms})


def _claims(study: Study) -> None:
    tables = [t for t in study.tables if "noise_mean_square" in study.tables[t]["independent"]]
    for table in tables:
        plain, fixed = "nearest noise, k = 4", "nearest noise, k = 4, corrected"
        if fixed not in study.tables[table]:
            continue
        values = [study.mean(table, r, "noise_mean_square") for r in (plain, fixed)]
        study.claims.append(
            Claim(
                f"{table}: the corrected nearest noise keeps the law that the plain one shrinks",
                abs(values[1] - 1) < 0.05 < 1 - values[0],
                f"mean squares {values[0]:.3f} and {values[1]:.3f}",
            )
        )
        for row in (plain, fixed, "assignment (exact minibatch OT)"):
            if row not in study.tables[table]:
                continue
            pair = [study.mean(table, r, "W2_at_5") for r in (row, "independent")]
            study.claims.append(
                Claim(
                    f"{table}: {row} beats independent pairs at 5 evaluations",
                    pair[0] < pair[1],
                    f"W2 {pair[0]:.3f} against {pair[1]:.3f}",
                )
            )
