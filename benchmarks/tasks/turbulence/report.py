"""The turbulence board in words: tables, gains with intervals over flows, and the front."""

import html

import numpy as np

from pushforward.benchmarks.leaderboard import Board, Cell
from pushforward.benchmarks.markdown import markdown_table
from pushforward.benchmarks.metrics.turbulence import bootstrap_interval, duration
from pushforward.benchmarks.page_parts import costs_html, figure_html, list_html, rows_html
from pushforward.benchmarks.tasks.turbulence.figures import (
    pareto_front,
    pareto_points,
    plot_correlation,
    plot_pareto,
    plot_pictures,
    plot_spectra,
)

__all__ = ["gain_lines", "table", "turbulence_markdown", "turbulence_section"]

NOTE = (
    "The truth is one solver, the finite-volume scheme on the reference grid, averaged over coarse "
    "faces; finite-volume rows share its scheme, spectral rows do not, so part of their error is "
    "the difference of the two solvers. Durations are those of the mean correlation over flows; "
    "± is the standard error over seeds where there are several, "
    "else over flows (bootstrap). A diverged flow counts as zero "
    "from there on. Seconds are per time unit and flow, measured in one sitting: all flows "
    "together, and one alone. ≥ marks durations that outlast the forecast."
)


def table(board: Board) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Heads and rows: learned models, then solvers, by duration; rows of the truth in brackets."""
    heads = [
        f"{m.replace('_', ' ')} {'↓' if board.best(m) == 'lowest' else '↑'}"
        for m in _columns(board)
    ]
    rows = []
    for model in board.models:
        cells = []
        for metric in _columns(board):
            cell = board.stated(model, metric)
            if cell is not None and metric.startswith("seconds"):
                cell = Cell(cell.mean, 0.0, 1)  # one timing, whatever the number of seeds
            bound = "≥ " if _lower_bound(board, model, metric) else ""
            cells.append(bound + cell.text() if cell else "–")
        rows.append((model, cells))
    for row in board.reference_rows:
        references = [board.reference(row, m) for m in _columns(board)]
        rows.append((f"({row})", [c.text() if c else "–" for c in references]))
    return heads, rows


def gain_lines(board: Board) -> list[str]:
    """Ratios of durations above 0.8 with 90 % intervals over flows; who is on the front."""
    curves = {
        name: np.mean([r.sample["correlation"] for r in board.of(name)], axis=0)
        for name in board.models
    }
    per_seed = {
        name: [np.array(r.sample["correlation"]) for r in board.of(name)] for name in board.models
    }
    spacing = board.results[0].sample["spacing"]
    flows = len(next(iter(curves.values())))

    def length(name: str, index: np.ndarray) -> float:
        found = [
            duration(c[index].mean(0), spacing=spacing, threshold=0.8).crossing
            for c in per_seed[name]
        ]
        return float(np.mean(found))

    learned = board.learned
    volumes = [m for m in board.models if m.startswith("fv_")]
    coarse = sorted(volumes, key=lambda m: int(m.split("_")[1]))[:1]
    pairs = [(m, solver) for m in learned for solver in coarse]
    stencils = [m for m in learned if m.startswith("tsm")]
    pairs += [(m, other) for m in stencils for other in learned if other.startswith("li")]
    lines = []
    for model, other in pairs:

        def ratio(index: np.ndarray, model: str = model, other: str = other) -> float:
            return length(model, index) / max(length(other, index), spacing)

        _, low, high = bootstrap_interval(ratio, flows, draws=500)
        value = ratio(np.arange(flows))
        bounds = [_lower_bound(board, name, "duration_80") for name in (model, other)]
        mark = {(True, False): "≥ ", (False, True): "≤ ", (True, True): "unknown, "}.get(
            (bounds[0], bounds[1]), ""
        )
        lines.append(
            f"duration of {model} over {other}: {mark}{value:.2f} (90 % of the draws of {flows} "
            f"flows between {low:.2f} and {high:.2f})"
        )
    for seconds, words in {
        "seconds_per_unit": "all flows together",
        "seconds_per_unit_alone": "one flow alone",
    }.items():
        points = pareto_points(board, seconds)
        if points:
            front = pareto_front(points)
            on = [m for m in learned if m in front] or ["none"]
            lines.append(
                f"on the front of duration against seconds ({words}): {', '.join(front)}; learned "
                f"rows on it: {', '.join(on)}"
            )
    return lines


def _lower_bound(board: Board, model: str, metric: str) -> bool:
    """Whether a duration is only bounded: some seed's mean correlation never fell so low."""
    if metric not in ("duration_80", "duration_95"):
        return False
    curves = [np.mean(r.sample["correlation"], axis=0) for r in board.of(model)]
    return any(c.min() > int(metric[-2:]) / 100 for c in curves)


def _columns(board: Board) -> list[str]:
    measured = {m for r in board.results for m in r.metrics}
    return [m for m in board.headline if m in measured]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def turbulence_markdown(board: Board) -> str:
    """Table and gains of one set of flows."""
    heads, rows = table(board)
    flows = len(board.results[0].sample["correlation"])
    note = f" {NOTE}" if board.splits[0] == "kolmogorov" else ""
    lines = [
        f"**{board.task}**, {board.splits[0]}, preset `{board.preset}`, {flows} flows, data "
        f"`{board.data_fingerprint}`.{note}",
        "",
        *markdown_table(["row", *heads], rows),
        "",
        *(f"- {line}" for line in gain_lines(board)),
    ]
    return "\n".join(lines) + "\n"


def turbulence_section(board: Board) -> str:
    """Table, gains, and figures of one set of flows."""
    heads, rows = table(board)
    flows = len(board.results[0].sample["correlation"])
    pictured = board.learned + [m for m in board.models if m.startswith("fv_")][-2:]
    parts = [
        f"<h2>{html.escape(board.task)}, preset {html.escape(board.preset)}: "
        f"{html.escape(board.splits[0])}</h2>",
        f"<p class='note'>{_count(flows, 'flow')}, {_count(len(board.seeds), 'seed')}, data "
        "fingerprint "
        f"<code>{html.escape(board.data_fingerprint)}</code>. {html.escape(NOTE)}</p>",
        rows_html(board, ["row", *heads], rows),
        list_html(gain_lines(board)),
    ]
    if pareto_points(board):
        parts.append(
            figure_html(
                plot_pareto(board),
                "Duration against seconds. Dashed: the front, rows that no other row beats in one "
                "of the two without losing in the other.",
            )
        )
    parts += [
        figure_html(
            plot_correlation(board),
            "Correlation with the truth, mean over flows and seeds; bands hold all seeds.",
        ),
        figure_html(
            plot_spectra(board), "Energy by shell over the last third, divided by the truth's."
        ),
        figure_html(
            plot_pictures(board, pictured),
            "Vorticity of the first flow, first seed; one colour scale a column.",
        ),
        costs_html(board),
    ]
    return "".join(parts)
