"""Rows of other people's models: their names, their unknown cost, and their results files."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pushforward.benchmarks.result import Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.simulators.errors import DataError

__all__ = ["UNKNOWN_COST", "check_row_name", "write_foreign"]

UNKNOWN_COST: dict[str, Any] = {
    "parameters": 0,
    "train_seconds": 0.0,
    "inference_seconds": 0.0,
    "nfe": 0,
    "peak_memory_mb": 0.0,
    "device": "unknown",
}
"""The `cost` of a result whose forecasts came from a file."""


def check_row_name(name: str, own: Collection[str], families: Sequence[str] = ()) -> None:
    """Refuse a name under which a run writes rows of its own.

    Parameters
    ----------
    name : of the foreign row.
    own : names of a run's rows.
    families : beginnings of names of a run's rows, such as `fv_`.

    Raises
    ------
    DataError : the name is taken.
    """
    if not name or name in own or name.startswith(tuple(families)):
        raise DataError(f"--name {name!r} is the name of a row of our own; choose another.")


def write_foreign(results: Sequence[Result], folder: RunFolder) -> list[Path]:
    """Write results of a foreign row; other scores that stand there are not overwritten.

    Raises
    ------
    DataError : a file there holds other scores under the same name.
    """
    for result in results:
        path = folder.results / result.file_name
        if path.exists() and Result.read(path).metrics != result.metrics:
            raise DataError(
                f"{path} holds other scores under the name {result.model!r}. Choose another "
                "--name or --out, or remove that file."
            )
    return [result.write(folder.results) for result in results]
