"""A study as rows of repeated measurements, rendered with mean and standard error."""

import argparse
import multiprocessing
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.simulators.console import start_logging
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Claim", "Row", "Study", "command_line", "each_seed", "measure_seeds", "render", "write"]


@dataclass(frozen=True)
class Claim:
    """A statement that was to be shown, and whether the numbers show it."""

    text: str
    holds: bool
    evidence: str


@dataclass
class Study:
    """Named tables: rows of method → metric → one value per seed."""

    title: str
    notes: list[str]
    tables: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, "Figure"] = field(default_factory=dict)

    def add(self, table: str, row: str, **values: float | int) -> None:
        """Append one seed's measurements of a row."""
        cells = self.tables.setdefault(table, {}).setdefault(row, {})
        for name, value in values.items():
            cells.setdefault(name, []).append(float(value))

    def mean(self, table: str, row: str, metric: str) -> float:
        """Mean over seeds."""
        return float(np.mean(self.tables[table][row][metric]))


Row = tuple[str, str, dict[str, float]]
"""Table, row, one seed's measurements."""


def each_seed(job: Callable[..., Any], settings: dict[str, Any]) -> list[Any]:
    """`job(settings, seed)` of every seed, side by side in processes.

    One seed, or `settings["seeds_at_once"] = 1`, runs here. Each process has one torch thread.
    """
    seeds = list(range(settings["seeds"]))
    if settings.get("seeds_at_once", len(seeds)) == 1 or len(seeds) == 1:
        return [job(settings, seed) for seed in seeds]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(seeds), mp_context=context, initializer=_one_thread) as pool:
        return list(pool.map(job, [settings] * len(seeds), seeds))


def measure_seeds(study: Study, job: Callable[..., list[Row]], settings: dict[str, Any]) -> None:
    """Add the rows that `each_seed` returns to a study."""
    for rows in each_seed(job, settings):
        for table, row, values in rows:
            study.add(table, row, **values)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _cell(values: list[float]) -> str:
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.4g}"
    error = float(np.std(values, ddof=1) / len(values) ** 0.5)
    return f"{mean:.4g} ± {error:.1g}" if error > 0 else f"{mean:.4g}"


def render(study: Study) -> str:
    """The study as Markdown."""
    lines = [f"# {study.title}", "", *(f"- {note}" for note in study.notes), ""]
    for name, rows in study.tables.items():
        metrics = list(dict.fromkeys(m for cells in rows.values() for m in cells))
        seeds = max(len(v) for cells in rows.values() for v in cells.values())
        lines += [f"## {name}", "", f"Mean ± standard error over {seeds} seeds.", ""]
        lines += ["| method | " + " | ".join(m.replace("_", " ") for m in metrics) + " |"]
        lines += ["|---" * (len(metrics) + 1) + "|"]
        for row, cells in rows.items():
            shown = [_cell(cells[m]) if m in cells else "" for m in metrics]
            lines += [f"| {row} | " + " | ".join(shown) + " |"]
        lines += [""]
    if study.claims:
        lines += ["## Claims", ""]
        lines += [
            f"- {'Confirmed' if c.holds else 'Refuted'}: {c.text} ({c.evidence})"
            for c in study.claims
        ]
    return "\n".join(lines) + "\n"


def write(study: Study, stem: Path, preset: str) -> str:
    """Write `stem`.json, .md, and -<name>.png for each figure; returns the Markdown."""
    text = render(study)
    for name in study.figures:
        text += f"\n![{name}]({stem.name}-{name}.png)\n"
    content = {
        "title": study.title,
        "preset": preset,
        "settings": study.settings,
        "tables": study.tables,
        "claims": [vars(c) for c in study.claims],
        "provenance": provenance(configuration=study.settings),
    }
    write_json(stem.with_suffix(".json"), content)
    with atomic_path(stem.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for name, figure in study.figures.items():
        with atomic_path(stem.with_name(f"{stem.name}-{name}.png")) as temporary:
            figure.savefig(temporary, dpi=110, metadata={"Software": None})
    return text


def command_line(
    package: str,
    studies: Mapping[str, Callable[..., Study]],
    out: str,
    *,
    reads: Collection[str] = (),
) -> None:
    """Parse the arguments of `python -m package`, run the study, write JSON and Markdown.

    Parameters
    ----------
    package : name of the package, for the usage line.
    studies : name -> function of the preset (and of `data`, for those that read a file).
    out : default folder.
    reads : names of the studies that take `--data FILE`.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description="Run a study; write JSON and Markdown.",
    )
    parser.add_argument("study", choices=sorted(studies))
    parser.add_argument("--preset", choices=("smoke", "small"), default="small")
    parser.add_argument("--out", type=Path, default=Path(out))
    if reads:
        parser.add_argument("--data", type=Path, help=f"input file, for {', '.join(reads)}")
    arguments = parser.parse_args()
    start_logging()
    options: dict[str, Any] = {}
    if reads and arguments.data is not None:
        if arguments.study not in reads:
            parser.error(f"--data is for {', '.join(reads)}; {arguments.study} makes its own data")
        options["data"] = arguments.data
    study = studies[arguments.study](arguments.preset, **options)
    print(write(study, arguments.out / arguments.study, arguments.preset))
