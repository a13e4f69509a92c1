"""The verb `predict`: a trained model applied to a file."""

import json
from pathlib import Path

from jsonargparse import Namespace

from pushforward.options import Parser, UsageError, add_common, limit_threads, start_logging
from pushforward.tasks import chosen_task

__all__ = ["predict"]


def predict(words: list[str]) -> None:
    """`pushforward predict TASK …`."""
    task = chosen_task("predict", words)
    path, as_json = {"turbulence": _predict_turbulence}[task](words[1:])
    print(json.dumps({"file": str(path)}) if as_json else path)


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
    from pushforward.benchmarks.tasks import turbulence_predict

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
    if Path(options.out).suffix != suffix:
        raise UsageError(f"--out {options.out} must end in {suffix}")
    start_logging(options.quiet)
    limit_threads(1)
    return options
