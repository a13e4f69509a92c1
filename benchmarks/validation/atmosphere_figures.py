"""Pictures of the transport validation: fields, then convergence, filaments and correlations."""

from pathlib import Path
from typing import Any

import numpy as np

from pushforward.simulators.files import atomic_path

__all__ = ["draw_diagnostics", "draw_fields"]


def draw_fields(fields: dict[str, Any], schemes: tuple[str, ...], path: Path) -> None:
    """Bells and cylinders at the start, half way and at the end, for each scheme."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = (("half", 1), ("end", 1), ("end", 2))
    titles = ("cosine bells, half way", "cosine bells, 12 days", "slotted cylinders, 12 days")
    figure, axes = plt.subplots(
        len(schemes) + 1, 3, figsize=(12, 1.9 * (len(schemes) + 1)), squeeze=False
    )
    first = fields[f"nondivergent {schemes[0]}"]["start"]
    options: dict[str, Any] = {
        "origin": "lower",
        "extent": (0, 360, -90, 90),
        "vmin": 0,
        "vmax": 1.1,
        "cmap": "viridis",
        "aspect": "auto",
    }
    for axis, (_, tracer), title in zip(axes[0], columns, titles, strict=True):
        axis.imshow(first[tracer], **options)
        axis.set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("start")
    for row, scheme in zip(axes[1:], schemes, strict=True):
        now = fields[f"nondivergent {scheme}"]
        for axis, (moment, tracer) in zip(row, columns, strict=True):
            image = axis.imshow(now[moment][tracer], **options)
        row[0].set_ylabel(scheme)
    for axis in axes.flat:
        axis.set(xticks=(0, 90, 180, 270, 360), yticks=(-60, 0, 60))
        axis.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, fraction=0.02, pad=0.02, label="mixing ratio")
    _save(figure, path)
    plt.close(figure)


def draw_diagnostics(results: dict[str, Any], path: Path) -> None:
    """Convergence of the hills, filaments of the bells, and the two ways round the sphere."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    rows = results["nondivergent"]
    schemes = list(dict.fromkeys(r["scheme"] for r in rows))
    finest = max(r["rows"] for r in rows)
    for i, scheme in enumerate(schemes):
        own = sorted((r for r in rows if r["scheme"] == scheme), key=lambda r: r["degrees"])
        style = {"color": f"C{i}", "label": scheme, "marker": "o", "markersize": 3}
        degrees = [r["degrees"] for r in own]
        axes[0].loglog(degrees, [r["gaussian_hills"]["l2"] for r in own], **style)
        last = next(r for r in own if r["rows"] == finest)
        axes[1].plot(results["thresholds"], last["filaments"], **style)
    axes[0].axhline(0.02, color="grey", lw=0.8, ls="--")
    axes[0].set(xlabel="grid spacing, degrees", ylabel="l2", title="Gaussian hills after 12 days")
    degrees = sorted({r["degrees"] for r in rows})
    axes[0].set_xticks(degrees, [f"{d:g}" for d in degrees], minor=False)
    axes[0].minorticks_off()
    axes[1].axhline(100, color="grey", lw=0.8, ls="--")
    axes[1].set(
        xlabel="threshold", ylabel="area above, % of the first", title="filaments, half way"
    )
    axes[0].legend(fontsize=8)
    least = min(r["steps"] for r in results["rotation"])
    around = [r for r in results["rotation"] if r["steps"] == least]
    place = np.arange(len(around))
    for shift, name in ((-0.2, "equator"), (0.2, "poles")):
        heights = [r[name]["l2"] for r in around]
        axes[2].bar(place + shift, heights, 0.4, label="over the " * (shift > 0) + name)
    axes[2].set(yscale="log", ylabel="l2", title="cosine bell after one revolution")
    axes[2].set_xticks(place, [r["scheme"] for r in around], rotation=40, ha="right")
    axes[2].legend()
    _save(figure, path)
    plt.close(figure)


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80, bbox_inches="tight")
