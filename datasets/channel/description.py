"""A channel data set in a few words and numbers."""

import os
from typing import Any

from pushforward.datasets.channel.reader import open_channel

__all__ = ["describe_channel"]

SHOWN = ("forcing", "U_b", "dns_points", "dt_dns", "stride", "filter", "seed", "source", "history")


def describe_channel(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of either layout holds.

    Raises
    ------
    DataError : as `open_channel`.

    Examples
    --------
    >>> import numpy as np
    >>> np.save("Retau180.npy", np.zeros((2, 3, 32, 33, 16, 4), np.float32))
    >>> describe_channel("Retau180.npy")["points x, y, z"]
    '32 x 33 x 16'
    """
    data = open_channel(path)
    last = data.velocity(0, data.frames - 1)[0].double()
    about = {k: data.attributes[k] for k in SHOWN if k in data.attributes}
    return {
        "kind": "channel flow",
        "runs": len(data),
        "frames": data.frames,
        "points x, y, z": " x ".join(map(str, data.shape)),
        "box": " x ".join(f"{s:.6g}" for s in data.lengths),
        "time between frames": f"{data.time_step:.6g} h/U, "
        f"{data.time_step / data.friction_time:.4g} h/u_tau",
        "length of a run": f"{float(data.time[-1]) / data.friction_time:.4g} h/u_tau",
        "viscosity": data.viscosity,
        "Re_tau": round(data.friction_reynolds, 3),
        "first plane in wall units": round(float(data.y[1]) * data.friction_reynolds, 3),
        "mean of u, v, w, last frame of run 0": [
            float(f"{v:.4g}") for v in last.mean((-1, -2, -3))
        ],
    } | {k: v.tolist() if hasattr(v, "tolist") else v for k, v in about.items()}
