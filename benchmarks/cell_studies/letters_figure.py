"""The figure of the letters study: noisy, clean and predicted letters."""

from typing import TYPE_CHECKING

from torch import Tensor

from pushforward.benchmarks.plots import CONTROL, LEARNED, TREATED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_letters"]


def plot_letters(clouds: dict[str, dict[str, Tensor]]) -> "Figure":
    """A row of panels a letter: noisy, clean, and each model's answer to the noisy one.

    Parameters
    ----------
    clouds : letter -> row -> points; all letters have the same rows, "noisy" and "clean" first.
    """
    names = list(next(iter(clouds.values())))
    figure = new_figure(2.1 * len(names), 2.1 * len(clouds) + 0.3)
    axes = figure.subplots(len(clouds), len(names), squeeze=False, sharex=True, sharey=True)
    colours = {"noisy": CONTROL, "clean": TREATED}
    for line, (letter, rows) in zip(axes, clouds.items(), strict=True):
        for axis, name in zip(line, names, strict=True):
            points = rows[name]
            axis.scatter(
                points[:, 0], points[:, 1], s=3, c=colours.get(name, LEARNED), linewidths=0
            )
            axis.set_aspect("equal")
            axis.tick_params(labelsize=7)
            if letter == next(iter(clouds)):
                axis.set_title(name, fontsize=9)
        line[0].set_ylabel(letter, fontsize=9)
    return figure
