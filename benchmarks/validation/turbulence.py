"""Convergence of the turbulence solvers on Taylor-Green vortices, at rest and moving.

    python -m pushforward.benchmarks.validation.turbulence --out DIR

writes ``turbulence.json`` (errors, measured orders, versions, command), ``turbulence.md`` (the
table) and ``turbulence.png`` (error against cells a side). Beside the solvers stand the errors of
jax-cfd in the same case.
"""

import argparse
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from pushforward.simulators.console import start_logging
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance
from pushforward.simulators.turbulence import FiniteVolumeSolver, SpectralSolver, taylor_green
from pushforward.surrogates.training import Progress

__all__ = ["CASES", "REFERENCE", "SCHEMES", "main", "study", "taylor_green_error"]

TAU = 2 * math.pi
VISCOSITY = 1e-2
TIME = 1.0
SCHEMES: dict[str, tuple[type[FiniteVolumeSolver] | type[SpectralSolver], dict[str, Any]]] = {
    "central, rk4": (FiniteVolumeSolver, {"advection": "central", "stepper": "rk4"}),
    "central, euler": (FiniteVolumeSolver, {"advection": "central"}),
    "central, implicit": (FiniteVolumeSolver, {"advection": "central", "diffusion": "implicit"}),
    "van Leer, euler": (FiniteVolumeSolver, {}),
    "spectral, cn_rk4": (SpectralSolver, {"stepper": "cn_rk4"}),
}
"""Name -> solver and its options."""
CASES = {"standing": (0.0, 0.0), "moving": (1.0, 0.5)}
"""Name -> mean velocity. Standing vortices do not advect themselves: the pressure takes it all."""
REFERENCE = {
    "central, rk4": {32: 6.260e-5, 64: 1.572e-5, 128: 3.935e-6, 256: 9.840e-7},
    "central, euler": {32: 5.880e-5, 64: 1.380e-5, 128: 2.975e-6, 256: 5.036e-7},
    "central, implicit": {32: 6.640e-5, 64: 1.764e-5, 128: 4.895e-6, 256: 1.464e-6},
    "van Leer, euler": {32: 6.327e-3, 64: 2.801e-3, 128: 1.354e-3, 256: 6.713e-4},
    "spectral, cn_rk4": {32: 3.4e-11, 64: 8.5e-12, 128: 2.2e-12, 256: 3.3e-13},
}
"""Errors of jax-cfd in the standing case, measured in float64 with the same dt rule."""


def taylor_green_error(scheme: str, n: int, case: str = "standing") -> float:
    """Greatest error of u and v at T = 1 on n x n cells of side 2 pi; ν = 0.01, dt ≤ 0.1 h.

    Examples
    --------
    >>> taylor_green_error("central, rk4", 16) < 3e-4
    True
    """
    kind, options = SCHEMES[scheme]
    steps = math.ceil(TIME * 10 * n / TAU)
    solver = kind(
        (n, n), domain=TAU, viscosity=VISCOSITY, dt=TIME / steps, dtype=torch.float64, **options
    )
    offsets = ((1.0, 0.5), (0.5, 1.0)) if kind is FiniteVolumeSolver else ((0.0, 0.0), (0.0, 0.0))
    start, end = (
        taylor_green(solver.grid, offsets, t, viscosity=VISCOSITY, drift=CASES[case])
        for t in (0.0, TIME)
    )
    state = solver.advance(solver.from_velocity(*start), steps)
    return (solver.velocity(state) - end).abs().max().item()


def study(sizes: list[int]) -> dict[str, dict[str, dict[int, float]]]:
    """Errors by case, scheme and cells; the vorticity form carries no mean flow."""
    runs = [
        (case, scheme)
        for case in CASES
        for scheme, (kind, _) in SCHEMES.items()
        if case == "standing" or kind is FiniteVolumeSolver
    ]
    errors: dict[str, dict[str, dict[int, float]]] = {case: {} for case in CASES}
    with Progress(len(runs) * len(sizes), "convergence") as progress:
        for case, scheme in runs:
            errors[case][scheme] = {}
            for n in sizes:
                errors[case][scheme][n] = taylor_green_error(scheme, n, case)
                progress.advance()
    return errors


