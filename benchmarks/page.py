"""One self-contained HTML page from results: tables, figures, and how to read them."""

import html
from collections.abc import Sequence
from pathlib import Path

from pushforward import __version__
from pushforward.benchmarks.leaderboard import (
    Board,
    make_boards,
    paired_lines,
    split_rows,
    table_rows,
    to_csv,
    to_markdown,
)
from pushforward.benchmarks.page_parts import costs_html, figure_html, table_html
from pushforward.benchmarks.plots import plot_headline, plot_scatter, plot_splits, row_colours
from pushforward.benchmarks.result import Result
from pushforward.benchmarks.tasks.atmosphere.report import atmosphere_section
from pushforward.benchmarks.tasks.cells.figures import plot_arrows, plot_genes
from pushforward.benchmarks.tasks.channel.report import channel_section
from pushforward.benchmarks.tasks.turbulence.report import turbulence_section
from pushforward.simulators.files import atomic_path

__all__ = ["make_page", "write_leaderboard", "write_page"]

STYLE = """
:root { font-family: system-ui, sans-serif; line-height: 1.45; color: #1a1a1a; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.8rem; text-align: right; white-space: nowrap; }
th, td { border-bottom: 1px solid #ddd; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr.learned td { font-weight: 600; } tr.beside td { color: #666; }
.scroll { overflow-x: auto; } figure { margin: 1rem 0; overflow-x: auto; }
figcaption, .note { color: #555; font-size: 0.9rem; } svg { max-width: 100%; height: auto; }
code { background: #f3f3f3; padding: 0.1rem 0.3rem; border-radius: 3px; overflow-wrap: anywhere; }
"""

READING_CELLS = """
Every learned row stands beside rows that learn nothing. <b>identity</b> does nothing;
<b>mean_shift</b> adds the mean effect seen in training; <b>pasted</b> answers with treated cells
of other populations. Rows in brackets are no models: <b>(floor)</b> is one half of the true
cells against the other, the best that can be measured; <b>(ceiling)</b> the same for a bootstrap
sample; <b>(oracle_shift)</b> has seen the answer's mean. <b>gap_closed</b> is the share of the
way from identity (0) to the floor (1). A table gives the mean over splits of the mean over seeds,
± its standard error over splits.
"""


def make_page(results: Sequence[Result], *, title: str) -> str:
    """The page as text; nothing in it is fetched from elsewhere.

    Parameters
    ----------
    results : of any number of tasks and presets.
    title : the heading.
    """
    boards = make_boards(results)
    parts = [SECTIONS.get(board.task, _board_section)(board) for board in boards]
    reading = READING_CELLS if any(board.task == "cells" for board in boards) else ""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p class='note'>{reading}</p>"
        + "".join(parts)
        + f"<p class='note'>Made by pushforward {__version__} from {len(results)} results files; "
        "no number on this page was typed.</p></body></html>\n"
    )


def write_page(path: Path, results: Sequence[Result], *, title: str) -> Path:
    """Write `make_page` atomically; returns the path."""
    text = make_page(results, title=title)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_leaderboard(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write `leaderboard.csv`, `leaderboard.md` and `leaderboard.html` into a folder."""
    texts = {
        "leaderboard.csv": to_csv(results),
        "leaderboard.md": to_markdown(make_boards(results)),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    page = write_page(folder / "leaderboard.html", results, title="pushforward leaderboard")
    return [*(folder / name for name in texts), page]


def _board_section(board: Board) -> str:
    learned = {r.model for r in board.results if r.learned}
    heads = ["model", *(f"{m} {'↓' if board.best(m) == 'lowest' else '↑'}" for m in board.headline)]
    rows = [
        (
            "learned" if name in learned else "beside" if name.startswith("(") else "",
            [name, *cells],
        )
        for name, cells in table_rows(board)
    ]
    columns, by_split = split_rows(board)
    parts = [
        f"<h2>{html.escape(board.task)}, preset {html.escape(board.preset)}, "
        f"leave {html.escape(board.split_kind)} out</h2>",
        f"<p class='note'>{len(board.splits)} splits, {len(board.seeds)} seeds, data fingerprint "
        f"<code>{html.escape(board.data_fingerprint)}</code>.</p>",
        table_html(heads, rows),
        figure_html(
            plot_headline(board), "Mean over splits; bars show the standard error over splits."
        ),
        f"<h3>{html.escape(board.headline[0])}, split by split</h3>",
        table_html(["held out", *columns], [("", [name, *cells]) for name, cells in by_split]),
        figure_html(
            plot_splits(board), "Mean over seeds; bars show the standard error over seeds."
        ),
    ]
    pairs = paired_lines(board)
    if pairs:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in pairs)
        parts.append(f"<h3>Paired differences</h3><ul>{items}</ul>")
    for model in (m for m in board.models if m in learned):
        samples = [
            (f"{r.split} (seed {r.seed})", r.sample)
            for r in board.results
            if r.model == model and r.sample.get("kind") == "scatter"
        ]
        colour = row_colours(board)[model]
        if samples:
            parts.append(f"<h3>{html.escape(model)}: control, treated and predicted cells</h3>")
            parts.append(
                figure_html(
                    plot_scatter(samples, colour),
                    "Two leading principal components, fitted on training cells only. A good "
                    "prediction lies on the treated cells and is as spread out as they are.",
                )
            )
            moved = [(title, sample) for title, sample in samples if "arrows" in sample]
            if moved:
                parts.append(
                    figure_html(
                        plot_arrows(moved, colour),
                        "Where control cells (grey) are sent, over the treated cells (orange). "
                        "Arrows are the displacement in the first two components.",
                    )
                )
            measured = [(title, sample) for title, sample in samples if "genes" in sample]
            if measured:
                parts.append(
                    figure_html(
                        plot_genes(measured, colour),
                        "The genes whose mean changes most in truth: median and 10 to 90 % range, "
                        "all three clouds decoded from the same components.",
                    )
                )
    parts.append(costs_html(board))
    return "".join(parts)


SECTIONS = {
    "atmosphere": atmosphere_section,
    "channel": channel_section,
    "turbulence": turbulence_section,
}
"""Task -> its own section of the page; other tasks have the common one."""
