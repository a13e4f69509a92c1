"""The atmosphere board in words: table, what fixer and centring do, and the figures."""

import html

from pushforward.benchmarks.leaderboard import Board, Cell
from pushforward.benchmarks.markdown import markdown_table
from pushforward.benchmarks.page_parts import costs_html, figure_html, list_html, rows_html
from pushforward.benchmarks.tasks.atmosphere.figures import (
    plot_curves,
    plot_maps,
    plot_zonal_spectra,
)

__all__ = ["atmosphere_markdown", "atmosphere_section", "comparison_lines"]

NOTE = (
    "Forecasts restart from the truth at every start and feed back CO2 alone. rmse, r2 and bias "
    "are as published (ppm, cosine weights, all layers alike); _mw weighs with air mass. r2 is "
    "blind to bias, which stands beside it. rise_loss is the relative growth of rmse when all CO2 "
    "is higher than in training by the rise stated. Names ending in _free have no mass fixer, "
    "uncentred ones see the level of CO2. upwind_winds is driven by what emulators are given; "
    "upwind is the simulator with that scheme, upwind_long in steps as long as the data's. ± is "
    "the standard error over seeds where there are several, else over starts."
)

UPWIND = ("upwind_winds", "upwind", "upwind_long")


def comparison_lines(board: Board) -> list[str]:
    """Every network against persistence and upwind; what the fixer and the centring change."""
    lines = []
    plain = [m for m in sorted(board.learned) if not m.endswith("_free") and "uncentred" not in m]
    rise = board.results[0].sample["rise"]
    for model in plain:
        own = board.value(model, "rmse")
        if own is None:
            lines.append(f"{model}: every forecast left the finite range")
            continue
        parts = [
            f"{other} {own.mean / cell.mean:.2f}"
            for other in ("persistence", *UPWIND)
            if (cell := board.value(other, "rmse") or board.reference(other, "rmse")) is not None
        ]
        line = f"{model}: rmse over that of {', '.join(parts)}"
        mass = [
            f"{words} {cell.mean:.1e}"
            for name, words in ((model, "with fixer"), (f"{model}_free", "without"))
            if (cell := board.value(name, "rel_mass_rmse_90d")) is not None
        ]
        if mass:
            line += f"; relative mass error after 90 days {', '.join(mass)}"
        paces = [
            f"{pace.mean / cell.mean:.2f} of {other}"
            for other in UPWIND
            if (pace := board.value(model, "ms_per_step")) is not None
            and (cell := board.value(other, "ms_per_step")) is not None
        ]
        if paces:
            line += f"; a step takes {', '.join(paces)}"
        losses = [
            f"{words} {round(100 * cell.mean, 1) + 0.0} %"
            for name, words in ((model, "centred"), (f"{model}_uncentred", "uncentred"))
            if (cell := board.value(name, "rise_loss")) is not None
        ]
        if losses:
            line += f"; rmse grows at {rise:g} ppm more by {', '.join(losses)}"
        lines.append(line)
    return lines


def table(board: Board) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Heads and rows, learned models first; rows that only stand beside others in brackets."""
    measured = {m for r in board.results for m in r.metrics}
    columns = [m for m in board.headline if m in measured]
    heads = [f"{m} {'↓' if board.best(m) == 'lowest' else '↑'}" for m in columns]
    rows = []
    for model in board.models:
        found = [(metric, board.stated(model, metric)) for metric in columns]
        rows.append((model, ["–" if cell is None else _text(name, cell) for name, cell in found]))
    for row in board.reference_rows:
        beside = [board.reference(row, m) for m in columns]
        texts = [_text(m, c) if c else "–" for m, c in zip(columns, beside, strict=True)]
        if any(beside):
            rows.append((f"({row})", texts))
    return heads, rows


def atmosphere_markdown(board: Board) -> str:
    """Table and comparisons."""
    heads, rows = table(board)
    starts = len(board.results[0].sample["starts"])
    lines = [
        f"**{board.task}**, preset `{board.preset}`, {starts} starts, {len(board.seeds)} seeds, "
        f"data `{board.data_fingerprint}`. {NOTE}",
        "",
        *markdown_table(["row", *heads], rows),
        "",
        *(f"- {line}" for line in comparison_lines(board)),
    ]
    return "\n".join(lines) + "\n"


def atmosphere_section(board: Board) -> str:
    """Table, comparisons and figures."""
    heads, rows = table(board)
    starts = board.results[0].sample["starts"]
    pictured = [m for m in board.models if not m.endswith("_free") and "uncentred" not in m]
    parts = [
        f"<h2>{html.escape(board.task)}, preset {html.escape(board.preset)}</h2>",
        f"<p class='note'>{len(starts)} starts from {html.escape(starts[0][:10])} to "
        f"{html.escape(starts[-1][:10])}, {len(board.seeds)} seeds, data fingerprint "
        f"<code>{html.escape(board.data_fingerprint)}</code>. {html.escape(NOTE)}</p>",
        rows_html(board, ["row", *heads], rows),
        list_html(comparison_lines(board)),
        figure_html(
            plot_curves(board),
            "Means over starts and seeds. Dashed: without mass fixer; dotted: rows that learn "
            "nothing. A mass error below 1e-12 is drawn there.",
        ),
        figure_html(
            plot_zonal_spectra(board),
            "Variance along circles of latitude over the last third, divided by the truth's: below "
            "1 is smoothed.",
        ),
        figure_html(
            plot_maps(board, pictured),
            "CO2 of the lowest layer from the first start: the truth, and forecasts minus truth.",
        ),
        costs_html(board),
    ]
    return "".join(parts)


def _text(metric: str, cell: Cell) -> str:
    if metric.startswith("rel_mass"):
        return f"{cell.mean:.1e}"
    if metric == "ms_per_step":
        return f"{cell.mean:.2f}"  # timed once for all seeds
    return cell.text()
