"""Turbulent channel flow at Re_τ 180 beside Moser, Kim and Mansour.

    python -m pushforward.benchmarks.validation.channel --reference chan180 --out DIR

runs a minimal flow unit (π x 2 x 0.34π) by direct simulation and writes ``minimal_unit.nc``
(profiles, spectra and correlations with standard errors), ``minimal_unit_budget.nc`` (the terms of
the energy balance), ``minimal_unit_distributions.nc``, ``minimal_unit.json`` (the numbers that are
compared, versions, command) and two pictures, ``.png`` and ``_scales.png``. ``chan180`` is a folder
of their data base. Another ``--box`` is written as ``channel_2x0.68pi.nc`` and so on.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from pushforward.benchmarks.validation.channel_figures import TERMS, plot_profiles, plot_scales
from pushforward.datasets.channel import (
    read_mkm_budget,
    read_mkm_correlations,
    read_mkm_profiles,
    read_mkm_spectra,
)
from pushforward.simulators.channel import (
    ChannelFlow,
    ChannelStatistics,
    EnergyBudget,
    VelocityDistributions,
    perturbed,
)
from pushforward.simulators.console import start_logging
from pushforward.simulators.files import atomic_path, write_json
from pushforward.simulators.provenance import provenance
from pushforward.surrogates.training import Progress

__all__ = ["compare", "main", "simulate"]

VISCOSITY = 1 / 4200  # bulk velocity 2/3: Re_b = 5600, Re_τ near 180
H_OVER_U_TAU = 23.6  # in units of h over the laminar centreline velocity
BLOCK = 2.0  # h/u_tau, longer than the flow's memory, for standard errors
MINIMAL_BOX = (1.0, 0.34)  # along x and z, in π h
HEIGHTS = (5.0, 10.0, 30.0, 98.0)  # y+ of the distributions, as in the data base
SCALES_AT = 30  # y+ of the spectra and correlations that are drawn


def simulate(
    shape: tuple[int, int, int],
    *,
    discard: float,
    average: float,
    cfl: float,
    seed: int,
    box: tuple[float, float] = MINIMAL_BOX,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Profiles, budget and distributions; times in h/u_τ, lengths of the box in π."""
    flow = ChannelFlow(
        shape, lengths=(math.pi * box[0], math.pi * box[1]), viscosity=VISCOSITY, cfl=cfl
    )
    state = perturbed(flow, seed=seed)
    block = BLOCK * H_OVER_U_TAU
    statistics = ChannelStatistics(flow, block_time=block)
    budget = EnergyBudget(flow, block_time=block)
    heights = [y * VISCOSITY * H_OVER_U_TAU for y in HEIGHTS]
    distributions = VelocityDistributions(flow, heights, block_time=block)
    start, steps = time.perf_counter(), 0
    end = (discard + average) * H_OVER_U_TAU
    with Progress(round(end), "channel, h/U") as progress:
        while state.time < end:
            before = int(state.time)
            state = flow.advance(state, 10)
            steps += 10
            if state.time >= discard * H_OVER_U_TAU:
                for sums in (statistics, budget, distributions):
                    sums.update(state)
            for _ in range(min(int(state.time), round(end)) - before):
                progress.advance(re_tau=float(flow.friction_velocity(state)) / VISCOSITY)
    run = {
        "shape": list(shape),
        "box_over_pi": list(box),
        "steps": steps,
        "seconds": time.perf_counter() - start,
        "time_h_over_u_tau_discarded": discard,
        "time_h_over_u_tau_averaged": average,
        "cfl": cfl,
        "seed": seed,
        "largest_divergence": flow.divergence(state),
    }
    found = {
        "profiles": statistics.profiles(),
        "budget": budget.profiles(),
        "distributions": distributions.densities(),
    }
    return found, run


