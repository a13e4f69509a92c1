"""A study's rows as bars, or points, with standard errors, one panel a table."""

from typing import TYPE_CHECKING

import numpy as np

from pushforward.benchmarks.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bars"]


def bars(study: Study, metric: str, *, line: float | None = None, log: bool = False) -> "Figure":
    """Mean and standard error of one figure for every row of every table that has it.

    Parameters
    ----------
    study : whose tables are drawn.
    metric : the figure's name.
    line : a value to be marked, such as the limit of a claim.
    log : logarithmic axis; points instead of bars, whose length would mean nothing.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    tables = {
        name: {row: cells[metric] for row, cells in rows.items() if metric in cells}
        for name, rows in study.tables.items()
    }
    heights = [0.6 + 0.26 * len(rows) for rows in tables.values()]
    figure, axes = plt.subplots(
        len(tables),
        1,
        figsize=(7, sum(heights) + 0.3),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, rows) in zip(axes[:, 0], tables.items(), strict=True):
        for i, (row, values) in enumerate(rows.items()):
            error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
            learned = "map" in row or "gap" in row
            mean, colour = np.mean(values), "C0" if learned else "0.6"
            if log:
                axis.errorbar(mean, i, xerr=error, fmt="o", markersize=5, color=colour)
            else:
                axis.barh(i, mean, xerr=error, color=colour)
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axis.invert_yaxis()
        axis.set_title(name, fontsize=9, loc="left")
        axis.tick_params(axis="x", labelsize=8)
        if log:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.grid(axis="x", color="0.9")
        if line is not None:
            axis.axvline(line, color="k", lw=0.8, ls=":")
    axes[-1, 0].set_xlabel(metric.replace("_", " "), fontsize=9)
    plt.close(figure)
    return figure
