"""Figures of the atmosphere board: curves over lead time, spectra, maps of the lowest layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pushforward.benchmarks.leaderboard import Board
from pushforward.benchmarks.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_curves", "plot_maps", "plot_zonal_spectra"]

# Okabe and Ito's colours, which colour-blind readers can tell apart, olive for their pale yellow;
# one a network.
COLOURS = {
    "unet": "#0072B2",
    "swin": "#D55E00",
    "sfno": "#009E73",
    "graphcast": "#CC79A7",
    "persistence": "#999999",
    "upwind": "#E69F00",
    "upwind_long": "#7A5195",
    "upwind_winds": "#999933",
}
CURVES = {
    "r2": "r² (blind to bias)",
    "rmse": "RMSE (ppm)",
    "bias": "bias (ppm)",
    "mass": "relative mass error",
}


def plot_curves(board: Board) -> "Figure":
    """r², error, bias and mass error against lead time: centred rows, with and without fixer."""
    figure = new_figure(10.0, 6.6)
    axes = figure.subplots(2, 2, sharex=True)
    shown = [m for m in board.models if "uncentred" not in m]
    for axis, (name, title) in zip(axes.flat, CURVES.items(), strict=True):
        for model in shown:
            results = [r for r in board.of(model) if name in r.sample.get("curves", {})]
            if not results:
                continue
            values = np.mean([r.sample["curves"][name] for r in results], axis=0)
            days = results[0].sample["days_per_value"] * np.arange(1, len(values) + 1)
            if name == "mass":
                values = np.maximum(values, 1e-12)
            style = "--" if model.endswith("_free") else "-" if results[0].learned else ":"
            axis.plot(days, values, style, color=_colour(model), label=model, linewidth=1.3)
        axis.set_ylabel(title)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1, 1].set_yscale("log")
    axes[0, 0].axhline(0.9, color="black", linewidth=0.5)
    axes[1, 0].axhline(0.0, color="black", linewidth=0.5)
    for axis in axes[1]:
        axis.set_xlabel("days after the start")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def plot_zonal_spectra(board: Board) -> "Figure":
    """Variance by zonal wave number over the last third, divided by the truth's."""
    figure = new_figure(7.5, 3.2)
    axis = figure.subplots()
    for model in board.models:
        if "uncentred" in model or model.endswith("_free"):
            continue
        results = [r for r in board.of(model) if r.sample.get("spectrum")]
        if not results:
            continue
        ratio = np.mean(
            [np.array(r.sample["spectrum"]) / r.sample["true_spectrum"] for r in results], axis=0
        )
        style = "-" if results[0].learned else ":"
        waves = np.arange(1, len(ratio) + 1)
        axis.plot(waves, ratio, style, color=_colour(model), label=model)
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set_yscale("log")
    axis.set_xlabel("waves around the globe")
    axis.set_ylabel("variance / true variance")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_maps(board: Board, rows: Sequence[str]) -> "Figure":
    """CO2 of the lowest layer after some days: the truth, then rows minus truth."""
    truth: dict = {}
    forecasts = {}
    for name in rows:
        found = [r for r in board.of(name) if "maps" in r.sample]
        if found:
            truth = truth or found[0].sample["maps"]["truth"]
            forecasts[name] = found[0].sample["maps"]["forecast"]
    days = sorted(truth, key=int)
    figure = new_figure(3.0 * len(days) + 1.0, 1.6 * (len(forecasts) + 1) + 0.3)
    axes = figure.subplots(len(forecasts) + 1, len(days), squeeze=False)
    area = {"origin": "lower", "extent": (0, 360, -90, 90), "aspect": "auto"}
    for j, day in enumerate(days):
        axes[0, j].set_title(f"day {day}", fontsize=9)
        image = axes[0, j].imshow(np.array(truth[day]), cmap="viridis", **area)
        figure.colorbar(image, ax=axes[0, j], label="ppm")
        for i, (name, maps) in enumerate(forecasts.items(), start=1):
            axis = axes[i, j]
            if maps[day] is None:
                axis.text(180, 0, "not finite", ha="center", va="center", fontsize=8)
            else:
                limit = 0.5 * float(np.ptp(truth[day]))
                error = np.array(maps[day]) - np.array(truth[day])
                image = axis.imshow(error, cmap="RdBu_r", vmin=-limit, vmax=limit, **area)
                figure.colorbar(image, ax=axis, label="ppm off")
            axes[i, 0].set_ylabel(name, fontsize=9)
    axes[0, 0].set_ylabel("truth", fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def _colour(model: str) -> str:
    return COLOURS.get(model) or COLOURS.get(model.split("_")[0], "#333333")
