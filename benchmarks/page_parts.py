"""Pieces of HTML that the sections of a page share: tables, figures, costs."""

import html
from collections.abc import Sequence

from pushforward.benchmarks.leaderboard import Board
from pushforward.benchmarks.plots import figure_svg

__all__ = ["costs_html", "figure_html", "list_html", "rows_html", "table_html"]


def costs_html(board: Board) -> str:
    """What the learned rows cost, where it is known, and how the results were made."""
    rows = []
    for model in board.learned:
        costs = [r.cost for r in board.of(model)]
        if all(c["device"] == "unknown" for c in costs):
            continue
        mean = {
            key: sum(float(c[key]) for c in costs) / len(costs)
            for key in ("parameters", "train_seconds", "inference_seconds", "peak_memory_mb")
        }
        devices = ", ".join(sorted({str(c["device"]) for c in costs}))
        rows.append(
            (
                "",
                [
                    model,
                    f"{mean['parameters']:.0f}",
                    f"{mean['train_seconds']:.1f}",
                    f"{mean['inference_seconds']:.4f}",
                    f"{mean['peak_memory_mb']:.0f}",
                    devices,
                ],
            )
        )
    if not rows:
        return ""
    heads = ["model", "parameters", "training s", "inference s", "peak memory MB", "device"]
    command = html.escape(board.results[0].command)
    versions = ", ".join(f"{k} {v}" for k, v in board.results[0].versions.items())
    return (
        "<h3>Cost of one split and seed</h3>"
        + table_html(heads, rows)
        + f"<p class='note'>Command: <code>{command}</code><br>{html.escape(versions)}</p>"
    )


def rows_html(board: Board, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table of a board's rows: learned ones stand out, those in brackets stand back."""

    def kind(name: str) -> str:
        return "learned" if name in learned else "beside" if name.startswith("(") else ""

    learned = set(board.learned)
    return table_html(heads, [(kind(name), [name, *cells]) for name, cells in rows])


def list_html(lines: Sequence[str]) -> str:
    """Lines as a list."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def table_html(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table that scrolls; each row is (class, cells)."""
    head = "".join(f"<th scope='col'>{html.escape(h)}</th>" for h in heads)
    body = "".join(
        f"<tr class='{kind}'>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>"
        for kind, cells in rows
    )
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def figure_html(figure: object, caption: str) -> str:
    """A figure as SVG with its caption."""
    return (
        f"<figure role='img' aria-label='{html.escape(caption)}'>{figure_svg(figure)}"  # type: ignore[arg-type]
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
