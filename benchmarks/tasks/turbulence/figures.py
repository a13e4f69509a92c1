"""Figures of the turbulence board: accuracy against seconds, correlation, spectra, pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.benchmarks.leaderboard import Board
from pushforward.benchmarks.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "pareto_front",
    "plot_correlation",
    "plot_pareto",
    "plot_pictures",
    "plot_spectra",
]

# Okabe and Ito's colours, which colour-blind readers can tell apart, olive for their pale yellow.
FAMILIES = {"fv": ("#E69F00", "s"), "spectral": ("#009E73", "^"), "persistence": ("#999999", "x")}
LEARNED = ["#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#999933"]


def pareto_front(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """Rows that no other row beats in one of seconds and duration without losing in the other.

    Parameters
    ----------
    points : (row, seconds, duration).

    Returns
    -------
    Their names, from the cheapest to the longest.

    Examples
    --------
    >>> pareto_front([("a", 1.0, 2.0), ("b", 2.0, 1.0), ("c", 3.0, 4.0)])
    ['a', 'c']
    """
    front: list[str] = []
    best = -np.inf
    for name, _, length in sorted(points, key=lambda p: (p[1], -p[2])):
        if length > best:
            front.append(name)
            best = length
    return front


def pareto_points(
    board: Board, seconds: str = "seconds_per_unit"
) -> list[tuple[str, float, float]]:
    """(row, seconds, duration above 0.8) of every row that was timed."""
    points = []
    for model in board.models:
        time, length = board.value(model, seconds), board.value(model, "duration_80")
        if time is not None and length is not None:
            points.append((model, time.mean, length.mean))
    return points


def plot_pareto(board: Board) -> "Figure":
    """Duration against seconds a time unit: flows stepped together, and one flow alone."""
    figure = new_figure(9.5, 4.0)
    axes = figure.subplots(1, 2, sharey=True)
    titles = {"seconds_per_unit": "all flows together", "seconds_per_unit_alone": "one flow"}
    for axis, (seconds, title) in zip(axes, titles.items(), strict=True):
        points = pareto_points(board, seconds)
        places = _label_places(points)
        for name, time, length in points:
            colour, marker = _style(board, name)
            axis.plot(time, length, marker=marker, color=colour, markersize=8, linestyle="none")
            offset, align = places[name]
            axis.annotate(
                name, (time, length), textcoords="offset points", xytext=offset, ha=align,
                va="center", fontsize=8,
            )  # fmt: skip
        chosen = {p[0]: p for p in points}
        front = [chosen[name] for name in pareto_front(points)]
        axis.plot(
            [p[1] for p in front],
            [p[2] for p in front],
            color="black",
            linewidth=0.8,
            linestyle="--",
            zorder=0,
        )
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter("")
        axis.margins(0.18, 0.12)
        axis.set_xlabel(f"seconds per time unit and flow ({title})")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("duration above 0.8 (time units)")
    return figure


def _label_places(
    points: Sequence[tuple[str, float, float]],
) -> dict[str, tuple[tuple[float, float], str]]:
    """Where each label goes: on the side of its point where it meets no point and no label yet."""
    span = max(p[2] for p in points) - min(p[2] for p in points) or 1.0
    at = {name: (np.log10(time), length / span) for name, time, length in points}
    sides: list[tuple[tuple[float, float], str]] = [
        ((8, 0), "left"),
        ((-8, 0), "right"),
        ((0, 11), "center"),
        ((0, -11), "center"),
    ]
    shift = [(0.25, 0.0), (-0.25, 0.0), (0.0, 0.07), (0.0, -0.07)]
    taken = list(at.values())
    places = {}
    for name, (x, y) in at.items():

        def crowding(side: int, x: float = x, y: float = y) -> float:
            a, b = x + shift[side][0], y + shift[side][1]
            return sum(abs(a - c) < 0.3 and abs(b - d) < 0.05 for c, d in taken if (c, d) != (x, y))

        best = min(range(len(sides)), key=crowding)
        places[name] = sides[best]
        taken.append((x + shift[best][0], y + shift[best][1]))
    return places


def plot_correlation(board: Board) -> "Figure":
    """Mean correlation over flows and seeds against time, with the spread of the seeds."""
    figure = new_figure(8.5, 3.8)
    axis = figure.subplots()
    for name in board.models:
        results = board.of(name)
        curves = np.array([np.mean(r.sample["correlation"], axis=0) for r in results])
        spacing = results[0].sample["spacing"]
        time = spacing * np.arange(curves.shape[1] + 1)
        curves = np.concatenate([np.ones((len(curves), 1)), curves], axis=1)
        colour, _ = _style(board, name)
        style = "-" if results[0].learned else "--" if name.startswith("fv") else ":"
        width = 0.8 + 0.5 * _rank(name)
        axis.plot(time, curves.mean(0), style, color=colour, label=name, linewidth=width)
        if len(curves) > 1:
            axis.fill_between(time, curves.min(0), curves.max(0), color=colour, alpha=0.2, lw=0)
    for threshold in (0.8, 0.95):
        axis.axhline(threshold, color="black", linewidth=0.5)
    horizon = max(r.sample.get("training_horizon", 0.0) for r in board.results)
    note = ""
    if horizon:  # forecasts from files do not say theirs
        note = " (dotted: longest training roll-out, and five times it)"
        axis.axvline(horizon, color="black", linewidth=0.5, linestyle=":")
        axis.axvline(5 * horizon, color="black", linewidth=0.5, linestyle=":")
    axis.set_xlabel(f"time units{note}")
    axis.set_ylabel("vorticity correlation")
    axis.set_ylim(-0.05, 1.02)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_spectra(board: Board) -> "Figure":
    """Energy by shell over the last third of the forecasts, divided by the truth's."""
    figure = new_figure(8.5, 3.4)
    axis = figure.subplots()
    true = next(
        np.array(r.sample["true_spectrum"]) for r in board.results if "true_spectrum" in r.sample
    )
    for name in board.models:
        results = [r for r in board.of(name) if r.sample["spectrum"]]
        if not results:
            continue
        mean = np.mean([r.sample["spectrum"] for r in results], axis=0)
        shells = np.arange(1, min(len(mean), len(true)))
        colour, _ = _style(board, name)
        style = "-" if results[0].learned else "--" if name.startswith("fv") else ":"
        axis.plot(shells, mean[shells] / true[shells], style, color=colour, label=name)
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("waves on the domain")
    axis.set_ylabel("energy / true energy")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_pictures(board: Board, rows: Sequence[str]) -> "Figure":
    """Vorticity of one flow: the truth, then some rows, from left to right in time."""
    shown: dict[str, Any] = {}
    for name in rows:
        with_pictures = [r for r in board.of(name) if "pictures" in r.sample]
        if with_pictures:
            pictures = with_pictures[0].sample["pictures"]
            shown.setdefault("truth", pictures["truth"])
            shown[name] = pictures["forecast"]
    times = list(shown["truth"])
    figure = new_figure(1.75 * len(times) + 1.0, 1.75 * len(shown) + 0.3)
    axes = figure.subplots(len(shown), len(times), squeeze=False)
    for line, (name, pictures) in zip(axes, shown.items(), strict=True):
        for axis, time in zip(line, times, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            picture = pictures[time]
            if picture is None:
                axis.text(0.5, 0.5, "not finite", ha="center", va="center", fontsize=8)
            else:
                limit = np.abs(np.array(shown["truth"][time])).max()
                axis.imshow(
                    np.array(picture).T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit
                )
        line[0].set_ylabel(name, fontsize=9)
    for axis, time in zip(axes[0], times, strict=True):
        axis.set_title(f"t = {time}", fontsize=9)
    return figure


def _style(board: Board, name: str) -> tuple[str, str]:
    family = name.split("_")[0]
    learned = sorted(board.learned)
    if name in learned:
        return LEARNED[learned.index(name) % len(LEARNED)], "o"
    return FAMILIES.get(family, ("#999999", "D"))


def _rank(name: str) -> float:
    """0 for the coarsest solver, more for finer ones; 1 for all else."""
    tail = name.rsplit("_", 1)[-1]
    return max(0.0, np.log2(int(tail)) - 5) if tail.isdigit() else 1.0
