"""The transport validation as Markdown: the figures that were asked for, then every case."""

import math
from typing import Any

__all__ = ["order", "tables"]

Rows = list[dict[str, Any]]


def order(rows: Rows, scheme: str, error: Any) -> float:
    """Slope of log(error) against log(grid spacing) between the two finest grids of a scheme."""
    own = sorted((r for r in rows if r["scheme"] == scheme), key=lambda r: r["rows"])
    if len(own) < 2:
        return math.nan
    coarse, fine = own[-2:]
    return math.log(error(coarse) / error(fine)) / math.log(fine["rows"] / coarse["rows"])


def tables(results: dict[str, Any]) -> str:
    """All tables of `run`'s results."""
    parts = ["# Transport schemes on the standard tests", "", _goals(results)]
    titles = {
        "nondivergent": "Deforming flow (Nair and Lauritzen, case 4), after 12 days",
        "divergent": "Divergent deforming flow, after 12 days; the air is transported too",
    }
    for name, title in titles.items():
        parts += ["", f"## {title}", "", _plane(results[name])]
    parts += ["", "## Mixing and filaments of the deforming flow, half way", ""]
    parts += [_mixing(results["nondivergent"], results["thresholds"])]
    parts += ["", "## Solid-body rotation of a cosine bell: l2 after one revolution", ""]
    parts += [_rotation(results["rotation"])]
    for name, title in (("deformational_3d", "1-1"), ("hadley_cell", "1-2")):
        parts += ["", f"## DCMIP {title}", "", _volume(results[name])]
    return "\n".join(parts) + "\n"


def _goals(results: dict[str, Any]) -> str:
    plane, divergent = results["nondivergent"], results["divergent"]
    finest = max(r["rows"] for r in plane)
    best = min((r for r in plane if r["rows"] == finest), key=_hills)
    least = min(divergent, key=_hills)
    slope = order(plane, best["scheme"], _hills)
    lines = ["| asked for | measured | with |", "|---|---|---|"]
    lines += [
        f"| case 4, Gaussian hills, l2 ≤ 0.02 at 1.5° in at most 600 steps | {_hills(best):.2g} | "
        f"{best['scheme']}, {best['degrees']:g}°, {best['steps']} steps |",
        f"| order ≥ 2 | {slope:.2f} | {best['scheme']} |",
        f"| divergent flow, Gaussian hills, l2 ≤ 0.02 at 3° | {_hills(least):.2g} | "
        f"{least['scheme']}, {least['degrees']:g}°, {least['steps']} steps |",
    ]
    least_steps = min(r["steps"] for r in results["rotation"])
    around = {
        r["scheme"]: (r["poles"]["l2"], r["equator"]["l2"])
        for r in results["rotation"]
        if r["steps"] == least_steps
    }
    ratios = {scheme: poles / equator for scheme, (poles, equator) in around.items()}
    over = min(around, key=lambda scheme: around[scheme][0])
    poles, equator = around[over]
    within = [s for s, ratio in ratios.items() if ratio <= 1.7]
    beyond = [s for s in ratios if s not in within]
    lines += [
        "| the best scheme over the poles within 1.7 x its error along the equator, same number "
        f"of steps | {poles / equator:.2f} ({poles:.4f} against {equator:.4f}) | {over} |",
        "| the same ratio of every scheme | "
        + ", ".join(f"{s} {ratios[s]:.2f}" for s in ratios)
        + f" | met by {', '.join(within) or 'none'}; not by {', '.join(beyond) or 'none'} |",
    ]
    return "\n".join(lines)


def _hills(row: dict[str, Any]) -> float:
    return row["gaussian_hills"]["l2"]


def _plane(rows: Rows) -> str:
    lines = [
        "| scheme | degrees | steps | Courant | hills l2 | hills linf | order | bells l2 | "
        "cylinders l2 | least, greatest value of cylinders beyond exact | mass error |",
        "|---" * 11 + "|",
    ]
    for r in rows:
        hills, rough = r["gaussian_hills"], r["slotted_cylinders"]
        finest = r["rows"] == max(x["rows"] for x in rows)
        slope = order(rows, r["scheme"], _hills) if finest else math.nan
        lines.append(
            f"| {r['scheme']} | {r['degrees']:g} | {r['steps']} | {r['courant']:.2f} | "
            f"{hills['l2']:.3g} | {hills['linf']:.3g} | {_shown(slope)} | "
            f"{r['cosine_bells']['l2']:.3g} | {rough['l2']:.3g} | "
            f"{rough['phi_min']:.1e}, {rough['phi_max']:.1e} | {r['mass_error']:.0e} |"
        )
    return "\n".join(lines)


def _mixing(rows: Rows, thresholds: list[float]) -> str:
    every = range(0, len(thresholds), 3)
    lines = [
        "l_r, l_u, l_o: real mixing, unmixing within range, overshooting. Then the area above a "
        "threshold in per cent of the first.",
        "",
        "| scheme | degrees | l_r | l_u | l_o | "
        + " | ".join(f"{thresholds[k]:g}" for k in every)
        + " |",
        "|---" * (5 + len(every)) + "|",
    ]
    for r in rows:
        mixed = r["mixing"]
        lines.append(
            f"| {r['scheme']} | {r['degrees']:g} | {mixed['real']:.1e} | {mixed['unmixing']:.1e} | "
            f"{mixed['overshooting']:.1e} | "
            + " | ".join(f"{r['filaments'][k]:.0f}" for k in every)
            + " |"
        )
    return "\n".join(lines)


def _rotation(rows: Rows) -> str:
    lines = [
        "| scheme | rows | steps | along the equator | tilted by 45° | over the poles | ratio |",
        "|---" * 7 + "|",
    ]
    for r in rows:
        equator, tilted, poles = (r[k]["l2"] for k in ("equator", "tilted", "poles"))
        lines.append(
            f"| {r['scheme']} | {r['rows']} | {r['steps']} | {equator:.4f} | {tilted:.4f} | "
            f"{poles:.4f} | {poles / equator:.2f} |"
        )
    return "\n".join(lines)


def _volume(rows: Rows) -> str:
    names = list(rows[0]["errors"])
    linear = "linear_relation" in rows[0]
    lines = [
        "| scheme | degrees | layers | steps | Courant | "
        + " | ".join(f"{n} l1, l2, linf" for n in names)
        + (" | 0.3 (q1+q2+q3) + q4 − 1" if linear else " | order of l2")
        + " |",
        "|---" * (6 + len(names)) + "|",
    ]
    for r in rows:
        norms = [", ".join(f"{r['errors'][n][k]:.3g}" for k in ("l1", "l2", "linf")) for n in names]
        finest = r["rows"] == max(x["rows"] for x in rows)
        slope = order(rows, r["scheme"], lambda x: x["errors"][names[0]]["l2"])
        last = f"{r['linear_relation']:.1e}" if linear else _shown(slope if finest else math.nan)
        lines.append(
            f"| {r['scheme']} | {r['degrees']:g} | {r['layers']} | {r['steps']} | "
            f"{r['courant']:.2f} | {' | '.join(norms)} | {last} |"
        )
    return "\n".join(lines)


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
