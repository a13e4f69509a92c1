"""The command line: `pushforward VERB …`."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pushforward import __version__
from pushforward.options import Parser, UsageError, limit_threads, parse_with_preset

__all__ = ["main"]

TASKS = ("cells", "turbulence")
OF_VERB = {"run": TASKS, "simulate": ("cells",), "evaluate": ("cells",)}

OVERVIEW = f"""\
pushforward {__version__}: from physics to data to surrogate to an honest leaderboard row.

usage: pushforward VERB [TASK] [options]

  run TASK         simulate or load data, train, predict, score, report; the same line resumes
  simulate TASK    write data from the domain's simulator
  evaluate TASK    score predictions of any model from a file
  leaderboard      results/*.json -> CSV, Markdown, one HTML page with plots
  demo             every domain at preset smoke; ends with the report's path
  inspect FILE     what a file holds
  doctor           versions, devices, threads, memory
  cite [NAME ...]  BibTeX of the methods

tasks: {", ".join(TASKS)}

A first run:      pushforward demo
On your cells:    pushforward run cells --data cells.h5ad --population-key patient_id \\
                      --condition-key condition --control ctrl --out my-run
All options:      pushforward VERB [TASK] --help

Results go to stdout, logs to stderr.
Exit codes: 0 ok, 2 usage, 3 data, 4 diverged, 75 interrupted: the same command resumes.
"""

Verb = Callable[[list[str]], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : words after `pushforward`; default: those of this process.

    Examples
    --------
    >>> main(["--version"])
    pushforward ...
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verbs: dict[str, Verb] = {
        "run": _run,
        "simulate": _simulate,
        "evaluate": _evaluate,
        "leaderboard": _leaderboard,
        "demo": _demo,
        "inspect": _inspect,
        "doctor": _doctor,
        "cite": _cite,
    }
    if not words or words[0] in ("-h", "--help", "help"):
        print(OVERVIEW)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"pushforward {__version__}")
        return 0
    from pushforward.simulators.errors import PushforwardError

    try:
        verb = _chosen("verb", words[0], list(verbs))
        verbs[verb](words[1:])
    except SystemExit as stop:  # --help and --print-config of a verb
        return int(stop.code or 0)
    except UsageError as error:
        return _complain(error, 2)
    except PushforwardError as error:
        return _complain(error, error.exit_code)
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        return _complain(error, 3)
    except BrokenPipeError:
        return 0
    return 0


def _run(words: list[str]) -> None:
    task = _task("run", words)
    make_parser = {"cells": lambda: _cells_parser("run"), "turbulence": _turbulence_parser}[task]
    parser, options = parse_with_preset(make_parser, _presets(task), words[1:], default="small")
    config = _instantiate(parser, options, task)
    _start_logging(options.quiet)
    limit_threads(1)
    from importlib import import_module

    from pushforward.benchmarks.leaderboard import make_boards, to_markdown
    from pushforward.benchmarks.page import write_page
    from pushforward.benchmarks.result import read_results
    from pushforward.benchmarks.run_folder import RunFolder

    out = Path(options.out)
    folder = RunFolder(out, preset=options.preset, resume=options.resume)
    runner = import_module(f"pushforward.benchmarks.tasks.{task}")
    paths = runner.run(config, folder, device=options.device)
    results = read_results([folder.results])
    report = write_page(out / "report.html", results, title=f"pushforward run {task}")
    if options.json:
        print(json.dumps({"results": [str(p) for p in paths], "report": str(report.resolve())}))
        return
    print(to_markdown(make_boards(results)))
    print(f"report: {report.resolve()}")


def _evaluate(words: list[str]) -> None:
    _task("evaluate", words)

    def make_parser() -> Parser:
        parser = _cells_parser("evaluate")
        parser.add_argument("--predictions", required=True, help="h5ad of predicted treated cells")
        parser.add_argument("--name", required=True, help="name of the model in the tables")
        return parser

    parser, options = parse_with_preset(make_parser, _presets("cells"), words[1:], default="small")
    config = _instantiate(parser, options, "cells")
    _start_logging(options.quiet)
    limit_threads(1)
    from pushforward.benchmarks.result import Result
    from pushforward.benchmarks.run_folder import RunFolder
    from pushforward.benchmarks.tasks import cells

    folder = RunFolder(Path(options.out), preset=options.preset, resume=options.resume)
    paths = cells.evaluate(config, options.predictions, folder, model=options.name)
    if options.json:
        print(json.dumps({"results": [str(p) for p in paths]}))
        return
    for path in paths:
        result = Result.read(path)
        figures = ", ".join(
            f"{m} {result.metrics[m].value:.4g}" for m in result.headline if m in result.metrics
        )
        print(f"{result.model} {result.split} seed {result.seed}: {figures}")
    print(f"results: {folder.results.resolve()}")


def _simulate(words: list[str]) -> None:
    _task("simulate", words)
    from pushforward.simulators.cells import PerturbedPopulations
    from pushforward.simulators.files import atomic_path

    parser = Parser(
        prog="pushforward simulate cells",
        description="Write control and treated cells of simulated patients as an h5ad file.",
    )
    parser.add_argument("--out", required=True, help="h5ad file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated cells")
    _add_common(parser)
    parser.add_class_arguments(PerturbedPopulations, "simulation")
    options = parser.parse(words[1:])
    _start_logging(options.quiet)
    simulation = _instantiate(parser, options, "cells", "simulation")
    path = Path(options.out)
    if path.suffix != ".h5ad":
        raise UsageError(f"--out {path} must end in .h5ad")
    with atomic_path(path) as temporary:
        simulation.simulate(seed=options.seed).write_h5ad(temporary, compression="gzip")
    print(json.dumps({"file": str(path)}) if options.json else path)


def _leaderboard(words: list[str]) -> None:
    parser = Parser(
        prog="pushforward leaderboard",
        description="Build CSV, Markdown and one self-contained HTML page from results files.",
    )
    parser.add_argument("results", nargs="+", help="results files, or folders that hold them")
    parser.add_argument("--out", default="leaderboard", help="folder of the tables and the page")
    parser.add_argument(
        "--insert",
        help="also put the tables into this Markdown file, between <!-- leaderboard:begin --> and "
        "<!-- leaderboard:end -->",
    )
    _add_common(parser)
    options = parser.parse(words)
    _start_logging(options.quiet)
    from pushforward.benchmarks.leaderboard import insert_between_markers, make_boards, to_markdown
    from pushforward.benchmarks.page import write_leaderboard
    from pushforward.benchmarks.result import read_results

    results = read_results(options.results)
    text = to_markdown(make_boards(results))
    if options.insert:
        insert_between_markers(Path(options.insert), "leaderboard", text)
    paths = write_leaderboard(Path(options.out), results)
    if options.json:
        print(json.dumps({"files": [str(p) for p in paths]}))
    else:
        print(text)
        print("\n".join(str(p.resolve()) for p in paths))


def _demo(words: list[str]) -> None:
    parser = Parser(
        prog="pushforward demo",
        description="Run every domain at preset smoke on simulated data and write one report.",
    )
    parser.add_argument("--out", default="pushforward-demo", help="folder of the demo")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    _add_common(parser)
    options = parser.parse(words)
    _start_logging(options.quiet)
    limit_threads(1)
    from importlib import import_module

    from pushforward.benchmarks.leaderboard import make_boards, to_markdown
    from pushforward.benchmarks.page import write_page
    from pushforward.benchmarks.result import read_results
    from pushforward.benchmarks.run_folder import RunFolder

    out = Path(options.out)
    folders = []
    for task in TASKS:
        folder = RunFolder(out / task, preset="smoke")
        runner = import_module(f"pushforward.benchmarks.tasks.{task}")
        runner.run(_presets(task)["smoke"](), folder, device=options.device)
        folders.append(folder.results)
    results = read_results(folders)
    report = write_page(out / "report.html", results, title="pushforward demo")
    if options.json:
        print(json.dumps({"report": str(report.resolve())}))
        return
    print(to_markdown(make_boards(results)))
    print(report.resolve())


def _inspect(words: list[str]) -> None:
    parser = Parser(prog="pushforward inspect", description="Say what a file holds.")
    parser.add_argument("file", help="h5ad, results JSON, netCDF, safetensors, or a model folder")
    _add_common(parser)
    options = parser.parse(words)
    _start_logging(options.quiet)
    from pushforward.benchmarks.inspection import inspect_file

    _show(inspect_file(Path(options.file)), options.json)


def _doctor(words: list[str]) -> None:
    parser = Parser(prog="pushforward doctor", description="Versions, devices, threads and memory.")
    _add_common(parser)
    options = parser.parse(words)
    from pushforward.benchmarks.inspection import machine_report

    _show(machine_report(), options.json)


def _cite(words: list[str]) -> None:
    from pushforward.benchmarks.citations import CITATIONS, bibtex

    parser = Parser(
        prog="pushforward cite",
        description="BibTeX of the methods behind a name; all of them without a name. "
        f"Names: {', '.join(sorted(CITATIONS))}.",
    )
    parser.add_argument("names", nargs="*", help="what was used")
    _add_common(parser)
    options = parser.parse(words)
    for name in options.names:
        _chosen("name", name, sorted(CITATIONS))
    text = bibtex(options.names or sorted(CITATIONS))
    print(json.dumps({"bibtex": text}) if options.json else text)


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
    _add_common(parser)


def _cells_parser(verb: str) -> Parser:
    from pushforward.benchmarks.tasks.cells_config import CellsConfig
    from pushforward.benchmarks.tasks.cells_models import MODELS

    about = {
        "run": "Leave populations out one at a time, learn the treatment's effect on the others, "
        "predict the treated cells of the one left out from its control cells, and score the "
        "prediction beside rows that learn nothing. Finished parts are skipped: the same line "
        "resumes. Without --data, cells are simulated.",
        "evaluate": "Score predicted treated cells of any model from an h5ad file whose obs names "
        "population and predicted condition as the data do, exactly as `run` scores its own.",
    }
    parser = Parser(prog=f"pushforward {verb} cells", description=about[verb])
    _add_run_folder(parser, "pushforward-cells")
    parser.add_argument(
        "--data", nargs="+", type=str, help="h5ad file, or several with the same genes"
    )
    parser.add_argument(
        "--hold_out",
        nargs="+",
        type=str,
        help="populations to leave out, one at a time; each in turn if not given",
    )
    parser.add_argument(
        "--models", nargs="+", type=str, help=f"rows to learn, by name: {', '.join(MODELS)}"
    )
    parser.add_class_arguments(CellsConfig, None, skip={"data", "hold_out", "models"})
    return parser


def _turbulence_parser() -> Parser:
    from pushforward.benchmarks.tasks.turbulence_config import TurbulenceConfig

    parser = Parser(
        prog="pushforward run turbulence",
        description="Simulate Kolmogorov flow on a fine grid, train coarse models on it, and judge "
        "them by how long their forecasts stay right and by seconds, beside coarse, finer and "
        "spectral solvers. Finished parts are skipped: the same line resumes.",
    )
    _add_run_folder(parser, "pushforward-turbulence")
    parser.add_argument(
        "--models", nargs="+", type=str, help="rows to learn, of li, li_bundled, lc, tsm"
    )
    parser.add_class_arguments(TurbulenceConfig, None, skip={"models"})
    return parser


def _presets(task: str) -> dict[str, Callable[[], Any]]:
    if task == "turbulence":
        from pushforward.benchmarks.tasks.turbulence_config import TURBULENCE_PRESETS

        return TURBULENCE_PRESETS
    from pushforward.benchmarks.tasks.cells_config import CELLS_PRESETS

    return CELLS_PRESETS


def _configuration(task: str) -> type:
    if task == "turbulence":
        from pushforward.benchmarks.tasks.turbulence_config import TurbulenceConfig

        return TurbulenceConfig
    from pushforward.benchmarks.tasks.cells_config import CellsConfig

    return CellsConfig


def _add_common(parser: Parser) -> None:
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only on stderr")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _instantiate(parser: Parser, options: Any, task: str, key: str | None = None) -> Any:
    """Build the configuration; a value out of range is a usage error."""
    from pushforward.simulators.errors import DataError

    kind = _configuration(task)
    try:
        made = parser.instantiate(options)
        if key is not None:
            return made[key]
        return kind(**{f.name: made[f.name] for f in fields(kind)})
    except DataError as error:
        raise UsageError(str(error)) from error


def _task(verb: str, words: list[str]) -> str:
    known = OF_VERB[verb]
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: pushforward {verb} TASK [options]\n\ntasks: {', '.join(known)}\n")
        print(f"Options of a task: pushforward {verb} {known[0]} --help")
        raise SystemExit(0 if words else 2)
    return _chosen("task", words[0], list(known))


def _chosen(kind: str, given: str, known: list[str]) -> str:
    import difflib

    if given in known:
        return given
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown {kind} {given!r}. {hint}Known: {', '.join(known)}.")


def _show(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(content))
        return
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), end="")


def _start_logging(quiet: bool) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    for chatty in ("lightning_fabric", "lightning.fabric", "matplotlib", "numba", "fsspec"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _complain(error: Exception, code: int) -> int:
    print(f"pushforward: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