def orders(errors: dict[int, float]) -> dict[int, float]:
    """Measured order between each size and the one before it.

    Examples
    --------
    >>> orders({32: 4e-3, 64: 1e-3})
    {64: 2.0}
    """
    sizes = sorted(errors)
    return {
        fine: math.log(errors[coarse] / errors[fine]) / math.log(fine / coarse)
        for coarse, fine in pairwise(sizes)
    }


def render(errors: dict[str, dict[str, dict[int, float]]]) -> str:
    """The tables as Markdown: error, (order), and the peer's error where there is one."""
    lines = [
        "# Turbulence solvers on Taylor-Green vortices",
        "",
        "Greatest error of u and v at T = 1, nu = 0.01, dt at most 0.1 h, float64; in brackets the "
        "order measured against the row above. The spectral errors are those of its steps in time, "
        "which fall with h because dt does. In the standing case Euler's error in time has the "
        "opposite sign to that of central differences, hence orders above 2; backward Euler's has "
        "the same, hence orders below.",
    ]
    for case, schemes in errors.items():
        u, v = CASES[case]
        lines += ["", f"## {case.capitalize()}: mean velocity ({u:g}, {v:g})", ""]
        columns = [
            name + suffix
            for name in schemes
            for suffix in ("", *([", jax-cfd"] if case == "standing" else []))
        ]
        lines += ["| cells | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for n in sorted(next(iter(schemes.values()))):
            cells = []
            for name, found in schemes.items():
                order = orders(found).get(n)
                cells.append(f"{found[n]:.3e}" + ("" if order is None else f" ({order:.2f})"))
                if case == "standing":
                    theirs = REFERENCE[name].get(n)
                    cells.append("" if theirs is None else f"{theirs:.3e}")
            lines.append(f"| {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(errors: dict[str, dict[str, dict[int, float]]], target: Path) -> None:
    """Error against cells a side, one panel a case; crosses are the peer's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(errors), figsize=(11, 4.6), sharex=True)
    for axis, (case, schemes) in zip(axes, errors.items(), strict=True):
        for i, (name, found) in enumerate(schemes.items()):
            last = list(orders(found).values())[-1:]
            label = name + "".join(f" (order {p:.2f})" for p in last)
            style = "o--" if "implicit" in name else "o-"  # which lies on the explicit one
            axis.loglog(list(found), list(found.values()), style, color=f"C{i}", label=label)
            if case == "standing":
                theirs = {n: e for n, e in REFERENCE[name].items() if n in found}
                axis.loglog(list(theirs), list(theirs.values()), "x", color="k", ms=7)
        sizes = sorted(next(iter(schemes.values())))
        axis.set_xticks(sizes, [str(n) for n in sizes], minor=False)
        axis.minorticks_off()
        axis.set_xlabel("cells a side")
        axis.set_title(f"{case} vortices" + (" (x: jax-cfd)" if case == "standing" else ""))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("greatest error of u and v at T = 1")
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=100, bbox_inches="tight")
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.validation.turbulence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("turbulence-validation"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256])
    options = parser.parse_args(arguments)
    start_logging()
    torch.set_num_threads(1)
    errors = study(sorted(options.sizes))
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "turbulence.json"
    content = {
        "errors": errors,
        "orders": {c: {s: orders(e) for s, e in rows.items()} for c, rows in errors.items()},
        "reference": {"jax-cfd, standing": REFERENCE},
        "settings": {"viscosity": VISCOSITY, "time": TIME, "mean_velocity": CASES},
        **provenance(),
    }
    write_json(target, content)
    text = render(errors)
    with atomic_path(target.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    plot(errors, target.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()
