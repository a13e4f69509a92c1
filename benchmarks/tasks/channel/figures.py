"""Figures of the channel board: profiles, errors, energy, spectra, pictures, attention kernels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.benchmarks.leaderboard import Board
from pushforward.benchmarks.plots import new_figure
from pushforward.benchmarks.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_energy",
    "plot_errors",
    "plot_kernel_measures",
    "plot_kernels",
    "plot_pictures",
    "plot_profiles",
    "plot_spectra",
]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
LEARNED = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
STYLES = {
    "les_dynamic_smagorinsky": ("#E69F00", "--"),
    "les_wale": ("#56B4E9", "--"),
    "les_no_model": ("#999999", "--"),
    "persistence": ("#999999", ":"),
    "convected_persistence": ("#000000", ":"),
    "run_mean": ("#BBBBBB", "-."),
}
TITLES = {"U": "U⁺", "u_rms": "u'⁺", "v_rms": "v'⁺", "w_rms": "w'⁺", "uv": "−<u'v'>⁺"}


def plot_profiles(board: Board) -> "Figure":
    """Mean velocity, rms and shear stress over the distance from the wall, in wall units."""
    figure = new_figure(13.5, 3.2)
    axes = figure.subplots(1, len(TITLES))
    truth = board.results[0].sample["truth"]
    y = np.array(truth["y_plus"])
    inner = slice(1, None)
    for name, style, results in _rows(board, "profiles"):
        for axis, quantity in zip(axes, TITLES, strict=True):
            lines = np.array([r.sample["profiles"][quantity] for r in results])
            axis.plot(y[inner], lines.mean(0)[inner], label=name, linewidth=1.3, **style)
            if len(lines) > 1:
                low, high = lines.min(0)[inner], lines.max(0)[inner]
                axis.fill_between(y[inner], low, high, color=style["color"], alpha=0.15, lw=0)
    for axis, (quantity, title) in zip(axes, TITLES.items(), strict=True):
        axis.plot(
            y[inner], truth["profiles"][quantity][1:], "ko", markersize=3, label="filtered DNS"
        )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("y⁺")
        if quantity == "U":
            axis.set_xscale("log")
        _plain(axis)
    _legend(figure, axes[0])
    return figure


def plot_errors(board: Board) -> "Figure":
    """Error and correlation of fluctuations against time, mean over windows and seeds."""
    figure = new_figure(11.0, 3.6)
    axes = figure.subplots(1, 2)
    for axis, quantity in zip(axes, ("error", "correlation"), strict=True):
        for name, style, results in _rows(board, quantity):
            length = min(len(r.sample[quantity]) for r in results)
            if not length:
                continue
            lines = np.array([r.sample[quantity][:length] for r in results])
            time = results[0].sample["spacing"] * (1 + np.arange(length))
            axis.plot(time, lines.mean(0), label=name, linewidth=1.3, **style)
            if len(lines) > 1:
                axis.fill_between(
                    time, lines.min(0), lines.max(0), color=style["color"], alpha=0.15, lw=0
                )
        axis.set_xscale("log")
        axis.set_xlabel("time, h/u_τ")
        _plain(axis)
    axes[0].axhline(1, color="black", linewidth=0.5)
    axes[0].set_ylim(0, 1.7)
    axes[0].set_ylabel("error / size of true fluctuations")
    axes[1].axhline(0.8, color="black", linewidth=0.5)
    axes[1].set_ylabel("correlation of fluctuations")
    _legend(figure, axes[0])
    return figure


def plot_energy(board: Board) -> "Figure":
    """Fluctuation energy of the long roll-outs over the data's mean; a cross where one was lost."""
    figure = new_figure(9.5, 3.4)
    axis = figure.subplots()
    for name, style, results in _rows(board, "energy"):
        for i, result in enumerate(results):
            history = result.sample["energy"]
            values = np.maximum(history["values"], 1e-4)
            steps = result.sample["spacing"] * history["every"] * (1 + np.arange(len(values)))
            axis.plot(steps, values, label=name if i == 0 else None, linewidth=0.9, **style)
            lost = "profiles" not in result.sample
            if lost and len(values):
                axis.plot(steps[-1], values[-1], "x", color=style["color"], markersize=8)
    axis.axhspan(0.5, 2.0, color="black", alpha=0.06, lw=0)
    axis.set_yscale("log")
    axis.set_xlabel("time, h/u_τ")
    axis.set_ylabel("fluctuation energy / mean of the data")
    _plain(axis)
    _legend(figure, axis)
    return figure


def plot_spectra(board: Board) -> "Figure":
    """Spectra of u, v, w along x and z at y+ of about 15, divided by the data's."""
    figure = new_figure(12.5, 5.2)
    axes = figure.subplots(2, 3, sharey=True)
    truth = board.results[0].sample["truth"]["spectra"]
    height = 1  # of the four that are kept, y+ of about 15
    for line, along in zip(axes, ("x", "z"), strict=True):
        for axis, (i, component) in zip(line, enumerate("uvw"), strict=True):
            true = np.array(truth[along][i][height])
            for name, style, results in _rows(board, "spectra"):
                found = np.mean([r.sample["spectra"][along][i][height] for r in results], axis=0)
                waves = np.arange(1, len(true))
                ratio = np.maximum(found[1:], 1e-12) / true[1:]
                axis.plot(waves, ratio, label=name, linewidth=1.3, marker=".", **style)
            axis.axhline(1, color="black", linewidth=0.5)
            axis.set_yscale("log")
            axis.set_ylim(1e-2, 1e2)
            axis.set_xlabel(f"waves along {along}")
            axis.set_title(f"{component} along {along}", fontsize=9)
            _plain(axis)
        line[0].set_ylabel("energy / filtered DNS")
    _legend(figure, axes[0, 0])
    return figure


