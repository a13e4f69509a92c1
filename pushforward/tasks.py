"""The tasks as the command line sees them: options, presets and configurations by name."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from pushforward.options import Parser, UsageError, add_common, chosen

__all__ = [
    "TASKS",
    "atmosphere_parser",
    "cells_parser",
    "channel_parser",
    "chosen_task",
    "configuration_of",
    "instantiate",
    "presets_of",
    "run_parser",
]

TASKS = ("cells", "turbulence", "atmosphere", "channel")
OF_VERB = {
    "run": TASKS,
    "simulate": TASKS,
    "predict": TASKS,
    "evaluate": TASKS,
}


def run_parser(task: str) -> Parser:
    """Options of `run TASK`."""
    parsers = {
        "cells": lambda: cells_parser("run"),
        "turbulence": _turbulence_parser,
        "atmosphere": lambda: atmosphere_parser("run"),
        "channel": lambda: channel_parser("run"),
    }
    return parsers[task]()


def cells_parser(verb: str) -> Parser:
    """Options of `run cells` and `evaluate cells`."""
    from pushforward.benchmarks.tasks.cells.config import CellsConfig
    from pushforward.benchmarks.tasks.cells.models import MODELS

    purpose = {
        "run": "Leave populations out one at a time, learn the treatment's effect on the others, "
        "predict the treated cells of the one left out from its control cells, and score the "
        "prediction beside rows that learn nothing. Finished parts are skipped: the same line "
        "resumes. Without --data, cells are simulated.",
        "evaluate": "Score predicted treated cells of any model from an h5ad file whose obs names "
        "population and predicted condition as the data do, exactly as `run` scores its own.",
    }
    parser = Parser(prog=f"pushforward {verb} cells", description=purpose[verb])
    _add_run_folder(parser, "pushforward-cells")
    lists: dict[str, tuple[type, str]] = {
        "data": (str, "h5ad file, or several with the same genes"),
        "hold_out": (str, "populations to leave out, one at a time; each in turn if not given"),
        "models": (str, f"rows to learn, by name: {', '.join(MODELS)}"),
    }
    parser.add_fields(CellsConfig, lists)
    return parser


def _turbulence_parser() -> Parser:
    from pushforward.benchmarks.tasks.turbulence.config import TurbulenceConfig

    parser = Parser(
        prog="pushforward run turbulence",
        description="Simulate Kolmogorov flow on a fine grid, train coarse models on it, and judge "
        "them by how long their forecasts stay right and by seconds, beside coarse, finer and "
        "spectral solvers. Finished parts are skipped: the same line resumes.",
    )
    _add_run_folder(parser, "pushforward-turbulence")
    parser.add_fields(
        TurbulenceConfig, {"models": (str, "rows to learn, of li, li_bundled, lc, tsm")}
    )
    return parser


def atmosphere_parser(verb: str) -> Parser:
    """Options of `run atmosphere` and `evaluate atmosphere`."""
    from pushforward.benchmarks.tasks.atmosphere.config import AtmosphereConfig
    from pushforward.datasets.atmosphere.forecasts import FORECAST_LAYOUT

    purpose = {
        "run": "Train emulators of CO2 transport and judge their forecasts by errors, bias, mass "
        "and seconds, with and without mass fixer and centring, beside persistence and "
        "first-order upwind transport. Finished parts are skipped: the same line resumes. Without "
        "--data, weather and CO2 are simulated.",
        "evaluate": "Score forecasts of CO2 by any model, from a netCDF file, exactly as `run` "
        "scores its own, beside persistence and first-order upwind transport by the winds of the "
        f"data. The file holds {FORECAST_LAYOUT}. Judged are forecasts of --lead-days from every "
        "--start-every-days of the test period. The options are those of `run`: --config "
        "OUT/config.yaml asks a run's own question. Example: pushforward evaluate atmosphere "
        "--config my-run/config.yaml --data my-run/predictions/data.nc --predictions theirs.nc "
        "--name theirs --out my-run",
    }
    parser = Parser(prog=f"pushforward {verb} atmosphere", description=purpose[verb])
    _add_run_folder(parser, "pushforward-atmosphere")
    lists: dict[str, tuple[type, str]] = {
        "models": (str, "networks, of unet, swin, sfno, graphcast"),
        "grid": (int, "rows and columns of simulated data"),
    }
    parser.add_fields(AtmosphereConfig, lists)
    return parser


def channel_parser(verb: str) -> Parser:
    """Options of `run channel` and `evaluate channel`."""
    from pushforward.benchmarks.tasks.channel.config import CLOSURES, MODELS, ChannelConfig
    from pushforward.datasets.channel.forecasts import FORECAST_LAYOUT

    purpose = {
        "run": "Train emulators of filtered channel flow and judge their forecasts and long-run "
        "statistics beside persistence and large-eddy simulation on the same grid. Finished parts "
        "are skipped: the same line resumes. Without --data, flows are simulated.",
        "evaluate": "Score forecasts of channel flow by any model, from netCDF files, exactly as "
        "`run` scores its own, beside persistence, persistence carried by the mean flow, and the "
        f"mean profile. A file of forecasts holds {FORECAST_LAYOUT}. Judged are forecasts from "
        "every --start-every-th frame of the last --test-runs runs over the longest of "
        "--horizons; and, if a forecast from the first frame of the first of these runs has "
        "--rollout-steps steps (in the same file or in another), its long-run statistics. The "
        "options are those of `run`: --config OUT/config.yaml asks a run's own question. Example: "
        "pushforward evaluate channel --config my-run/config.yaml --data "
        "my-run/predictions/data.nc --predictions theirs.nc theirs-long.nc --name theirs --out "
        "my-run",
    }
    parser = Parser(prog=f"pushforward {verb} channel", description=purpose[verb])
    _add_run_folder(parser, "pushforward-channel")
    lists: dict[str, tuple[type, str]] = {
        "models": (str, f"rows to learn, of {', '.join(MODELS)}"),
        "les": (str, f"sub-grid models, of {', '.join(CLOSURES)}"),
        "horizons": (int, "steps after which short forecasts are judged"),
        "unrolls": (int, "steps of push-forward in training, stage by stage"),
        "unroll_steps": (int, "gradient steps of each stage"),
    }
    parser.add_fields(ChannelConfig, lists)
    return parser


def _add_run_folder(parser: Parser, out: str) -> None:
    """The options of every verb that fills a run's folder."""
    parser.add_argument("--out", default=out, help="folder of results, models and report")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--resume",
        default="auto",
        choices=["auto", "never"],
        help="auto goes on with what is in --out; never refuses a folder that holds anything",
    )
    add_common(parser)


