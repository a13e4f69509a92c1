"""The folder of a run: where each part goes, and whose it is."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from pushforward.benchmarks.result import safe_name
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import provenance

__all__ = ["RunFolder"]


class RunFolder:
    """One configuration's results, models, predictions and checkpoints.

    `results/` one JSON a result; `models/` weights; `predictions/` files of predicted data;
    `training/` checkpoints; `config.yaml` the resolved configuration; `report.html`.

    Parameters
    ----------
    path : the folder; made by `claim`, not before.
    preset : name of the preset, noted in results.
    resume : `auto` goes on with what is there; `never` refuses a folder that holds anything.
    """

    def __init__(self, path: Path, *, preset: str, resume: str = "auto"):
        self.path = path
        self.preset = preset
        self.resume = resume
        self.results = path / "results"
        self.models = path / "models"
        self.predictions = path / "predictions"
        self.training = path / "training"
        self.config_file = path / "config.yaml"

    def result_path(self, model: str, split: str, seed: int) -> Path:
        """Where a result is, or will be."""
        return self.results / f"{safe_name(model)}-{safe_name(split)}-{seed}.json"

    def model_folder(self, model: str, seed: int) -> Path:
        """Where the weights of a model are, or will be."""
        return self.models / f"{model}-{seed}"

    def training_folder(self, model: str, seed: int) -> Path:
        """Where the checkpoints of a model's training are."""
        return self.training / f"{model}-{seed}"

    def check(self, configuration: dict[str, Any], *, sweep: Collection[str] = ()) -> None:
        """Refuse a folder that belongs to another configuration; writes nothing.

        Parameters
        ----------
        configuration : resolved options, plain values.
        sweep : options that may differ within a folder because they name its files.

        Raises
        ------
        DataError : names the options that differ.
        """
        if self.path.is_file():
            raise DataError(f"{self.path} is a file; --out must name a folder.")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if self.resume == "never":
            raise DataError(
                f"{self.path} is not empty and --resume is never. Choose another --out, or "
                "leave --resume at auto to go on with what is there."
            )
        if not self.config_file.is_file():
            if self.results.is_dir() and any(self.results.iterdir()):
                raise DataError(
                    f"{self.path} holds results but no config.yaml, so whose they are is unknown. "
                    "Choose another --out."
                )
            return
        there = _flat(_read_yaml(self.config_file), sweep)
        now = _flat(self._content(configuration), sweep)
        differing = [n for n in sorted({*there, *now}) if there.get(n) != now.get(n)]
        if differing:
            shown = "; ".join(f"{n}: {there.get(n)} there, {now.get(n)} now" for n in differing[:6])
            raise DataError(
                f"{self.path} holds results of another configuration ({shown}). "
                "Choose another --out, or give the same options."
            )

    def claim(self, configuration: dict[str, Any], *, sweep: Collection[str] = ()) -> None:
        """Make the folder this configuration's own: check it and write `config.yaml`.

        The file holds every resolved option, so that `--config OUT/config.yaml` repeats the run.
        """
        self.check(configuration, sweep=sweep)
        if self.config_file.is_file():
            return
        origin = provenance()
        text = yaml.safe_dump(self._content(configuration), sort_keys=False, allow_unicode=True)
        with atomic_path(self.config_file) as temporary:
            temporary.write_text(
                f"# {origin['source']}; {origin['history']}\n{text}", encoding="utf-8"
            )

    def _content(self, configuration: dict[str, Any]) -> dict[str, Any]:
        return {"preset": self.preset, **json.loads(json.dumps(configuration))}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not readable as YAML: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a configuration written by a run.")
    return content


def _flat(content: dict[str, Any], without: Collection[str], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if key in without:
            continue
        if isinstance(value, dict):
            flat.update(_flat(value, (), f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
