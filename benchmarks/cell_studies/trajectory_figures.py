"""Figures of the trajectory study: W1 of every row, and the predicted clouds."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pushforward.benchmarks.cell_studies._time_course import TimeCourse
from pushforward.benchmarks.plots import LEARNED, REFERENCE, TREATED, new_figure
from pushforward.benchmarks.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_course", "plot_w1"]

SHOWN = 250  # cells of a cloud


def plot_w1(study: Study) -> "Figure":
    """One panel a left-out time: mean W1 of every row with its standard error over seeds."""
    figure = new_figure(3.4 * len(study.tables) + 1.6, 3.6)
    axes = figure.subplots(1, len(study.tables), sharey=True, squeeze=False)[0]
    for axis, (name, rows) in zip(axes, study.tables.items(), strict=True):
        for y, (row, cells) in enumerate(rows.items()):
            w1 = np.array(cells["w1"])
            error = w1.std(ddof=1) / len(w1) ** 0.5 if len(w1) > 1 else 0.0
            colour = LEARNED if row.split(",")[0] in ("OT-CFM", "SB-CFM", "MFM") else REFERENCE
            axis.barh(y, w1.mean(), xerr=error, color=colour, height=0.7, capsize=2)
        axis.axvline(np.mean(rows["OT midpoint"]["w1"]), color="black", linestyle="--", lw=0.8)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("W1, lower is better", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), list(rows))
    axes[0].invert_yaxis()
    return figure


def plot_course(course: TimeCourse, clouds: dict[int, dict[str, Tensor]]) -> "Figure":
    """Left-out and predicted cells in the first two coordinates, a row of panels a left-out time.

    Parameters
    ----------
    course : all measured cells, shown in grey.
    clouds : left-out time -> row -> predicted cells of one seed.
    """
    names = list(next(iter(clouds.values())))
    figure = new_figure(2.3 * len(names), 2.2 * len(clouds) + 0.5)
    axes = figure.subplots(len(clouds), len(names), squeeze=False, sharex=True, sharey=True)
    for line, (left, rows) in zip(axes, clouds.items(), strict=True):
        for axis, name in zip(line, names, strict=True):
            for k, cells in enumerate(course.populations):
                if k != left:
                    few = cells[:SHOWN]
                    axis.scatter(few[:, 0], few[:, 1], s=2, c="#cccccc", linewidths=0)
            truth, moved = course.populations[left][:SHOWN], rows[name][:SHOWN]
            axis.scatter(truth[:, 0], truth[:, 1], s=5, c=TREATED, marker="^", linewidths=0)
            axis.scatter(moved[:, 0], moved[:, 1], s=6, c=LEARNED, marker="x", linewidths=0.6)
            axis.tick_params(labelsize=7)
            if left == next(iter(clouds)):
                axis.set_title(name, fontsize=9)
        line[0].set_ylabel(f"time {left} left out", fontsize=9)
    figure.suptitle("left-out cells: triangles; predicted: crosses; other times: grey", fontsize=9)
    return figure
