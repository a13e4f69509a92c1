"""The verb `simulate`: data sets from the domains' simulators."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from pushforward.options import (
    Parser,
    UsageError,
    add_common,
    chosen,
    file_to_write,
    limit_threads,
    parse_with_preset,
)
from pushforward.simulators.console import start_logging
from pushforward.tasks import chosen_task, instantiate

__all__ = ["simulate"]


def simulate(words: list[str]) -> None:
    """`pushforward simulate TASK …`."""
    task = chosen_task("simulate", words)
    {
        "atmosphere": _simulate_atmosphere,
        "cells": _simulate_cells,
        "channel": _simulate_channel,
        "turbulence": _simulate_turbulence,
    }[task](words[1:])


def _ready(
    make_parser: Callable[[], Parser],
    presets: Mapping[str, Callable[[], Any]],
    words: list[str],
) -> tuple[Namespace, Any]:
    """The options, and the simulation that they describe; logging and threads are set."""
    parser, options = parse_with_preset(make_parser, presets, words, default="small")
    simulation = instantiate(parser, options, type(presets["small"]()))
    start_logging(options.quiet)
    limit_threads(1)
    return options, simulation


def _tell(options: Namespace, path: Path) -> None:
    """Say on stdout what was written."""
    print(json.dumps({"file": str(path)}) if options.json else path)


def _simulate_atmosphere(words: list[str]) -> None:
    from pushforward.simulators.atmosphere import CARBON_SIMULATIONS, CarbonSimulation
    from pushforward.surrogates.training import Progress

    def make_parser() -> Parser:
        parser = Parser(
            prog="pushforward simulate atmosphere",
            description="Simulate CO2 in weather-like winds on a made-up planet with seasons, "
            "daylight, mixing and emissions, and write it with its meteorology in CarbonBench's "
            "layout. --preset smoke takes seconds, small (two years on 16 x 32 x 5 cells) a "
            "minute or two, paper has the 32 x 64 x 10 cells of the published study.",
        )
        parser.add_argument("--out", required=True, help="netCDF file to write, .nc")
        parser.add_argument("--seed", type=int, default=0, help="of winds, land and sources")
        add_common(parser)
        parser.add_fields(CarbonSimulation)
        return parser

    options, simulation = _ready(make_parser, CARBON_SIMULATIONS, words)
    path = file_to_write(options.out, ".nc")
    with Progress(simulation.frames, "frames") as progress:
        simulation.write(
            path,
            seed=options.seed,
            progress=lambda done: progress.advance(done - progress.done),
        )
    _tell(options, path)


def _simulate_cells(words: list[str]) -> None:
    from pushforward.simulators.cells import DrugScreen, PerturbedPopulations
    from pushforward.simulators.files import atomic_path

    # The kind decides which options there are, so it is looked for first.
    kinds: dict[str, type] = {"populations": PerturbedPopulations, "screen": DrugScreen}
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--kind", default="populations")
    kind = chosen("kind", first.parse_known_args(words)[0].kind, list(kinds))
    parser = Parser(
        prog="pushforward simulate cells",
        description="Write control and treated cells as an h5ad file: of simulated patients, or "
        "of a screen of drugs x doses x cell lines whose answers are known (--kind screen).",
    )
    parser.add_argument("--out", required=True, help="h5ad file to write")
    parser.add_argument("--kind", default="populations", choices=list(kinds), help="what is drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated cells")
    add_common(parser)
    parser.add_class_arguments(kinds[kind], "simulation")
    options = parser.parse(words)
    start_logging(options.quiet)
    simulation = instantiate(parser, options, kinds[kind], "simulation")
    path = file_to_write(options.out, ".h5ad")
    with atomic_path(path) as temporary:
        simulation.simulate(seed=options.seed).write_h5ad(temporary, compression="gzip")
    _tell(options, path)


def _simulate_channel(words: list[str]) -> None:
    from pushforward.datasets.channel import (
        CHANNEL_SIMULATIONS,
        ChannelSimulation,
        generate_channel,
    )
    from pushforward.surrogates.training.devices import resolve_device

    def make_parser() -> Parser:
        parser = Parser(
            prog="pushforward simulate channel",
            description="Simulate turbulence between two plates without a model, and write its "
            "velocity filtered to a coarser grid, as data for surrogates. --preset smoke takes "
            "seconds, small (a minimal flow unit at Re_tau 180, 8 runs) a quarter of an hour on "
            "one core, paper (the box and grid of the published set) a GPU.",
        )
        parser.add_argument("--out", required=True, help="netCDF file to write, .nc")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        add_common(parser)
        lists: dict[str, tuple[type, str]] = {
            "points": (int, "points in x, y and z of the simulation, both walls included"),
            "box": (float, "lengths along x and z, in half heights"),
            "spin_up_points": (int, "points in x, y and z of the spin-up"),
            "kept": (int, "points in x, y and z of the frames"),
        }
        parser.add_fields(ChannelSimulation, lists)
        return parser

    options, simulation = _ready(make_parser, CHANNEL_SIMULATIONS, words)
    device = resolve_device(options.device)
    path = file_to_write(options.out, ".nc")
    with _percent("flows, percent") as report:
        generate_channel(simulation, path, device=device, report=report)
    _tell(options, path)


@contextmanager
def _percent(label: str) -> Iterator[Callable[[float], None]]:
    """A progress bar over shares of the work; a signal stops the run at the next share."""
    from pushforward.simulators.errors import InterruptedRun
    from pushforward.surrogates.training import Progress, StopSignal

    with StopSignal() as stop, Progress(100, label) as progress:
        reached = 0.0

        def report(share: float) -> None:
            nonlocal reached
            if stop.requested:
                raise InterruptedRun("stopped: no file was written; the same command starts anew.")
            reached += share
            progress.advance(round(100 * reached) - progress.done)

        yield report


def _simulate_turbulence(words: list[str]) -> None:
    from pushforward.datasets.turbulence import (
        TURBULENCE_SIMULATIONS,
        TurbulenceSimulation,
        simulate_turbulence,
    )
    from pushforward.datasets.turbulence.writers import LAYOUTS
    from pushforward.simulators.errors import DataError
    from pushforward.surrogates.training.devices import resolve_device

    def make_parser() -> Parser:
        parser = Parser(
            prog="pushforward simulate turbulence",
            description="Simulate two-dimensional turbulence and write it, down-sampled to one or "
            "more coarser grids, as data to learn from or to be judged on. Published sets: the "
            "defaults are the Kolmogorov flow at Re = 1000; `--drag 0 --amplitude 0 --spin-up 0 "
            "--settle 4.5` the decaying one; `--viscosity 5e-4` doubles the Reynolds number.",
        )
        parser.add_argument("--out", required=True, help="file to write; .nc unless --layout tsm")
        parser.add_argument(
            "--layout",
            default="cf",
            choices=sorted(LAYOUTS),
            help="cf: netCDF with the coordinates of the faces on which u and v live; pnas, tsm: "
            "the published netCDF and HDF5 layouts, for code that was written for them",
        )
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        add_common(parser)
        lists: dict[str, tuple[type, str]] = {
            "cells": (int, "cells along x, or along x and y, of the simulation"),
            "factors": (int, "factors by which velocities are down-sampled, one data set each"),
            "domain": (float, "side length, or the lengths along x and y, in units of 2 pi"),
        }
        parser.add_fields(TurbulenceSimulation, lists)
        return parser

    options, simulation = _ready(make_parser, TURBULENCE_SIMULATIONS, words)
    device = resolve_device(options.device)
    with _percent("flows, percent") as report:
        try:
            paths = simulate_turbulence(
                simulation, options.out, layout=options.layout, device=device, report=report
            )
        except DataError as error:  # a name or a layout that does not fit
            raise UsageError(str(error)) from error
    shown = [str(p) for p in paths]
    print(json.dumps({"files": shown}) if options.json else "\n".join(shown))
