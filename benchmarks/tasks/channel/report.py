"""The channel board in words: its table, who is quicker than whom, and its figures."""

import html

from pushforward.benchmarks.leaderboard import Board, Cell
from pushforward.benchmarks.markdown import markdown_table
from pushforward.benchmarks.metrics.channel import PROFILES
from pushforward.benchmarks.page_parts import costs_html, figure_html, list_html, rows_html
from pushforward.benchmarks.tasks.channel.figures import (
    plot_energy,
    plot_errors,
    plot_kernel_measures,
    plot_kernels,
    plot_pictures,
    plot_profiles,
    plot_spectra,
)

__all__ = ["channel_markdown", "channel_section", "speed_lines", "tables"]

NOTE = (
    "Errors after n steps are of the whole field over the size of the true fluctuations; "
    "correlation time is how long the fluctuations correlate above 0.8. Profile and spectra errors "
    "are those of the long roll-out without its first tenth, against filtered DNS of all runs; "
    "(half of the runs) is one half of the runs against the other, the noise floor. bounded steps: "
    "kinetic energy finite and within 0.5 to 2 of its mean; lively steps: the same of the "
    "fluctuations alone. (constrained truth) is what no slip, no divergence and mass flux change "
    "in the data themselves. Large-eddy simulation starts from the same fields on as many points. "
    "± is the standard error over seeds where there are several, else over windows. Seconds are "
    "for one h/u_τ of one flow, all on the same processor in one sitting."
)


STATISTICS = ("energy_error", *(f"error_{name}" for name in PROFILES), "spectra_error")
"""Metrics of the second table; the first holds the others of the headline."""


def tables(board: Board) -> list[tuple[list[str], list[tuple[str, list[str]]]]]:
    """Heads and rows of two tables: forecasts with their cost, and long-run statistics if any.

    Learned models come first, by their first error, then the others, then rows in brackets.
    """
    measured = {m for r in board.results for m in r.metrics}
    shown = [m for m in board.headline if m in measured]
    first = [m for m in shown if m not in STATISTICS]
    second = [m for m in STATISTICS if m in measured]
    found = [_table(board, first, costs=("parameters", "train_seconds"))]
    return [*found, _table(board, second, costs=())] if second else found


def _table(
    board: Board, columns: list[str], *, costs: tuple[str, ...]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    heads = [
        f"{m.replace('_', ' ')} {'↓' if board.best(m) == 'lowest' else '↑'}" for m in columns
    ] + [c.replace("_", " ") for c in costs]
    rows = []
    for model in board.models:
        results = board.of(model)
        cells = []
        for metric in columns:
            cell = board.stated(model, metric)
            if cell is not None and metric == "seconds_per_turnover":
                cell = Cell(cell.mean, 0.0, 1)  # one timing, whatever the number of seeds
            cells.append(_text(cell))
        for cost in costs:
            values = [float(r.cost[cost]) for r in results]
            known = results[0].learned and results[0].cost["device"] != "unknown"
            cells.append(f"{sum(values) / len(values):.0f}" if known else "–")
        if any(c != "–" for c in cells):
            rows.append((model, cells))
    for row in board.reference_rows:
        cells = [_text(board.reference(row, m)) for m in columns] + ["–"] * len(costs)
        if any(c != "–" for c in cells):
            rows.append((f"({row})", cells))
    return heads, rows


def speed_lines(board: Board) -> list[str]:
    """Seconds of the learned rows beside the simulations', and what they keep of the statistics."""

    def seconds(name: str) -> float | None:
        cell = board.value(name, "seconds_per_turnover") or board.reference(
            name, "seconds_per_turnover"
        )
        return None if cell is None else cell.mean

    others = [m for m in board.models if m.startswith("les_")] + ["dns"]
    lines = []
    for model in board.learned:
        own = seconds(model)
        pairs = [(o, s) for o in others if (s := seconds(o)) is not None]
        if own is not None and pairs:
            ratios = ", ".join(f"{s / own:.3g} times as quick as {o}" for o, s in pairs)
            lines.append(f"{model}: {own:.3g} s for one h/u_τ, {ratios}")
        runs = [r for r in board.of(model) if "bounded_steps" in r.metrics]
        if not runs:  # forecasts from a file without a long one
            continue
        lost = [r for r in runs if "profiles" not in r.sample]
        steps = max((r.metrics["bounded_steps"].value for r in runs), default=0)
        lines.append(
            f"{model}: {len(runs) - len(lost)} of {len(runs)} roll-outs stayed in the bounded "
            f"range to their end, the longest for {steps:.0f} steps"
        )
    return lines


def _text(cell: Cell | None) -> str:
    """A cell's text; tiny numbers (divergence, slip) keep their powers of ten."""
    if cell is None:
        return "–"
    if cell.mean and abs(cell.mean) < 1e-3:
        return f"{cell.mean:.1e}"
    if cell.std_error < 1e-9 * abs(cell.mean):  # the same every time: rounding, not an error
        return Cell(cell.mean, 0.0, 1).text()
    return cell.text()


def channel_markdown(board: Board) -> str:
    """Table and speeds."""
    lines = [
        f"**{board.task}**, {board.splits[0]} runs, preset `{board.preset}`, {_seeds(board)}, "
        f"data `{board.data_fingerprint}`. {NOTE}",
        "",
    ]
    for heads, rows in tables(board):
        lines += [*markdown_table(["row", *heads], rows), ""]
    lines += [f"- {line}" for line in speed_lines(board)]
    return "\n".join(lines) + "\n"


def channel_section(board: Board) -> str:
    """Table, speeds and figures."""
    parts = [
        f"<h2>{html.escape(board.task)}, preset {html.escape(board.preset)}: "
        f"{html.escape(board.splits[0])} runs</h2>",
        f"<p class='note'>{_seeds(board)}, data fingerprint "
        f"<code>{html.escape(board.data_fingerprint)}</code>. {html.escape(NOTE)}</p>",
        *(rows_html(board, ["row", *heads], rows) for heads, rows in tables(board)),
        list_html(speed_lines(board)),
        figure_html(
            plot_profiles(board),
            "Long roll-outs in wall units: mean velocity, rms velocities, shear stress. Dots: "
            "filtered DNS; bands hold all seeds. Roll-outs that were lost are left out.",
        ),
        figure_html(
            plot_errors(board),
            "Error and correlation of the fluctuations against time, mean over windows; bands hold "
            "all seeds.",
        ),
        figure_html(
            plot_energy(board),
            "Fluctuation energy of the long roll-outs, every seed; grey: half to twice the data's "
            "mean. A cross marks where a roll-out was lost.",
        ),
        figure_html(plot_spectra(board), "Spectra at y+ of about 15, divided by the data's."),
        figure_html(
            plot_pictures(board, board.models),
            "Streamwise fluctuation at y+ of about 15, first window and seed; x to the right.",
        ),
    ]
    kernels, measures = plot_kernels(board), plot_kernel_measures(board)
    if kernels is not None and measures is not None:
        parts.append(
            figure_html(
                kernels,
                "Kernels of the last iteration, mean over fields, first seed; each divided by its "
                "largest entry, quadrature weights included.",
            )
        )
        parts.append(
            figure_html(
                measures,
                "The kernels by iteration: spectral radius, distance to the nearest kernel that "
                "commutes with shifts (x and z), gain of the block, size of the field, and the "
                "gradient of the mean square output.",
            )
        )
    parts.append(costs_html(board))
    return "".join(parts)


def _seeds(board: Board) -> str:
    n = len(board.seeds)
    return f"{n} seed" + ("" if n == 1 else "s")
