"""Table (b) as Markdown, and its pictures."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pushforward.surrogates.flow import ODESampler

from ._few_step_methods import NFE

__all__ = ["plot_samples", "plot_trajectories", "render"]


def render(result: dict[str, Any]) -> str:
    """The tables in Markdown, from the numbers of the JSON file."""
    p = result["preset"]
    lines = [
        "# Few steps",
        "",
        f"Up to {p['seeds']} seeds, teachers {p['steps']} steps of Adam at batch {p['batch']}, "
        f"tuning {p['tune']}, MLP {p['depth']}x{p['width']}. Exact W2 of {p['test_points']} points "
        "to the target, mean ± standard error over seeds; NFE counts calls of the full network "
        "(for transition matching: of the backbone). `rows`: network rows evaluated in training, "
        "teacher included, in millions. `ms`: sampling all test points at 8 NFE, the least of "
        "five times on one thread.",
    ]
    for name in dict.fromkeys(r["data"] for r in result["rows"]):
        rows = [r for r in result["rows"] if r["data"] == name]
        floor = np.mean([r["floor"] for r in rows])
        nothing = np.mean([r["identity"] for r in rows])
        lines += [
            "",
            f"## {name} (target against target: {floor:.3f}; source against target: {nothing:.3f})",
            "",
        ]
        lines += ["| method | 1 NFE | 2 NFE | 4 NFE | 8 NFE | rows | training s | ms |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for method in dict.fromkeys(r["method"] for r in rows):
            mine = [r for r in rows if r["method"] == method]
            cells = []
            for n in NFE:
                v = np.array([r[f"w2_{n}"] for r in mine if f"w2_{n}" in r])
                if len(v) > 1:
                    cells.append(f"{v.mean():.3f} ± {v.std(ddof=1) / len(v) ** 0.5:.3f}")
                else:
                    cells.append(f"{v[0]:.3f} (one seed)" if len(v) else "-")
            spent = np.mean([r["training_rows"] for r in mine]) / 1e6
            seconds = np.mean([r["training_seconds"] for r in mine])
            quick = [1e3 * r["seconds_8"] for r in mine if "seconds_8" in r]
            took = f"{np.median(quick):.1f}" if quick else "-"
            lines.append(
                f"| {method} | {' | '.join(cells)} | {spent:.2f} | {seconds:.1f} | {took} |"
            )
    return "\n".join(lines) + "\n"


def plot_samples(samples: dict[str, Tensor], target: Path) -> None:
    """Scatter of every method at 2 NFE on the plane."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = 5
    lines = -(-len(samples) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.6 * columns, 2.6 * lines))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, x) in zip(axes.flat, samples.items(), strict=False):
        axis.scatter(*x[:1000].T, s=2, alpha=0.4)
        axis.set_title(textwrap.fill(name, 28), fontsize=7)
        axis.set_xlim(-8, 8)
        axis.set_ylim(-8, 8)
    figure.suptitle("8 Gaussians at 2 evaluations", fontsize=9)
    figure.savefig(target, dpi=90, bbox_inches="tight")
    plt.close(figure)


def plot_trajectories(fields: dict[str, nn.Module], target: Path) -> None:
    """Trajectories of three fields, and the density of the first by its exact log-likelihood."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(fields) + 1, figsize=(3 * len(fields) + 3, 3.2))
    x0 = torch.randn(150, 2, generator=torch.Generator().manual_seed(0))
    for axis, (name, field) in zip(axes[:-1], fields.items(), strict=True):
        out = ODESampler(field, method="rk4", steps=40).sample(x0, keep_trajectory=True)
        if out.trajectory is not None:
            axis.plot(*out.trajectory.permute(2, 0, 1), lw=0.4, color="tab:blue", alpha=0.6)
        axis.scatter(*out.x.T, s=4, color="tab:red")
        axis.set_title(f"{name}: trajectories", fontsize=8)
    line = torch.linspace(-7.5, 7.5, 80)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        log_p = ODESampler(next(iter(fields.values())), method="rk4", steps=25).log_prob(
            grid, lambda x: -x.square().sum(1) / 2 - np.log(2 * np.pi)
        )
    axes[-1].imshow(log_p.exp().reshape(80, 80).T, origin="lower", extent=(-7.5, 7.5, -7.5, 7.5))
    axes[-1].set_title("teacher: density", fontsize=8)
    for axis in axes:
        axis.set_xlim(-7.5, 7.5)
        axis.set_ylim(-7.5, 7.5)
        axis.set_axis_off()
    figure.savefig(target, dpi=90, bbox_inches="tight")
    plt.close(figure)
