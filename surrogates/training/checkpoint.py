"""Training state in one file: tensors as safetensors, all else as JSON in its header."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "pushforward-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """What a resume needs: the step reached, the tensors by name, and plain state."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    step: int,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one or this one, whole.

    Parameters
    ----------
    path : ends in `.safetensors`.
    step : number of finished steps.
    model : `model.state_dict()`.
    optimizer : `optimizer.state_dict()`; its tensors and its plain numbers are both kept.
    state : plain JSON values (configuration, history).

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 1)
    >>> adam = torch.optim.Adam(layer.parameters())
    >>> save_checkpoint("c.safetensors", step=3, model=layer.state_dict(),
    ...                 optimizer=adam.state_dict(), state={"seed": 0})
    >>> load_checkpoint("c.safetensors").step
    3
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.items()}
    plain: dict[str, dict[str, Any]] = {}
    for index, entries in optimizer["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    header = {
        "step": step,
        "param_groups": optimizer["param_groups"],
        "optimizer_plain": plain,
        "state": dict(state),
    }
    metadata = {"format": FORMAT, "json": json.dumps(header)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(whole, temporary, metadata=metadata)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises
    ------
    DataError : no such file, a truncated or foreign file; says which and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} is not a whole checkpoint ({error}). Delete it to start this part afresh."
        ) from error
    if metadata.get("format") != FORMAT:
        raise DataError(
            f"{path} is a safetensors file of format {metadata.get('format')!r}, not {FORMAT!r}. "
            "Was it written by another program?"
        )
    header = json.loads(metadata["json"])
    return Checkpoint(
        header["step"],
        tensors,
        {
            "param_groups": header["param_groups"],
            "optimizer_plain": header["optimizer_plain"],
            **header["state"],
        },
    )


def restore(
    checkpoint: Checkpoint, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Put a checkpoint's tensors into a model and its optimizer.

    Raises
    ------
    DataError : the model has other parameters or shapes than the checkpoint.
    """
    weights = {
        name.removeprefix("model/"): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("model/")
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"the checkpoint belongs to another model: {error}") from error
    state: dict[int, dict[str, Any]] = {
        int(index): dict(entries) for index, entries in checkpoint.state["optimizer_plain"].items()
    }
    for name, tensor in checkpoint.tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": checkpoint.state["param_groups"]})
