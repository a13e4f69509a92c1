"""The verb `predict`: a trained model applied to a file."""

import json
from pathlib import Path

from jsonargparse import Namespace

from pushforward.options import Parser, add_common, file_to_write, limit_threads
from pushforward.simulators.console import start_logging
from pushforward.tasks import chosen_task

__all__ = ["predict"]


def predict(words: list[str]) -> None:
    """`pushforward predict TASK …`."""
    task = chosen_task("predict", words)
    path, as_json = {
        "atmosphere": _predict_atmosphere,
        "cells": _predict_cells,
        "channel": _predict_channel,
        "turbulence": _predict_turbulence,
    }[task](words[1:])
    print(json.dumps({"file": str(path)}) if as_json else path)


def _predict_atmosphere(words: list[str]) -> tuple[Path, bool]:
    from pushforward.datasets.atmosphere.forecasts import FORECAST_LAYOUT

    parser = Parser(
        prog="pushforward predict atmosphere",
        description="Forecast CO2 with a trained emulator of a run, in the weather, air and fluxes "
        "of a file, which must have the emulator's grid and layers, and times as far apart as "
        f"those it was trained on. Written is netCDF: {FORECAST_LAYOUT}. Example: pushforward "
        "predict atmosphere --model my-run/models/unet-0 --data my-run/predictions/data.nc "
        "--start 2016-01-09 --steps 32 --out unet.nc",
    )
    parser.add_argument(
        "--data", required=True, help="data in CarbonBench's schema (zarr, .zarr.zip, netCDF)"
    )
    _add_model(parser, ".nc")
    parser.add_argument(
        "--start", help="date of the first start, as 2016-01-09T06; default: the first of the data"
    )
    parser.add_argument(
        "--every", type=int, help="steps between starts, while the data last; default: one start"
    )
    parser.add_argument(
        "--free", action="store_true", help="without the mass fixer, as the rows NAME_free of a run"
    )
    options = _parsed(parser, words, ".nc")
    from pushforward.benchmarks.tasks.atmosphere import predict as atmosphere_predict

    path = atmosphere_predict.predict(
        options.model,
        options.data,
        options.out,
        steps=options.steps,
        start=options.start,
        every=options.every,
        free=options.free,
        device=options.device,
    )
    return path, options.json


def _predict_cells(words: list[str]) -> tuple[Path, bool]:
    parser = Parser(
        prog="pushforward predict cells",
        description="Predict the treated cells of a file from its control cells with a trained "
        "model of a run. The file needs the genes of the training data and columns of population "
        "and condition; treated cells in it are not looked at, and need not be there. Written is "
        "h5ad: the control cells with their obs, the condition being the predicted one, X the "
        "log-normalised expression of the genes that the model uses. Example: pushforward predict "
        "cells --model my-run/models/monge_map-P03-0 --data new-patients.h5ad --out treated.h5ad",
    )
    parser.add_argument("--data", required=True, help="h5ad file with control cells")
    _add_model(parser, ".h5ad")
    parser.add_argument(
        "--populations", nargs="+", type=str, help="only these; default: all with control cells"
    )
    for name, what in {
        "population_key": "obs column that names the population",
        "condition_key": "obs column that names the condition",
        "control": "label of the untreated condition",
    }.items():
        parser.add_argument(f"--{name}", help=f"{what}; default: as in the training data")
    options = _parsed(parser, words, ".h5ad")
    from pushforward.benchmarks.tasks.cells import predict as cells_predict

    path = cells_predict.predict(
        options.model,
        options.data,
        options.out,
        populations=options.populations,
        population_key=options.population_key,
        condition_key=options.condition_key,
        control=options.control,
        device=options.device,
    )
    return path, options.json


def _predict_channel(words: list[str]) -> tuple[Path, bool]:
    from pushforward.datasets.channel.forecasts import FORECAST_LAYOUT

    parser = Parser(
        prog="pushforward predict channel",
        description="Go on from runs of a file with a trained emulator of a run. The velocities "
        "must be on the emulator's grid, in frames as far apart as those it was trained on. "
        f"Written is netCDF: {FORECAST_LAYOUT}. Example, the forecasts that `run` judges, and a "
        "long one: pushforward predict channel --model my-run/models/fno-0 --data "
        "my-run/predictions/data.nc --runs 6 7 --every 50 --steps 50 --out fno.nc; with --runs 6 "
        "--steps 1000 --out fno-long.nc",
    )
    parser.add_argument(
        "--data",
        required=True,
        help="file of velocities, from a run or `pushforward simulate channel`, or of the "
        "published layout",
    )
    _add_model(parser, ".nc")
    parser.add_argument("--runs", nargs="+", type=int, help="runs to go on from; default: all")
    parser.add_argument("--start", type=int, default=0, help="frame of the first start")
    parser.add_argument(
        "--every",
        type=int,
        help="frames between starts, while the data last for --steps; default: one start a run",
    )
    options = _parsed(parser, words, ".nc")
    from pushforward.benchmarks.tasks.channel import predict as channel_predict

    path = channel_predict.predict(
        options.model,
        options.data,
        options.out,
        steps=options.steps,
        runs=options.runs,
        start=options.start,
        every=options.every,
        device=options.device,
    )
    return path, options.json


def _predict_turbulence(words: list[str]) -> tuple[Path, bool]:
    from pushforward.datasets.turbulence.forecasts import FORECAST_LAYOUT

    parser = Parser(
        prog="pushforward predict turbulence",
        description="Go on from every flow of a file with a trained model of a run: learned "
        "interpolation, temporal stencil or learned correction. The flows must have the model's "
        "spacing and time step; viscosity, drag, forcing and the size of the domain are the "
        f"file's. Written is netCDF: {FORECAST_LAYOUT}. Example: pushforward predict turbulence "
        "--model my-run/models/li-0 --data my-run/predictions/reference/kolmogorov.nc --out li.nc",
    )
    parser.add_argument(
        "--data",
        required=True,
        help="file of flows, from a run or `pushforward simulate turbulence`, or of a published "
        "layout",
    )
    _add_model(parser, ".nc")
    parser.add_argument(
        "--start",
        type=float,
        help="time of the frame to go on from; default: the first one from time 0 on with as many "
        "frames up to it as the model needs",
    )
    options = _parsed(parser, words, ".nc")
    from pushforward.benchmarks.tasks.turbulence import predict as turbulence_predict

    path = turbulence_predict.predict(
        options.model,
        options.data,
        options.out,
        steps=options.steps,
        start=options.start,
        device=options.device,
    )
    return path, options.json


def _add_model(parser: Parser, suffix: str) -> None:
    parser.add_argument(
        "--model", required=True, help="folder of a model: OUT/models/NAME of a run"
    )
    parser.add_argument("--out", required=True, help=f"file to write, {suffix}; must not exist")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_common(parser)
    if suffix == ".nc":
        parser.add_argument(
            "--steps", type=int, help="of the model; default: to the end of the data"
        )


def _parsed(parser: Parser, words: list[str], suffix: str) -> Namespace:
    options = parser.parse(words)
    file_to_write(options.out, suffix)
    start_logging(options.quiet)
    limit_threads(1)
    return options
