"""Results into tables: a tidy CSV, and Markdown with means and standard errors."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from pushforward.benchmarks.markdown import markdown_table
from pushforward.benchmarks.result import Result
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = [
    "Board",
    "Cell",
    "insert_between_markers",
    "make_boards",
    "to_csv",
    "to_markdown",
]


@dataclass(frozen=True)
class Cell:
    """Mean, standard error, and over how many splits or seeds."""

    mean: float
    std_error: float
    n: int

    def text(self) -> str:
        """`12.3 ± 0.4`, with digits that the error warrants."""
        if self.n < 2:
            return f"{self.mean:.4g}"
        digits = 3
        if self.std_error > 1e-9 * abs(self.mean):  # less is rounding
            digits = min(max(1 - math.floor(math.log10(self.std_error)), 0), 5)
        return f"{self.mean:.{digits}f} ± {self.std_error:.{digits}f}"


@dataclass(frozen=True)
class Board:
    """The results of one question: one task, one preset, one data set, one configuration."""

    task: str
    preset: str
    data_fingerprint: str
    split_kind: str
    results: tuple[Result, ...]

    @property
    def models(self) -> list[str]:
        """Learned models first, best headline value first; then the reference rows."""
        learned = {r.model for r in self.results if r.learned}
        names = sorted({r.model for r in self.results})
        return sorted(names, key=lambda m: (m not in learned, *self._order(m)))

    @property
    def learned(self) -> list[str]:
        """Learned models, best headline value first."""
        names = {r.model for r in self.results if r.learned}
        return [m for m in self.models if m in names]

    def of(self, model: str) -> list[Result]:
        """The results of a model."""
        return [r for r in self.results if r.model == model]

    @property
    def splits(self) -> list[str]:
        """Names of the splits, sorted."""
        return sorted({r.split for r in self.results})

    @property
    def seeds(self) -> list[int]:
        """Seeds that occur, sorted."""
        return sorted({r.seed for r in self.results})

    @property
    def headline(self) -> list[str]:
        """Metrics of the short table."""
        return self.results[0].headline or list(self.results[0].metrics)

    @property
    def reference_rows(self) -> list[str]:
        """Rows that exist only beside others (noise floor, oracles), not as results."""
        rows = {name for r in self.results for name in r.reference}
        return sorted(rows - set(self.models))

    def value(self, model: str, metric: str, split: str | None = None) -> Cell | None:
        """Mean over splits of the mean over seeds, with its standard error over splits.

        With one split (or for a named one) the error is over seeds instead. None where the model
        has no such metric.
        """
        chosen = [r for r in self.of(model) if metric in r.metrics]
        per_split: dict[str, list[float]] = defaultdict(list)
        for r in chosen:
            per_split[r.split].append(r.metrics[metric].value)
        return _summarise(per_split, split)

    def stated(self, model: str, metric: str) -> Cell | None:
        """As `value`, but for a single result with the error that it states itself, over its own
        flows, windows or starts."""
        results = self.of(model)
        if len(results) == 1 and metric in results[0].metrics:
            own = results[0].metrics[metric]
            if own.std_error:
                return Cell(own.value, own.std_error, own.n)
        return self.value(model, metric)

    def reference(self, row: str, metric: str, split: str | None = None) -> Cell | None:
        """As `value`, for a row that only stands beside others."""
        seen: dict[tuple[str, int], float] = {}
        for r in self.results:
            if metric in r.reference.get(row, {}):
                seen[(r.split, r.seed)] = r.reference[row][metric]
        per_split: dict[str, list[float]] = defaultdict(list)
        for (name, _), number in seen.items():
            per_split[name].append(number)
        return _summarise(per_split, split)

    def best(self, metric: str) -> str:
        """`lowest` or `highest`."""
        return next(r.metrics[metric].best for r in self.results if metric in r.metrics)

    def paired(self, model: str, other: str, metric: str) -> tuple[Cell, int, int] | None:
        """Difference model − other on the same splits: its mean ± error, wins, number of splits."""
        differences = []
        wins = 0
        for split in self.splits:
            a, b = self.value(model, metric, split), self.value(other, metric, split)
            if a is None or b is None:
                continue
            difference = a.mean - b.mean
            differences.append(difference)
            wins += difference < 0 if self.best(metric) == "lowest" else difference > 0
        if not differences:
            return None
        return _mean_and_error(differences), wins, len(differences)

    def _order(self, model: str) -> tuple[float, str]:
        metric = self.headline[0]
        cell = self.value(model, metric)
        if cell is None:
            return (math.inf, model)
        return (cell.mean if self.best(metric) == "lowest" else -cell.mean, model)


def make_boards(results: Iterable[Result]) -> list[Board]:
    """Group results that answer the same question; two answers of one model to it are refused.

    Of a task and preset, the question with most results comes first.

    Raises
    ------
    DataError : the same model, split and seed twice in one group.
    """
    groups: dict[tuple, dict[tuple, Result]] = defaultdict(dict)
    for r in results:
        group = groups[(r.task, r.task_version, r.preset, r.data_fingerprint, r.split_kind)]
        key = (r.model, r.split, r.seed)
        if key in group and group[key] != r:
            raise DataError(
                f"two different results for task {r.task!r}, model {r.model!r}, split "
                f"{r.split!r}, seed {r.seed} (configurations {group[key].config_hash} and "
                f"{r.config_hash}). Keep one, or give one model another name."
            )
        group[key] = r
    return [
        Board(task, preset, data, kind, tuple(group[k] for k in sorted(group)))
        for (task, _, preset, data, kind), group in sorted(
            groups.items(), key=lambda item: (*item[0][:3], -len(item[1]), *item[0][3:])
        )
    ]


def to_csv(results: Iterable[Result]) -> str:
    """One line a metric of a result: everything, for one's own plots."""
    columns = ("task", "task_version", "preset", "model", "split", "seed")
    tail = ("value", "std_error", "n", "unit", "best")
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, "metric", *tail, "config_hash", "data_fingerprint", "date"])
    for r in results:
        for name, metric in sorted(r.metrics.items()):
            writer.writerow(
                [getattr(r, c) for c in columns]
                + [name]
                + [getattr(metric, c) for c in tail]
                + [r.config_hash, r.data_fingerprint, r.date]
            )
    return out.getvalue()


