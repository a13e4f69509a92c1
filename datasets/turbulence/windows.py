"""Windows of consecutive frames: what a model is given, and what it is to forecast."""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import downsample_velocity

__all__ = ["TurbulenceWindows", "velocity_tensor"]


class TurbulenceWindows(torch.utils.data.Dataset):
    """Every run of `history` + `horizon` frames of a data set, read when it is asked for.

    A map-style data set for `torch.utils.data.DataLoader`: entry i is the pair (given, wanted) of
    velocities (frames, 2, x, y), u on right faces and v on upper ones. Windows of one flow follow
    each other frame by frame, then come those of the next flow.

    Parameters
    ----------
    dataset : from `open_turbulence`.
    history : frames a model is given.
    horizon : frames it is to forecast.
    every : frames between two of a window; 1 takes them all.
    factor : down-samples further, by face means.
    dtype : of the tensors.

    Raises
    ------
    DataError : fewer frames than a window; a factor that does not divide the grid; on reading,
        values that are not finite, with flow and time.

    Examples
    --------
    >>> from pushforward.datasets.turbulence import TurbulenceSimulation, simulate_turbulence
    >>> from pushforward.datasets import open_turbulence
    >>> simulation = TurbulenceSimulation(
    ...     cells=[16], factors=[2], flows=3, spin_up_cells=0, spin_up=0.0, settle=0.0,
    ...     frame_spacing=0.05, time=0.5,
    ... )
    >>> (path,) = simulate_turbulence(simulation, "flows.nc")
    >>> windows = TurbulenceWindows(open_turbulence(path), history=2, horizon=4)
    >>> len(windows), [tuple(part.shape) for part in windows[0]]  # 3 flows x (11 - 6 + 1)
    (18, [(2, 2, 8, 8), (4, 2, 8, 8)])
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        *,
        history: int,
        horizon: int,
        every: int = 1,
        factor: int = 1,
        dtype: torch.dtype = torch.float32,
    ):
        for name, value, least in (("history", history, 1), ("horizon", horizon, 0)):
            if value < least:
                raise DataError(f"{name} = {value} must be at least {least}.")
        if every < 1:
            raise DataError(f"every = {every} must be at least 1.")
        self.dataset, self.history, self.horizon = dataset, history, horizon
        self.every, self.factor, self.dtype = every, factor, dtype
        self.span = (history + horizon - 1) * every + 1
        self.starts = dataset.sizes["time"] - self.span + 1
        if self.starts < 1:
            raise DataError(
                f"a window of {history} + {horizon} frames, every {every}, spans {self.span}; the "
                f"data have {dataset.sizes['time']} frames. Simulate longer or forecast less."
            )
        nx, ny = dataset.sizes["x"], dataset.sizes["y"]
        downsample_velocity(torch.empty(2, nx, ny), factor)  # which refuses what does not divide

    def __len__(self) -> int:
        """Windows in all."""
        return self.dataset.sizes["sample"] * self.starts

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Given and wanted frames of a window, each (frames, 2, x, y)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        flow, start = divmod(int(index) % len(self), self.starts)
        part = self.dataset.isel(
            sample=slice(flow, flow + 1), time=slice(start, start + self.span, self.every)
        )
        (frames,) = downsample_velocity(velocity_tensor(part, dtype=self.dtype), self.factor)
        return frames[: self.history], frames[self.history :]


def velocity_tensor(
    dataset: xr.Dataset, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "sample time 2 x y"]:
    """Velocities of a data set, or of a part of it, read into memory.

    Raises
    ------
    DataError : values that are not finite, with the flow and the time of the first.

    Examples
    --------
    >>> import numpy as np
    >>> zeros = np.zeros((1, 2, 4, 4))
    >>> dims = {"u": ("sample", "time", "x_face", "y"), "v": ("sample", "time", "x", "y_face")}
    >>> dataset = xr.Dataset({name: (d, zeros) for name, d in dims.items()})
    >>> tuple(velocity_tensor(dataset).shape)
    (1, 2, 2, 4, 4)
    """
    parts = [
        dataset["u"].transpose("sample", "time", "x_face", "y").values,
        dataset["v"].transpose("sample", "time", "x", "y_face").values,
    ]
    for name, values in zip("uv", parts, strict=True):
        bad = ~np.isfinite(values).all((-2, -1))
        if bad.any():
            sample, frame = (int(i[0]) for i in np.nonzero(bad))
            raise DataError(
                f"{name} is not finite in flow {_label(dataset, 'sample', sample)} at time "
                f"{_label(dataset, 'time', frame)} ({int(bad.sum())} frames of this part in all). "
                "Leave the flow out from there on."
            )
    return torch.stack([torch.from_numpy(np.asarray(p)).to(dtype) for p in parts], 2)


def _label(dataset: xr.Dataset, name: str, index: int) -> str:
    known = name in dataset.coords
    return f"{dataset[name].values[index]:g}" if known else f"number {index}"
