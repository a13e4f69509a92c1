"""Speed of a forecast step: computing alone, with reading the inputs, with writing the result."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pushforward.datasets.atmosphere import CarbonData, CarbonWindow
from pushforward.surrogates.atmosphere import CarbonEmulator

__all__ = ["step_milliseconds"]


def step_milliseconds(
    model: CarbonEmulator, data: CarbonData, *, steps: int, repeats: int
) -> dict[str, float]:
    """Milliseconds a step of one forecast takes: the least of some repeats.

    `compute`: weather and air are in memory. `reading`: those of every step are read from the
    file. `writing`: read, and the result is appended to a netCDF file, layer by layer.

    Parameters
    ----------
    model : on its device.
    data : the file's; not from memory.
    steps, repeats : forward steps timed, and how often.
    """
    steps = min(steps, len(data) - 2)
    window = CarbonWindow.stack([data.window(0, steps)]).to(model.offset.device)
    parts = [window.part(t, 1) for t in range(steps)]

    def ready(t: int) -> CarbonWindow:
        return parts[t]

    def read(t: int) -> CarbonWindow:
        return CarbonWindow.stack([data.window(t, 1)]).to(model.offset.device)

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, source, path in (
            ("compute", ready, None),
            ("reading", read, None),
            ("writing", read, Path(folder) / "forecast.nc"),
        ):
            least = min(_march(model, source, steps, path) for _ in range(repeats))
            found[name] = 1e3 * least / steps
    return found


def _march(
    model: CarbonEmulator, source: Callable[[int], CarbonWindow], steps: int, path: Path | None
) -> float:
    """Seconds of so many single steps."""
    from netCDF4 import Dataset

    c = source(0).concentration[:, 0]
    on_gpu = c.device.type == "cuda"
    with torch.inference_mode():
        model(c, condition=source(0))
        if on_gpu:
            torch.cuda.synchronize()
        begun = time.perf_counter()
        file = None
        if path is not None:
            file = Dataset(path, "w")
            dims = ("time", "level", "lat", "lon")
            for name, size in zip(dims, (None, *c.shape[1:]), strict=True):
                file.createDimension(name, size)
            file.createVariable("co2massmix", "f4", dims)
        for t in range(steps):
            c = model(c, condition=source(t))
            if file is not None:
                file["co2massmix"][t] = c[0].cpu().numpy()
                file.sync()
        if file is not None:
            file.close()
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - begun
