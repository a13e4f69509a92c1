"""A state on disk: exact restart, never code."""

import json
import os
from pathlib import Path

import safetensors.torch
import torch

from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path

__all__ = ["load_state", "save_state"]

FIELDS = ("v", "phi", "g", "mean", "pressure_gradient")


def save_state(path: str | os.PathLike[str], flow: ChannelFlow, state: ChannelState) -> None:
    """Write a state as safetensors, atomically; complex fields as pairs of real numbers."""
    tensors = {
        name: (torch.view_as_real(t) if t.is_complex() else t).contiguous().cpu()
        for name, t in ((n, getattr(state, n)) for n in FIELDS)
    }
    metadata = {
        "grid": json.dumps({"shape": flow.shape, "lengths": flow.lengths}),
        "time": state.time.hex(),
    }
    with atomic_path(Path(path)) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=metadata)


def load_state(path: str | os.PathLike[str], flow: ChannelFlow) -> ChannelState:
    """Read a state for a solver of the same grid and box.

    Raises
    ------
    DataError : no such file, not such a file, or another grid: says which.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"no such checkpoint: {path}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        grid = json.loads(metadata["grid"])
        time = float.fromhex(metadata["time"])
    except (KeyError, ValueError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is not a channel checkpoint: {error}.") from error
    here = {"shape": list(flow.shape), "lengths": list(flow.lengths)}
    if grid != here:
        raise DataError(
            f"{path} was made on {grid['shape']} points in a box of {grid['lengths']}; the solver "
            f"has {here['shape']} and {here['lengths']}. Build the solver with the file's grid."
        )
    values = {
        name: (t if name in ("mean", "pressure_gradient") else torch.view_as_complex(t)).to(
            flow.device
        )
        for name, t in tensors.items()
    }
    return ChannelState(**values, time=time)
