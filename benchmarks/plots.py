"""Figures of a leaderboard: bars with error bars, splits side by side, clouds of cells."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pushforward.benchmarks.leaderboard import Board, Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = [
    "close_panels",
    "figure_svg",
    "new_figure",
    "plot_headline",
    "plot_scatter",
    "plot_splits",
    "row_colours",
]

# Okabe and Ito's colours, which colour-blind readers can tell apart, olive for their pale yellow.
LEARNED, REFERENCE = "#0072B2", "#E69F00"
CONTROL, TREATED, PREDICTED = "#999999", "#D55E00", "#0072B2"
# Of learned rows, drawn beside the vermilion of treated cells; orange lies too near to it, and
# Tol's wine takes its place.
CYCLE = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#882255", "#999933", "#000000")
MARKERS = "osD^vP*X<>"


def row_colours(board: Board) -> dict[str, str]:
    """A colour for each row of a board: learned rows in colour, all others in shades of grey.

    Colours follow the names, not the scores, so that a row keeps its own in every plot of a page.
    """
    learned = sorted({r.model for r in board.results if r.learned})
    others = [row for row in [*board.models, *board.reference_rows] if row not in learned]
    shades = [0.35 + 0.45 * i / max(len(others) - 1, 1) for i in range(len(others))]
    return {row: CYCLE[i % len(CYCLE)] for i, row in enumerate(learned)} | {
        row: "#" + 3 * f"{round(255 * shade):02x}"
        for row, shade in zip(others, shades, strict=True)
    }


def plot_headline(board: Board) -> "Figure":
    """One panel a headline metric: every row's mean with its standard error over splits."""
    metrics = board.headline
    rows = [*board.models, *board.reference_rows]
    figure = new_figure(3.1 * len(metrics), 0.34 * len(rows) + 1.1)
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    colours = row_colours(board)
    for axis, metric in zip(axes, metrics, strict=True):
        for y, row in enumerate(rows):
            beside = row in board.reference_rows
            cell = board.reference(row, metric) if beside else board.value(row, metric)
            if cell is None:
                continue
            axis.barh(y, cell.mean, xerr=_error(cell), color=colours[row], height=0.7, capsize=3)
        axis.axvline(0, color="black", linewidth=0.6)
        arrow = "lower is better" if board.best(metric) == "lowest" else "higher is better"
        axis.set_title(f"{metric}\n({arrow})", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), [_shown(board, row) for row in rows])
    axes[0].invert_yaxis()
    return figure


def plot_splits(board: Board) -> "Figure":
    """The first headline metric split by split: mean over seeds, standard error over seeds."""
    metric = board.headline[0]
    rows = [*board.models, *board.reference_rows]
    splits = board.splits
    figure = new_figure(max(4.5, 1.25 * len(splits) + 2.5), 3.4)
    axis = figure.subplots()
    colours = row_colours(board)
    for i, row in enumerate(rows):
        beside = row in board.reference_rows
        offset = 0.6 * ((i + 0.5) / len(rows) - 0.5)
        points = []
        for x, split in enumerate(splits):
            look = board.reference if beside else board.value
            cell = look(row, metric, split)
            if cell is not None:
                points.append((x + offset, cell.mean, _error(cell)))
        if not points:
            continue
        xs, ys, errors = zip(*points, strict=True)
        axis.errorbar(
            xs,
            ys,
            yerr=errors,
            fmt=MARKERS[i % len(MARKERS)],
            color=colours[row],
            markersize=6,
            capsize=2,
            linestyle="none",
            label=_shown(board, row),
        )
    axis.set_xticks(range(len(splits)), splits)
    axis.set_xlabel("held out")
    unit = next(r.metrics[metric].unit for r in board.results if metric in r.metrics)
    axis.set_ylabel(f"{metric} ({unit})")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_scatter(
    samples: Sequence[tuple[str, dict[str, Any]]], predicted: str = PREDICTED
) -> "Figure":
    """Control, treated and predicted cells in the first two coordinates, one panel a split.

    Parameters
    ----------
    samples : (title, sample) pairs; a sample is what a results file carries.
    predicted : colour of the predicted cells.
    """
    columns = min(len(samples), 5)
    rows = -(-len(samples) // columns)
    figure = new_figure(2.9 * columns, 2.9 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    styles = {
        "control": (CONTROL, "o", 0.45),
        "treated": (TREATED, "^", 0.6),
        "predicted": (predicted, "x", 0.7),
    }
    for axis, (title, sample) in zip(axes.flat, samples, strict=False):
        for name, (colour, marker, alpha) in styles.items():
            points = sample["clouds"].get(name, [])
            axis.scatter(
                [p[0] for p in points],
                [p[1] for p in points],
                s=14,
                c=colour,
                marker=marker,
                alpha=alpha,
                linewidths=0.8 if marker == "x" else 0,
                label=name,
            )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(sample["axes"][0], fontsize=8)
        axis.set_ylabel(sample["axes"][1], fontsize=8)
        axis.tick_params(labelsize=7)
    close_panels(figure, axes, len(samples), markerscale=1.5, handletextpad=0.4)
    return figure


def close_panels(figure: "Figure", axes: "NDArray", used: int, **style: float) -> None:
    """Hide the panels that are left over, and put one legend of the first one below all."""
    for axis in list(axes.flat)[used:]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8,
        columnspacing=1.0,
        **style,
    )


def figure_svg(figure: "Figure") -> str:
    """The figure as an SVG element for a page; the same figure gives the same text."""
    import matplotlib as mpl

    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pushforward", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _error(cell: Cell) -> float:
    return cell.std_error if cell.n > 1 else 0.0


def _shown(board: Board, row: str) -> str:
    return f"({row})" if row in board.reference_rows else row
