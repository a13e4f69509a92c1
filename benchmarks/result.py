"""One result, one JSON file: what was measured, beside what, at which cost, from which data."""

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from pushforward import __version__
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.simulators.provenance import command_line, library_versions

__all__ = ["RESULT_SCHEMA", "Metric", "Result", "read_results"]

_NUMBER = {"type": "number"}
_ROW = {"type": "object", "additionalProperties": _NUMBER}

RESULT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "pushforward result",
    "type": "object",
    "required": [
        "task",
        "task_version",
        "model",
        "preset",
        "seed",
        "split",
        "metrics",
        "reference",
        "cost",
        "config_hash",
        "data_fingerprint",
        "package_version",
        "command",
        "date",
    ],
    "properties": {
        "task": {"type": "string", "minLength": 1},
        "task_version": {"type": "integer", "minimum": 1},
        "model": {"type": "string", "minLength": 1},
        "preset": {"type": "string"},
        "seed": {"type": "integer"},
        "split": {"type": "string", "minLength": 1},
        "split_kind": {"type": "string", "minLength": 1},
        "headline": {"type": "array", "items": {"type": "string"}},
        "learned": {"type": "boolean"},
        "metrics": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["value", "std_error", "n", "unit", "best"],
                "properties": {
                    "value": _NUMBER,
                    "std_error": {"type": "number", "minimum": 0},
                    "n": {"type": "integer", "minimum": 1},
                    "unit": {"type": "string"},
                    "best": {"enum": ["lowest", "highest"]},
                },
                "additionalProperties": False,
            },
        },
        "reference": {"type": "object", "additionalProperties": _ROW},
        "cost": {
            "type": "object",
            "required": [
                "parameters",
                "train_seconds",
                "inference_seconds",
                "nfe",
                "peak_memory_mb",
                "device",
            ],
            "properties": {"device": {"type": "string"}},
        },
        "config_hash": {"type": "string"},
        "data_fingerprint": {"type": "string"},
        "package_version": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "command": {"type": "string"},
        "date": {"type": "string"},
        "sample": {"type": "object"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Metric:
    """A measured number: its standard error over `n` repeats, its unit, and which value is best."""

    value: float
    std_error: float
    n: int
    unit: str
    best: str

    @classmethod
    def over_draws(cls, values: Iterable[float], *, unit: str, best: str) -> "Metric":
        """Mean over repeated draws and its standard error (0 for a single draw).

        Examples
        --------
        >>> from pushforward.benchmarks.result import Metric
        >>> Metric.over_draws([1.0, 3.0], unit="1", best="lowest").std_error
        1.0
        """
        draws = list(values)
        mean = sum(draws) / len(draws)
        if len(draws) == 1:
            return cls(mean, 0.0, 1, unit, best)
        variance = sum((v - mean) ** 2 for v in draws) / (len(draws) - 1)
        return cls(mean, math.sqrt(variance / len(draws)), len(draws), unit, best)


@dataclass(frozen=True)
class Result:
    """What one model did on one split with one seed.

    Parameters
    ----------
    task, task_version : what was asked; a version's meaning never changes.
    model, preset, seed, split : who answered, at which size, and on which part.
    metrics : name -> `Metric`.
    reference : row name -> {metric: value} of the rows that stand beside it (identity,
        mean_shift, floor, ...), on the same draws.
    cost : parameters, train_seconds, inference_seconds, nfe, peak_memory_mb, device.
    config_hash, data_fingerprint : of the configuration and of the data.
    split_kind : what a split holds out (population, condition, ...); splits of different kinds ask
        different questions and never share a table.
    headline : metrics a short table shows, in order.
    learned : False for reference rows.
    sample : small plot data (2-D points), so that a page can be drawn from results alone.
    """

    task: str
    task_version: int
    model: str
    preset: str
    seed: int
    split: str
    metrics: dict[str, Metric]
    reference: dict[str, dict[str, float]]
    cost: dict[str, Any]
    config_hash: str
    data_fingerprint: str
    split_kind: str = "population"
    headline: list[str] = field(default_factory=list)
    learned: bool = True
    sample: dict[str, Any] = field(default_factory=dict)
    package_version: str = __version__
    versions: dict[str, str] = field(default_factory=library_versions)
    command: str = field(default_factory=command_line)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def file_name(self) -> str:
        """`<model>-<split>-<seed>.json`, with every character that is unsafe in a name replaced."""
        return f"{safe_name(self.model)}-{safe_name(self.split)}-{self.seed}.json"

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Check against the schema and write, atomically; returns the path."""
        content = asdict(self)
        _validate(content, self.file_name)
        path = Path(folder) / self.file_name
        write_json(path, content)
        return path

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Result":
        """Read and check one results file.

        Raises
        ------
        DataError : not JSON, or not a result: says which field and why.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"no such results file: {path}.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a JSON file: {error}.") from error
        _validate(content, str(path))
        metrics = {name: Metric(**value) for name, value in content.pop("metrics").items()}
        return cls(**content, metrics=metrics)


def read_results(paths: Iterable[str | os.PathLike[str]]) -> list[Result]:
    """All results in some files and folders (searched to any depth), in a stable order.

    Raises
    ------
    DataError : a path does not exist, a file is no result, or nothing was found.
    """
    results, looked = [], []
    for path in map(Path, paths):
        looked.append(str(path))
        if path.is_dir():
            files = sorted(path.rglob("*.json"))
            files = [
                f for f in files if f.parent.name == "results" or "results" in f.parts
            ] or files
            results += [Result.read(f) for f in files if not _hidden(f, path)]
        else:
            results.append(Result.read(path))
    if not results:
        raise DataError(
            f"no results found in {', '.join(looked)}. "
            "`pushforward run` writes them to OUT/results/*.json."
        )
    return results


def safe_name(text: str) -> str:
    """A label as part of a file name: letters, digits, `._+` stay, all else becomes `_`.

    Examples
    --------
    >>> safe_name("../PW 030")
    '.._PW_030'
    """
    return re.sub(r"[^A-Za-z0-9._+]", "_", text) or "_"


def _hidden(path: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(base).parts)


@cache
def _validator() -> Draft202012Validator:
    """Made once: `jsonschema.validate` would check the schema itself again for every file."""
    return Draft202012Validator(RESULT_SCHEMA)


def _validate(content: Any, where: str) -> None:
    error = best_match(_validator().iter_errors(content))
    if error is not None:
        at = "/".join(str(p) for p in error.absolute_path) or "the top"
        raise DataError(f"{where} is not a pushforward result: at {at}, {error.message}.")
    for name, metric in content["metrics"].items():
        if not math.isfinite(metric["value"]):
            raise DataError(f"{where}: metric {name!r} is {metric['value']}, not a finite number.")
