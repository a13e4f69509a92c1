"""The verb `evaluate`: predictions of any model, from files, scored as `run` scores its own."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pushforward.options import Parser, add_common, limit_threads, parse_with_preset
from pushforward.simulators.console import start_logging
from pushforward.tasks import (
    atmosphere_parser,
    cells_parser,
    channel_parser,
    chosen_task,
    configuration_of,
    instantiate,
    presets_of,
)

__all__ = ["evaluate"]


def evaluate(words: list[str]) -> None:
    """`pushforward evaluate TASK …`."""
    task = chosen_task("evaluate", words)
    if task == "turbulence":
        _evaluate_turbulence(words[1:])
    else:
        _evaluate_by_configuration(task, words[1:])


def _evaluate_by_configuration(task: str, words: list[str]) -> None:
    """The tasks whose data, splits and settings of scores are the options of `run`."""

    def make_parser() -> Parser:
        makers: dict[str, Callable[[str], Parser]] = {
            "atmosphere": atmosphere_parser,
            "cells": cells_parser,
            "channel": channel_parser,
        }
        parser = makers[task]("evaluate")
        if task == "channel":
            parser.add_argument(
                "--predictions", nargs="+", required=True, type=str, help="netCDF of forecasts"
            )
        else:
            kind = "h5ad of predicted treated cells" if task == "cells" else "netCDF of forecasts"
            parser.add_argument("--predictions", required=True, help=kind)
        parser.add_argument("--name", required=True, help="name of the model in the tables")
        return parser

    parser, options = parse_with_preset(make_parser, presets_of(task), words, default="small")
    config = instantiate(parser, options, configuration_of(task))
    start_logging(options.quiet)
    limit_threads(1)
    from importlib import import_module

    from pushforward.benchmarks.run_folder import RunFolder

    module = "task" if task == "cells" else "foreign"
    runner = import_module(f"pushforward.benchmarks.tasks.{task}.{module}")
    folder = RunFolder(Path(options.out), preset=options.preset, resume=options.resume)
    paths = runner.evaluate(config, options.predictions, folder, model=options.name)
    _show(paths, options.json)


def _evaluate_turbulence(words: list[str]) -> None:
    from pushforward.datasets.turbulence.forecasts import FORECAST_LAYOUT

    parser = Parser(
        prog="pushforward evaluate turbulence",
        description="Score forecasts of flows by any model, from a file, exactly as `run` scores "
        "its own, beside persistence and the finite-volume solver on the same grid. A file of "
        f"forecasts is netCDF: {FORECAST_LAYOUT}; not a number where a flow was lost. To stand in "
        "the tables of a run, go on from time 0 of every flow in "
        "OUT/predictions/reference/kolmogorov.nc to its last frame. Example: pushforward evaluate "
        "turbulence --data my-run/predictions/reference/kolmogorov.nc --predictions theirs.nc "
        "--name theirs --out my-run",
    )
    parser.add_argument(
        "--data",
        required=True,
        help="the truth: a file of flows, from a run or `pushforward simulate turbulence`, or of a "
        "published layout",
    )
    _add_foreign(parser, "netCDF of forecasts")
    parser.add_argument("--seed", type=int, default=0, help="of the row, if it has several")
    options = parser.parse(words)
    start_logging(options.quiet)
    limit_threads(1)
    from pushforward.benchmarks.run_folder import RunFolder
    from pushforward.benchmarks.tasks.turbulence import foreign as turbulence_foreign

    paths = turbulence_foreign.evaluate(
        options.data,
        options.predictions,
        RunFolder(Path(options.out), preset=""),
        model=options.name,
        seed=options.seed,
    )
    _show(paths, options.json)


def _add_foreign(parser: Parser, kind: str) -> None:
    parser.add_argument("--predictions", required=True, help=kind)
    parser.add_argument("--name", required=True, help="name of the model in the tables")
    parser.add_argument(
        "--out", default="pushforward-evaluated", help="folder of the results; may be a run's"
    )
    add_common(parser)


def _show(paths: Sequence[Path], as_json: bool) -> None:
    """Print where the results are, and their headline figures."""
    from pushforward.benchmarks.result import Result

    if as_json:
        print(json.dumps({"results": [str(p) for p in paths]}))
        return
    for path in paths:
        result = Result.read(path)
        figures = ", ".join(
            f"{m} {result.metrics[m].value:.4g}" for m in result.headline if m in result.metrics
        )
        print(f"{result.model} {result.split} seed {result.seed}: {figures}")
    print(f"results: {paths[0].parent.resolve()}")