def presets_of(task: str) -> dict[str, Callable[[], Any]]:
    """The named configurations of a task."""
    if task == "channel":
        from pushforward.benchmarks.tasks.channel.config import CHANNEL_PRESETS

        return CHANNEL_PRESETS
    if task == "atmosphere":
        from pushforward.benchmarks.tasks.atmosphere.config import ATMOSPHERE_PRESETS

        return ATMOSPHERE_PRESETS
    if task == "turbulence":
        from pushforward.benchmarks.tasks.turbulence.config import TURBULENCE_PRESETS

        return TURBULENCE_PRESETS
    from pushforward.benchmarks.tasks.cells.config import CELLS_PRESETS

    return CELLS_PRESETS


def configuration_of(task: str) -> type:
    """The class of a task's configuration."""
    return type(presets_of(task)["small"]())


def instantiate(parser: Parser, options: Any, kind: type, key: str | None = None) -> Any:
    """Build an object from its options; a value out of range is a usage error.

    Parameters
    ----------
    parser, options : that parsed them, and what it found.
    kind : a dataclass whose fields are options of the same names.
    key : the name under which the class's arguments were added, if they were.
    """
    from pushforward.simulators.errors import DataError

    try:
        made = parser.instantiate(options)
        if key is not None:
            return made[key]
        return kind(**{f.name: made[f.name] for f in fields(kind)})
    except DataError as error:
        raise UsageError(str(error)) from error


def chosen_task(verb: str, words: list[str]) -> str:
    """The task that a verb is asked for; help on the verb, or a usage error, without one."""
    known = OF_VERB[verb]
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: pushforward {verb} TASK [options]\n\ntasks: {', '.join(known)}\n")
        print(f"Options of a task: pushforward {verb} {known[0]} --help")
        raise SystemExit(0 if words else 2)
    return chosen("task", words[0], list(known))