def plot_pictures(board: Board, rows: Sequence[str]) -> "Figure":
    """u' at y+ of about 15 after some steps: the truth, then some rows."""
    shown: dict[str, Any] = {}
    for name in rows:
        found = [r for r in board.of(name) if "pictures" in r.sample]
        if found:
            shown.setdefault("filtered DNS", found[0].sample["pictures"]["truth"])
            shown[name] = found[0].sample["pictures"]["forecast"]
    steps = sorted(shown["filtered DNS"], key=int)  # JSON sorts names as words
    figure = new_figure(2.6 * len(steps) + 1.2, 1.05 * len(shown) + 0.5)
    axes = figure.subplots(len(shown), len(steps), squeeze=False)
    limit = max(np.abs(np.array(p)).max() for p in shown["filtered DNS"].values())
    for line, (name, pictures) in zip(axes, shown.items(), strict=True):
        for axis, step in zip(line, steps, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            if pictures[step] is None:
                axis.text(0.5, 0.5, "not finite", ha="center", va="center", fontsize=8)
                continue
            axis.imshow(
                np.array(pictures[step]).T,
                origin="lower",
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                aspect="auto",
            )
        line[0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
    for axis, step in zip(axes[0], steps, strict=True):
        axis.set_title(f"{step} step" + ("" if step == "1" else "s"), fontsize=9)
    return figure


def plot_kernels(board: Board) -> "Figure | None":
    """Kernels of the last iteration: a row of heads for each axis and model."""
    found = _with_attention(board)
    if not found:
        return None
    heads = len(next(iter(found.values()))["kernels"]["x"])
    figure = new_figure(1.5 * heads * len(found) + 1.0, 5.0)
    axes = figure.subplots(3, heads * len(found), squeeze=False)
    for m, (model, attention) in enumerate(found.items()):
        for line, axis_name in zip(axes, ("x", "y", "z"), strict=True):
            for head, kernel in enumerate(attention["kernels"][axis_name]):
                axis = line[m * heads + head]
                axis.imshow(np.array(kernel), cmap="RdBu_r", vmin=-1, vmax=1)
                axis.set_xticks([])
                axis.set_yticks([])
                if axis_name == "x":
                    axis.set_title(f"{model}\nhead {head + 1}", fontsize=7)
                if m * heads + head == 0:
                    axis.set_ylabel(f"K_{axis_name}", fontsize=9)
    return figure


def plot_kernel_measures(board: Board) -> "Figure | None":
    """By iteration: spectral radius, distance to shift-invariant kernels, gain; gradient norms."""
    found = _with_attention(board)
    if not found:
        return None
    figure = new_figure(13.0, 3.2)
    axes = figure.subplots(1, 5)
    markers = {"x": "o", "y": "s", "z": "^"}
    for i, (model, attention) in enumerate(found.items()):
        colour = LEARNED[i % len(LEARNED)]
        for axis, measure in zip(axes, ("radius", "toeplitz"), strict=False):
            for name, values in attention[measure].items():
                label = f"{model}, K_{name}"
                iterations = np.arange(1, len(values) + 1)
                axis.plot(iterations, values, color=colour, marker=markers[name], label=label)
        gain, size = attention["gain"], attention["size"]
        axes[2].plot(np.arange(1, len(gain) + 1), gain, color=colour, marker="o", label=model)
        axes[3].plot(np.arange(len(size)), size, color=colour, marker="o", label=model)
        parts = attention["gradients"]
        offset = (i - (len(found) - 1) / 2) * 0.35
        axes[4].bar(
            np.arange(len(parts)) + offset, list(parts.values()), 0.33, color=colour, label=model
        )
        axes[4].set_xticks(range(len(parts)), list(parts))
    titles = [
        "spectral radius of K",
        "distance of K to a\nshift-invariant kernel",
        "gain |A(u)|/|u|",
        "size of the field |u|",
        "norm of the gradient",
    ]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("iteration" if title != titles[-1] else "", fontsize=8)
        axis.set_yscale("linear" if "shift" in title or "size" in title else "log")
        _plain(axis)
    axes[1].set_ylim(0, None)
    _legend(figure, axes[0])
    return figure


def _with_attention(board: Board) -> dict[str, Any]:
    return {r.model: r.sample["attention"] for r in board.results if "attention" in r.sample}


def _rows(board: Board, key: str) -> list[tuple[str, dict[str, Any], list[Result]]]:
    """(name, style, results) of every row that has a curve of this name."""
    learned = sorted(board.learned)
    rows = []
    for name in board.models:
        results = [r for r in board.of(name) if key in r.sample]
        if not results:
            continue
        if name in learned:
            style = {"color": LEARNED[learned.index(name) % len(LEARNED)], "linestyle": "-"}
        else:
            colour, line = STYLES.get(name, ("#999999", ":"))
            style = {"color": colour, "linestyle": line}
        rows.append((name, style, results))
    return rows


def _plain(axis: "Axes") -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _legend(figure: "Figure", axis: "Axes") -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right upper", frameon=False, fontsize=8, borderaxespad=0.1
    )