def to_markdown(boards: Sequence[Board]) -> str:
    """The tables of all boards."""
    from pushforward.benchmarks.tasks.atmosphere.report import atmosphere_markdown  # needs Board
    from pushforward.benchmarks.tasks.channel.report import channel_markdown
    from pushforward.benchmarks.tasks.turbulence.report import turbulence_markdown

    own = {
        "atmosphere": atmosphere_markdown,
        "channel": channel_markdown,
        "turbulence": turbulence_markdown,
    }
    return "\n".join(own.get(board.task, _board_markdown)(board) for board in boards)


def insert_between_markers(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a file.

    Raises
    ------
    DataError : no such file, or it lacks the markers.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if not path.is_file():
        raise DataError(f"no such file: {path}.")
    content = path.read_text(encoding="utf-8")
    if begin not in content or end not in content:
        raise DataError(f"{path} lacks the lines {begin} and {end}; put them where the table goes.")
    before, rest = content.split(begin, 1)
    after = rest.split(end, 1)[1]
    with atomic_path(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def table_rows(board: Board) -> list[tuple[str, list[str]]]:
    """Rows of the short table: learned models, reference rows, then floor and oracles."""
    rows = []
    for model in board.models:
        cells = [board.value(model, m) for m in board.headline]
        rows.append((model, [c.text() if c else "–" for c in cells]))
    for row in board.reference_rows:
        cells = [board.reference(row, m) for m in board.headline]
        rows.append((f"({row})", [c.text() if c else "–" for c in cells]))
    return rows


def split_rows(board: Board) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Column names and rows of the first headline metric, split by split."""
    metric = board.headline[0]
    columns = [*board.models, *(f"({r})" for r in board.reference_rows)]
    rows = []
    for split in board.splits:
        cells = [board.value(m, metric, split) for m in board.models]
        cells += [board.reference(r, metric, split) for r in board.reference_rows]
        rows.append((split, [c.text() if c else "–" for c in cells]))
    return columns, rows


def paired_lines(board: Board) -> list[str]:
    """For each learned model: the difference to each reference row, on the same splits."""
    metric = board.headline[0]
    lines = []
    for model in board.learned:
        for other in (m for m in board.models if m not in board.learned):
            found = board.paired(model, other, metric)
            if found:
                cell, wins, n = found
                lines.append(
                    f"{model} − {other}, {metric}: {cell.text()}; better on {wins} of {n} splits"
                )
    return lines


def _board_markdown(board: Board) -> str:
    arrows = {m: "↓" if board.best(m) == "lowest" else "↑" for m in board.headline}
    lines = [
        f"**{board.task}**, preset `{board.preset}`, data `{board.data_fingerprint}`: "
        f"{len(board.splits)} splits by {board.split_kind}, {len(board.seeds)} seeds; mean over "
        "splits ± standard error over splits. Rows in brackets are not models: noise floor, "
        "oracles.",
        "",
    ]
    heads = ["model", *(f"{m} {arrows[m]}" for m in board.headline)]
    lines += markdown_table(heads, table_rows(board))
    columns, rows = split_rows(board)
    lines += [
        "",
        f"{board.headline[0]} split by split, mean over seeds ± standard error over seeds:",
        "",
        *markdown_table(["held out", *columns], rows),
    ]
    pairs = paired_lines(board)
    if pairs:
        lines += ["", "Paired differences (split by split):", "", *(f"- {p}" for p in pairs)]
    return "\n".join(lines) + "\n"


def _summarise(per_split: dict[str, list[float]], split: str | None) -> Cell | None:
    if split is not None:
        return _mean_and_error(per_split[split]) if split in per_split else None
    if not per_split:
        return None
    if len(per_split) == 1:
        return _mean_and_error(next(iter(per_split.values())))
    return _mean_and_error([sum(v) / len(v) for v in per_split.values()])


def _mean_and_error(values: Sequence[float]) -> Cell:
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Cell(mean, 0.0, 1)
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    return Cell(mean, math.sqrt(variance / n), n)
