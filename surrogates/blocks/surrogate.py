"""What every learned model can do: say its configuration, save itself, load again."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pushforward import __version__
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path, write_json

__all__ = ["Surrogate", "load_any"]

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"

S = TypeVar("S", bound="Surrogate")


class Surrogate(nn.Module):
    """A model that is rebuilt from its configuration (JSON) and its weights (safetensors).

    A subclass implements `configuration`, whose values, passed to the class, rebuild the module.
    Loading executes nothing from the files.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.blocks import Surrogate
    >>> class Scale(Surrogate):
    ...     def __init__(self, factor: float):
    ...         super().__init__()
    ...         self.factor = factor
    ...         self.shift = torch.nn.Parameter(torch.zeros(1))
    ...     def configuration(self):
    ...         return {"factor": self.factor}
    >>> Scale(3.0).save("scale")
    >>> Scale.load("scale").factor
    3.0
    """

    def configuration(self) -> dict[str, Any]:
        """Plain values that rebuild the module: `type(self)(**configuration)`."""
        raise NotImplementedError(f"{type(self).__name__} does not say its configuration")

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write weights and configuration; the JSON, written last, marks the folder as whole."""
        folder = Path(folder)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(tensors, temporary)
        description = {
            "model": type(self).__name__,
            "configuration": self.configuration(),
            "package_version": __version__,
        }
        write_json(folder / DESCRIPTION, description)

    @classmethod
    def load(cls: type[S], folder: str | os.PathLike[str]) -> S:
        """Rebuild a saved model on the CPU, in evaluation mode.

        Raises
        ------
        DataError : files missing or damaged, another class, or weights that do not fit.
        """
        folder = Path(folder)
        try:
            description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no saved model ({Path(error.filename or WEIGHTS).name} is "
                f"missing); expected {DESCRIPTION} and {WEIGHTS} as written by .save()."
            ) from error
        except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"the model in {folder} is damaged: {error}") from error
        if description.get("model") != cls.__name__:
            raise DataError(
                f"{folder} holds a {description.get('model')}, not a {cls.__name__}. "
                f"Load it with {description.get('model')}.load."
            )
        try:
            model = cls(**description["configuration"])
            model.load_state_dict(tensors)
        except (TypeError, RuntimeError) as error:
            raise DataError(f"the files in {folder} do not fit {cls.__name__}: {error}") from error
        return model.eval()


def load_any(folder: str | os.PathLike[str], kinds: Sequence[type[S]]) -> S:
    """Rebuild the model in a folder, whichever of some classes it is, on the CPU.

    Parameters
    ----------
    folder : as written by `save`.
    kinds : classes that may be in it.

    Raises
    ------
    DataError : no saved model there (names those in folders below), or one of another class; and
        all that `Surrogate.load` refuses.
    """
    folder = Path(folder)
    try:
        name = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["model"]
    except (FileNotFoundError, NotADirectoryError) as error:
        below = sorted(str(p.parent) for p in folder.glob("**/model.json"))
        where = f"Models are in {', '.join(below[:8])}." if below else "A run saves its models in "
        where += "" if below else "OUT/models/NAME-SEED."
        raise DataError(
            f"{folder} holds no saved model: there is no model.json. {where}"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{folder / DESCRIPTION} does not describe a model: {error}.") from error
    by_name = {kind.__name__: kind for kind in kinds}
    if name not in by_name:
        raise DataError(f"{folder} holds a {name}; expected one of {', '.join(by_name)}.")
    return by_name[name].load(folder)
