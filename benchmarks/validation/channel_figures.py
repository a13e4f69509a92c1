"""Pictures of a channel flow beside the Moser-Kim-Mansour data base."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from pushforward.simulators.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TERMS", "plot_profiles", "plot_scales"]

TERMS = ("production", "dissipation", "turbulent_transport", "viscous_transport", "residual")
PAIRS = (("uu", "u"), ("vv", "v"), ("ww", "w"))


def plot_profiles(
    profiles: xr.Dataset,
    budget: xr.Dataset,
    reference: xr.Dataset,
    reference_budget: xr.Dataset,
    target: Path,
) -> None:
    """Mean, root mean squares, stresses, energy budget; bands are two standard errors."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8.4))
    stresses = [("uv_plus", "-<u'v'>"), ("viscous_plus", "dU/dy"), ("total_stress", "sum")]
    names = [("u_rms", "u'"), ("v_rms", "v'"), ("w_rms", "w'")]
    terms = [(name, name.replace("_", " ")) for name in TERMS]
    panels = [
        (axes[0, 0], "mean velocity+", [("u_plus", "U")], profiles, reference),
        (axes[0, 1], "root mean squares+", names, profiles, reference),
        (axes[1, 0], "stresses+", stresses, profiles, reference),
        (axes[1, 1], "energy budget+", terms, budget, reference_budget),
    ]
    for axis, title, rows, ours, theirs in panels:
        x = ours["y_plus"]
        for i, (name, label) in enumerate(rows):
            (line,) = axis.plot(x, ours[name], color=f"C{i}", label=label)
            band = 2 * ours[f"{name}_error"]
            axis.fill_between(
                x, ours[name] - band, ours[name] + band, color=line.get_color(), alpha=0.2
            )
            axis.plot(theirs["y_plus"], theirs[name], "k--", lw=0.9)
        axis.set_xlabel("y+")
        axis.set_title(title)
        axis.legend()
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xlim(0.5, 200)
    axes[1, 1].set_xlim(0, 80)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.suptitle(
        f"Direct simulation, Re_tau {profiles.attrs['re_tau']:.1f} (colour) and Moser, Kim, "
        f"Mansour, Re_tau {reference.attrs['re_tau']:.1f} (dashed)"
    )
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=90, bbox_inches="tight")
    plt.close(figure)


def plot_scales(
    profiles: xr.Dataset, references: Mapping[str, tuple[xr.Dataset, xr.Dataset]], target: Path
) -> None:
    """Spectra and two-point correlations at one height, along x and z.

    Spectra are densities (a mode's share over the spacing of wavenumbers), for boxes of other
    lengths to be comparable; bands are two standard errors.

    Parameters
    ----------
    profiles : of `ChannelStatistics`.
    references : "x" and "z" -> spectra and correlations of the data base at the same height.
    target : the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    height = references["x"][0].attrs["y_plus"]
    here = profiles.isel(y=int(abs(profiles["y_plus"].values - height).argmin()))
    figure, axes = plt.subplots(2, 2, figsize=(11, 8.4))
    for column, (axis, (spectra, correlations)) in enumerate(references.items()):
        for i, (pair, label) in enumerate(PAIRS):
            for row, name, unit in (
                (axes[0, column], f"E_{pair}_{axis}", float(here[f"k{axis}"][1])),
                (axes[1, column], f"R_{pair}_{axis}", float(here[f"R_{pair}_{axis}"][0])),
            ):
                _draw(row, here, name, unit, f"C{i}", label)
            step = float(spectra["k"][1])
            axes[0, column].plot(spectra["k"][1:], spectra[f"E_{pair}"][1:] / step, "k--", lw=0.9)
            theirs = correlations[f"R_{pair}"]
            axes[1, column].plot(correlations["r"], theirs / theirs[0], "k--", lw=0.9)
        axes[0, column].set(xscale="log", yscale="log", xlabel=f"k{axis} h", ylim=(1e-7, None))
        axes[0, column].set_title(f"spectra along {axis}+")
        axes[1, column].set(xlabel=f"separation along {axis} / h")
        axes[1, column].set_xlim(0, 1.05 * float(here[f"r{axis}"].max()))
        axes[1, column].axhline(0, color="0.7", lw=0.8)
        axes[1, column].set_title(f"correlations along {axis}, over the variance")
        axes[0, column].legend()
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.suptitle(
        f"Direct simulation at y+ = {float(here['y_plus']):.0f} (colour) and Moser, Kim, Mansour "
        f"at y+ = {height:.0f} (dashed)"
    )
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=90, bbox_inches="tight")
    plt.close(figure)


def _draw(axis: "Axes", here: xr.Dataset, name: str, unit: float, color: str, label: str) -> None:
    """One spectrum without its mean, or one correlation, over `unit`."""
    first = 1 if name.startswith("E") else 0
    x = here[name].dims[0]
    at, value, error = (
        np.asarray(here[q])[first:] / u for q, u in ((x, 1), (name, unit), (f"{name}_error", unit))
    )
    axis.plot(at, value, color=color, label=label)
    low, high = value - 2 * error, value + 2 * error
    axis.fill_between(at, np.maximum(low, 1e-12) if first else low, high, color=color, alpha=0.2)
