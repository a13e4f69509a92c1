"""Figures of predicted populations: where cells go, and what the genes that change most do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.benchmarks.plots import CONTROL, PREDICTED, TREATED, close_panels, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_arrows", "plot_genes"]

Samples = Sequence[tuple[str, dict[str, Any]]]
"""(title, sample) pairs; a sample is what a results file of the cells task carries."""

COLUMNS = 5


def plot_arrows(samples: Samples, predicted: str = PREDICTED) -> "Figure":
    """From control cells to their predicted selves, over the treated cells; a panel a split."""
    rows = -(-len(samples) // COLUMNS)
    columns = min(len(samples), COLUMNS)
    figure = new_figure(2.9 * columns, 2.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (title, sample) in zip(axes.flat, samples, strict=False):
        treated, arrows = np.array(sample["clouds"]["treated"]), np.array(sample["arrows"])
        axis.scatter(treated[:, 0], treated[:, 1], s=10, c=TREATED, alpha=0.35, linewidths=0)
        start, move = arrows[:, :2], arrows[:, 2:] - arrows[:, :2]
        axis.scatter(start[:, 0], start[:, 1], s=6, c=CONTROL, linewidths=0)
        axis.quiver(
            *start.T, *move.T, angles="xy", scale_units="xy", scale=1, color=predicted, width=0.005
        )
        ends = np.concatenate((treated, start, arrows[:, 2:]))
        low, high = ends.min(0), ends.max(0)
        pad = 0.05 * (high - low)
        axis.set_xlim(low[0] - pad[0], high[0] + pad[0])
        axis.set_ylim(low[1] - pad[1], high[1] + pad[1])
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(sample["axes"][0], fontsize=8)
        axis.set_ylabel(sample["axes"][1], fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in list(axes.flat)[len(samples) :]:
        axis.set_visible(False)
    return figure


def plot_genes(samples: Samples, predicted: str = PREDICTED) -> "Figure":
    """Median and 10 to 90 % range of the genes that change most; a panel a split.

    A prediction is right where its bar lies on the treated one, in place and in length.
    """
    rows = -(-len(samples) // COLUMNS)
    columns = min(len(samples), COLUMNS)
    figure = new_figure(2.9 * columns, 3.4 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    colours = {"control": CONTROL, "treated": TREATED, "predicted": predicted}
    for axis, (title, sample) in zip(axes.flat, samples, strict=False):
        genes = sample["genes"]
        y = np.arange(len(genes["names"]))
        for i, (cloud, colour) in enumerate(colours.items()):
            low, middle, high = np.array(genes[cloud]).T
            height = y + 0.25 * (i - 1)
            axis.hlines(height, low, high, colors=colour, linewidth=2, label=cloud)
            axis.plot(middle, height, "o", color=colour, markersize=3)
        axis.set_yticks(y, genes["names"], fontsize=7)
        axis.invert_yaxis()
        axis.set_xlabel("log expression, decoded", fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    close_panels(figure, axes, len(samples), handlelength=1.2)
    return figure
