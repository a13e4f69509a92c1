"""Device and precision through Lightning Fabric."""

import os
import warnings
from typing import TYPE_CHECKING

import torch

from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["device_of", "make_fabric", "resolve_device"]


def resolve_device(device: str) -> str:
    """`auto` to `cuda` where a GPU is visible, else `cpu`; anything else is checked.

    Raises
    ------
    DataError : an unknown name, or a device this machine does not have.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise DataError(f"device = {device!r}; expected auto, cpu, cuda or cuda:N.")
    if kind == "cuda":
        count = torch.cuda.device_count()
        number = device.partition(":")[2] or "0"
        if not number.isdigit() or int(number) >= count:
            raise DataError(
                f"device = {device!r}, but {count} CUDA devices are visible here. "
                "Use --device cpu, or look at `pushforward doctor`."
            )
    return device


def device_of(fabric: "Fabric | None") -> torch.device:
    """The device that training uses: the Fabric's, or without one the CPU."""
    return torch.device("cpu") if fabric is None else fabric.device


def make_fabric(device: str = "auto", *, precision: str = "32-true") -> "Fabric":
    """A Fabric on one device, or on the ranks that `torchrun` started.

    Parameters
    ----------
    device : auto, cpu, cuda, or cuda:N.
    precision : Lightning's names: `32-true` (default), `bf16-mixed`, `64-true`.

    Examples
    --------
    >>> make_fabric("cpu").device.type
    'cpu'
    """
    from lightning_fabric import Fabric

    kind, _, number = resolve_device(device).partition(":")
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    devices: int | list[int] = [int(number)] if number else ranks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fabric's hints on unused SLURM variables and GPUs
        fabric = Fabric(accelerator=kind, devices=devices, precision=precision)  # type: ignore[arg-type]
        fabric.launch()
    return fabric