def compare(profiles: xr.Dataset, reference: xr.Dataset) -> dict[str, float]:
    """The issue's figures: U+ to y+ = 40, the peak of u', the linearity of the total stress."""
    inner = profiles["y_plus"].values <= 40
    at = profiles["y_plus"].values[inner][1:]
    theirs = np.interp(at, reference["y_plus"], reference["u_plus"])
    ours = profiles["u_plus"].values[inner][1:]
    return {
        "re_tau": float(profiles.attrs["re_tau"]),
        "reference_re_tau": float(reference.attrs["re_tau"]),
        "u_plus_largest_relative_difference_to_y_plus_40": float(abs(ours / theirs - 1).max()),
        "u_rms_peak": float(profiles["u_rms"].max()),
        "u_rms_peak_error": float(profiles["u_rms_error"][int(profiles["u_rms"].values.argmax())]),
        "reference_u_rms_peak": float(reference["u_rms"].max()),
        "u_rms_peak_relative_difference": float(
            profiles["u_rms"].max() / reference["u_rms"].max() - 1
        ),
        "total_stress_largest_residual": float(
            abs(profiles["total_stress"] - (1 - profiles["y"])).max()
        ),
    }


def compare_budget(budget: xr.Dataset, reference: xr.Dataset) -> dict[str, float]:
    """Largest difference of each term from y+ = 5 to 40, over the largest production."""
    inner = (budget["y_plus"].values >= 5) & (budget["y_plus"].values <= 40)
    at, scale = budget["y_plus"].values[inner], float(reference["production"].max())
    numbers = {}
    for name in TERMS:
        theirs = np.interp(at, reference["y_plus"], reference[name])
        worst = float(abs(budget[name].values[inner] - theirs).max())
        numbers[f"budget_{name}_largest_difference_over_peak_production"] = worst / scale
    return numbers


def read_scales(folder: Path) -> dict[str, tuple[xr.Dataset, xr.Dataset]]:
    """Spectra and correlations of the data base along "x" and "z"."""
    name, at = folder.name, SCALES_AT
    return {
        axis: (
            read_mkm_spectra(folder / "spectra" / f"{name}.{axis}spec.{at}"),
            read_mkm_correlations(folder / "correlations" / f"{name}.{axis}corr.{at}"),
        )
        for axis in "xz"
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pushforward.benchmarks.validation.channel",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--reference", type=Path, required=True, help="folder of chan180")
    parser.add_argument("--out", type=Path, default=Path("channel-validation"))
    parser.add_argument("--shape", type=int, nargs=3, default=(32, 65, 32), help="nx ny nz")
    parser.add_argument(
        "--box",
        type=float,
        nargs=2,
        default=MINIMAL_BOX,
        help="lengths along x and z in units of pi; the default is a minimal flow unit",
    )
    parser.add_argument("--discard", type=float, default=8.0, help="h/u_tau before averaging")
    parser.add_argument("--average", type=float, default=60.0, help="h/u_tau of averaging")
    parser.add_argument("--cfl", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.average < 2 * BLOCK:
        parser.error(
            f"--average {options.average:g}: standard errors need two blocks of {BLOCK:g} h/u_tau, "
            f"so at least {2 * BLOCK:g}"
        )
    start_logging()
    torch.set_num_threads(1)
    # Read before any work, so that a missing file ends the command early.
    reference = read_mkm_profiles(options.reference)
    reference_budget = read_mkm_budget(options.reference)
    reference_scales = read_scales(options.reference)
    found, run = simulate(
        tuple(options.shape),
        discard=options.discard,
        average=options.average,
        cfl=options.cfl,
        seed=options.seed,
        box=tuple(options.box),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    box = tuple(options.box)
    stem = "minimal_unit" if box == MINIMAL_BOX else "channel_{:g}x{:g}pi".format(*box)
    target = options.out / f"{stem}.nc"
    for name, dataset in found.items():
        suffix = "" if name == "profiles" else f"_{name}"
        with atomic_path(target.with_stem(target.stem + suffix)) as temporary:
            dataset.to_netcdf(temporary)
    numbers = compare(found["profiles"], reference)
    numbers |= compare_budget(found["budget"], reference_budget)
    write_json(target.with_suffix(".json"), {"numbers": numbers, "run": run, **provenance()})
    picture = target.with_suffix(".png")
    plot_profiles(found["profiles"], found["budget"], reference, reference_budget, picture)
    scales = picture.with_stem(picture.stem + "_scales")
    plot_scales(found["profiles"], reference_scales, scales)
    for name, value in numbers.items():
        print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    main()
