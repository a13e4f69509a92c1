"""A state on disk: exact restart, never code."""

import json
import os
from pathlib import Path

import safetensors.torch
import torch

from pushforward.simulators.channel.flow import ChannelFlow, ChannelState
from pushforward.simulators.errors import DataError, DivergedError
from pushforward.simulators.files import atomic_path

__all__ = ["advance_with_checkpoints", "load_state", "save_state"]

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


def advance_with_checkpoints(
    flow: ChannelFlow,
    state: ChannelState,
    n_steps: int,
    path: str | os.PathLike[str],
    *,
    every: int = 500,
) -> ChannelState:
    """`flow.advance` that leaves a state on disk now and then, for a restart exact to the bit.

    Parameters
    ----------
    flow, state, n_steps : as there.
    path : of the file, replaced each time and at the end.
    every : steps between two writings; a state of 32 x 65 x 32 points takes 2 MB.

    Raises
    ------
    DataError : `every` below 1; a fixed dt that is far too long, at the start.
    DivergedError : as `flow.advance`; names the file of the last good state and its time.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> end = advance_with_checkpoints(flow, flow.laminar(), 4, "state.safetensors", every=2)
    >>> load_state("state.safetensors", flow).time == end.time
    True
    """
    if every < 1:
        raise DataError(f"every = {every}; expected a number of steps from 1 on.")
    flow.check_step(state)
    save_state(path, flow, state)
    for done in range(0, n_steps, every):
        try:
            following = flow.advance(state, min(every, n_steps - done))
            flow.check_step(following)  # finite, but no longer a flow: not worth keeping
        except (DataError, DivergedError) as error:
            raise DivergedError(
                f"{error} After {done} of {n_steps} steps all was well: {path} holds the state at "
                f"time {state.time:.6g}; go on from it with load_state."
            ) from error
        state = following
        save_state(path, flow, state)
    return state
