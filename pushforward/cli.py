"""The command line: `pushforward VERB …`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pushforward import __version__
from pushforward.evaluate import evaluate
from pushforward.options import (
    Parser,
    UsageError,
    add_common,
    chosen,
    limit_threads,
    parse_with_preset,
)
from pushforward.predict import predict
from pushforward.simulate import simulate
from pushforward.simulators.console import start_logging
from pushforward.tasks import (
    TASKS,
    chosen_task,
    configuration_of,
    instantiate,
    presets_of,
    run_parser,
)

__all__ = ["main"]

OVERVIEW = f"""\
pushforward {__version__}: from physics to data to surrogate to an honest leaderboard row.

usage: pushforward VERB [TASK] [options]

  run TASK         simulate or load data, train, predict, score, report; the same line resumes
  simulate TASK    write data from the domain's simulator
  predict TASK     apply a trained model to a file
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
        "simulate": simulate,
        "evaluate": evaluate,
        "predict": predict,
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
        verb = chosen("verb", words[0], list(verbs))
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
    task = chosen_task("run", words)
    parser, options = parse_with_preset(
        lambda: run_parser(task), presets_of(task), words[1:], default="small"
    )
    config = instantiate(parser, options, configuration_of(task))
    start_logging(options.quiet)
    limit_threads(1)
    from importlib import import_module

    from pushforward.benchmarks.leaderboard import make_boards, to_markdown
    from pushforward.benchmarks.page import write_page
    from pushforward.benchmarks.result import read_results
    from pushforward.benchmarks.run_folder import RunFolder

    out = Path(options.out)
    folder = RunFolder(out, preset=options.preset, resume=options.resume)
    runner = import_module(f"pushforward.benchmarks.tasks.{task}.task")
    paths = runner.run(config, folder, device=options.device)
    results = read_results([folder.results])
    report = write_page(out / "report.html", results, title=f"pushforward run {task}")
    if options.json:
        print(json.dumps({"results": [str(p) for p in paths], "report": str(report.resolve())}))
        return
    print(to_markdown(make_boards(results)))
    print(f"report: {report.resolve()}")


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
    add_common(parser)
    options = parser.parse(words)
    start_logging(options.quiet)
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
    add_common(parser)
    options = parser.parse(words)
    start_logging(options.quiet)
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
        runner = import_module(f"pushforward.benchmarks.tasks.{task}.task")
        runner.run(presets_of(task)["smoke"](), folder, device=options.device)
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
    parser.add_argument(
        "file", help="h5ad, JSON of a result, netCDF, HDF5, safetensors, or a model folder"
    )
    add_common(parser)
    options = parser.parse(words)
    start_logging(options.quiet)
    from pushforward.benchmarks.inspection import inspect_file

    _show(inspect_file(Path(options.file)), options.json)


def _doctor(words: list[str]) -> None:
    parser = Parser(prog="pushforward doctor", description="Versions, devices, threads and memory.")
    add_common(parser)
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
    add_common(parser)
    options = parser.parse(words)
    for name in options.names:
        chosen("name", name, sorted(CITATIONS))
    text = bibtex(options.names or sorted(CITATIONS))
    print(json.dumps({"bibtex": text}) if options.json else text)


def _show(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(content))
        return
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), end="")


def _complain(error: Exception, code: int) -> int:
    print(f"pushforward: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
