"""Table and plot of the turbulence timings."""

from pathlib import Path
from typing import Any

from pushforward.simulators.files import atomic_path

__all__ = ["COMPARED_STEPS", "plot", "table"]

COMPARED_STEPS = 20


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "Forced Kolmogorov flow at Re 1000 on a square of side 2 pi, float32. All methods of a "
        "case in one run, repeats alternating, from the same field with the same dt, scheme and "
        "threads. Steps per second: median and quartiles. Ratio: ours over this method, median "
        f"over the repeats. Distance: greatest difference from our field after {COMPARED_STEPS} "
        "steps, over its greatest value.",
    ]
    for threads in sorted({entry["threads"] for entry in results["runs"]}):
        lines += [
            "",
            f"{threads} thread(s):",
            "",
            "| case | n | method | steps/s | quartiles | ratio | distance |",
            "|---|---|---|---|---|---|---|",
        ]
        entries = [entry for entry in results["runs"] if entry["threads"] == threads]
        for entry in sorted(entries, key=lambda e: e["n"]):
            lines += [_line(row) for row in entry["rows"]]
    lines += ["", *_footnotes(results)]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    low, high = row["quartiles"]
    return (
        f"| {row['case']} | {row['n']} | {row['method']} | {row['steps_per_second']:.4g} | "
        f"{low:.4g} to {high:.4g} | {row['ours_over_this']:.2f} | {row['distance']:.0e} |"
    )


def _footnotes(results: dict[str, Any]) -> list[str]:
    versions: dict[str, str] = {}
    for entry in results["runs"]:
        versions |= entry["versions"]
    absent = sorted({name for entry in results["runs"] for name in entry["absent"]})
    notes = [", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "."]
    if absent:
        notes += ["", f"Not given, hence not timed in some run: {', '.join(absent)}."]
    return [*notes, "", f"Processor: {results['runs'][-1]['processor']}."]


def plot(results: dict[str, Any], path: Path) -> None:
    """Ratios of every case as horizontal bars, one panel for each number of threads."""
    import matplotlib.pyplot as plt

    groups: dict[int, list[dict[str, Any]]] = {}
    for entry in sorted(results["runs"], key=lambda e: (e["threads"], e["n"])):
        rows = [row for row in entry["rows"] if not row["method"].startswith("ours")]
        groups.setdefault(entry["threads"], []).extend(rows)
    height = 1.2 + 0.28 * max(len(rows) for rows in groups.values())
    figure, axes = plt.subplots(1, len(groups), figsize=(6.5 * len(groups), height), squeeze=False)
    for axis, (threads, rows) in zip(axes[0], groups.items(), strict=True):
        labels = [f"{row['case'].split(' (')[0]}, {row['n']}², {row['method']}" for row in rows]
        ratios = [row["ours_over_this"] for row in rows]
        # Bars from 1 on a logarithmic axis: as long for half the peer's speed as for twice it.
        bars = axis.barh(labels, [r - 1 for r in ratios], left=1.0)
        axis.bar_label(bars, [f"{r:.2f}" for r in ratios], padding=3, fontsize=8)
        axis.axvline(1.0, color="grey", lw=0.5)
        axis.set(
            title=f"{threads} thread" + "s" * (threads > 1),
            xlabel="steps per second, ours over the peer",
            xscale="log",
            xlim=(0.3, 3 * max([1.0, *ratios])),
        )
        axis.invert_yaxis()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    plt.close(figure)
