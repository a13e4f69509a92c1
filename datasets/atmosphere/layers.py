"""Aggregation of model layers into fewer ones, air and tracer conserved."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from pushforward.simulators.errors import DataError

__all__ = ["aggregate_layers"]


def aggregate_layers(
    blocks: Mapping[str, Float[np.ndarray, "time level lat lon"]], groups: Sequence[Sequence[int]]
) -> dict[str, Float[np.ndarray, "time group lat lon"]]:
    """Join neighbouring layers.

    Air mass adds up. `co2massmix` is weighted with air mass, so that CO2 adds up. Lower edges come
    from the lowest member, upper edges from the highest. All else is weighted with the thickness
    p_bottom − p_top.

    Parameters
    ----------
    blocks : by variable, layers from the surface up; `airmass`, `p_bottom` and `p_top` among them.
    groups : which layers each new one takes in, such as `LAYERS["l10"]`.

    Raises
    ------
    DataError : groups that leave out, repeat or reorder a layer.
    """
    first = next(iter(blocks.values()))
    flat = [k for group in groups for k in group]
    if flat != list(range(first.shape[1])):
        raise DataError(
            f"the groups {[list(g) for g in groups]} do not take in each of the "
            f"{first.shape[1]} layers once, in order."
        )
    air = blocks["airmass"].astype(np.float64)
    thickness = (blocks["p_bottom"] - blocks["p_top"]).astype(np.float64)
    out: dict[str, np.ndarray] = {}
    for name, block in blocks.items():
        parts = []
        for group in map(list, groups):
            if name == "airmass":
                parts.append(air[:, group].sum(1))
            elif name.endswith("_bottom"):
                parts.append(block[:, group[0]])
            elif name.endswith("_top"):
                parts.append(block[:, group[-1]])
            else:
                weight = air if name == "co2massmix" else thickness
                total = weight[:, group].sum(1)
                parts.append((block[:, group] * weight[:, group]).sum(1) / total)
        out[name] = np.stack(parts, 1)
    return out
