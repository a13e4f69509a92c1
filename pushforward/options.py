"""Parsers of the command line: presets, YAML with overrides, dashes, the nearest name; and the
options that every verb has."""

import difflib
import os
import re
from argparse import HelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

__all__ = [
    "Parser",
    "UsageError",
    "add_common",
    "chosen",
    "file_to_write",
    "limit_threads",
    "parse_with_preset",
]


class UsageError(Exception):
    """The command was not understood; exit code 2."""


class Parser(ArgumentParser):
    """A jsonargparse parser that speaks with dashes and names the nearest option.

    `--hold-out` and `--hold_out` mean the same; help and messages show dashes. An unknown option,
    on the command line or in a YAML file, is refused together with the one that was probably
    meant.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, exit_on_error=False, allow_abbrev=False, **options)

    def add_fields(self, kind: type, lists: Mapping[str, tuple[type, str]] | None = None) -> None:
        """An option for each field of a class.

        Parameters
        ----------
        kind : a dataclass.
        lists : (type of a value, help) of the fields that take several values in a row.
        """
        lists = lists or {}
        for name, (item, about) in lists.items():
            self.add_argument(f"--{name}", nargs="+", type=item, help=about)
        self.add_class_arguments(kind, None, skip=set(lists))

    def parse(self, argv: Sequence[str]) -> Namespace:
        """Parse, or raise `UsageError` with a remedy."""
        try:
            return self.parse_args([_underscored(token) for token in argv])
        except ArgumentError as error:
            raise UsageError(self._explained(str(error))) from error

    def error(self, message: str, *args: Any, **options: Any) -> NoReturn:
        """Raise instead of exiting, so that the caller decides on streams and exit codes."""
        raise UsageError(self._explained(message))

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The help text with dashes in option names."""
        return _dashed(super().format_help(formatter))

    def option_names(self) -> list[str]:
        """Dotted names of all options."""
        return [a.dest for a in self._actions if a.option_strings and a.dest != "help"]

    def _explained(self, message: str) -> str:
        names = self.option_names()
        found = (
            re.search(r"unrecognized arguments: --([\w.]+)", message)
            or re.search(r"Option '([\w.]+)' is not accepted", message)
            or re.search(r"Key '([\w.]+)' is not expected", message)
        )
        unknown = found.group(1) if found else None
        grouped = re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message)
        if grouped:
            unknown = f"{grouped.group(1)}.{grouped.group(2)}"
        if unknown is None:
            return _dashed(message)
        near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
        if not near:
            last = unknown.rsplit(".", 1)[-1]
            near = [n for n in names if n.rsplit(".", 1)[-1] == last][:1]
        hint = f"Did you mean {near[0]}?" if near else f"Options: {', '.join(names)}."
        return f"unknown option {unknown!r}. {hint}".replace("_", "-")


def parse_with_preset(
    make_parser: Callable[[], Parser],
    presets: Mapping[str, Callable[[], Any]],
    argv: Sequence[str],
    *,
    default: str,
) -> tuple[Parser, Namespace]:
    """Parse with the preset's values as defaults: preset < config files < options.

    The preset itself may be named on the command line or in a config file, so it is looked for
    first.
    """
    parser = make_parser()
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of options")
    parser.add_argument(
        "--preset", default=default, choices=sorted(presets), help="named set of defaults"
    )
    # Printing the configuration ends the parse, so it must wait until the preset is known.
    chosen = parser.parse([w for w in argv if not w.startswith("--print")]).preset
    parser.set_defaults(presets[chosen]().plain())
    return parser, parser.parse(argv)


def limit_threads(default: int) -> None:
    """Set torch's threads: OMP_NUM_THREADS if set, else SLURM_CPUS_PER_TASK, else `default`.

    Small tensors gain nothing from a second thread, and lose much when its processor is busy.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    import torch

    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    torch.set_num_threads(int(granted) if granted.isdigit() else default)


def add_common(parser: Parser) -> None:
    """The options of every verb."""
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only on stderr")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def file_to_write(out: str, ending: str) -> Path:
    """The path that was given, whose name must have this ending."""
    path = Path(out)
    if path.suffix != ending:
        raise UsageError(f"--out {path} must end in {ending}")
    return path


def chosen(kind: str, given: str, known: list[str]) -> str:
    """The given name if it is known, or a usage error with the nearest one."""
    if given in known:
        return given
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown {kind} {given!r}. {hint}Known: {', '.join(known)}.")


def _underscored(token: str) -> str:
    if not token.startswith("--"):
        return token
    name, equals, value = token.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _dashed(text: str) -> str:
    return re.sub(r"--[A-Za-z][\w.+]*", lambda m: m.group().replace("_", "-"), text)
