"""Profiles of channel flow published by others than Moser, Kim and Mansour."""

import os
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pushforward.simulators.errors import DataError

__all__ = ["read_del_alamo_profiles", "read_filtered_profiles"]

# Of the columns of a .prof file those that are used, in their order; more follow.
COLUMNS = ("y/h", "y+", "U+", "u'+", "v'+", "w'+", "-Om_z+", "om_x'+", "om_y'+", "om_z'+", "uv'+")
FILTERED = ("y_plus", "u_plus", "u_rms", "v_rms", "w_rms")


def read_del_alamo_profiles(path: str | os.PathLike[str]) -> xr.Dataset:
    """Mean velocity and Reynolds stresses of del Álamo, Jiménez, Zandonade, Moser and Hoyas.

    Parameters
    ----------
    path : a file such as ``Re550.prof``. A ``.std`` file of the same name beside it gives the
        standard deviations of the profiles, which become `*_error`.

    Returns
    -------
    Dataset over `y` (h): `y_plus, u_plus, u_rms, v_rms, w_rms, uv_plus` (= -<u'v'>+),
    `viscous_plus` (dU+/dy+), `total_stress`, named as `ChannelStatistics.profiles` does; attribute
    `re_tau`, which is y+ over y/h: the header's round number differs by up to 4 %.

    Raises
    ------
    DataError : no such file, other columns, or values that are not finite.

    Sources: del Álamo, Jiménez, Zandonade, Moser, J. Fluid Mech. 500, 2004; Hoyas, Jiménez, Phys.
    Fluids 18, 2006.
    """
    path = Path(path)
    table = _table(path)
    out = _profiles(table)
    spread = path.with_suffix(".std")
    if spread.is_file():
        errors = _table(spread)
        if errors.shape != table.shape or not np.array_equal(errors[:, 0], table[:, 0]):
            raise DataError(f"{spread} and {path} do not share their points.")
        scatter = {k: abs(v) for k, v in _profiles(errors).items() if k != "total_stress"}
        out |= {f"{k}_error": v for k, v in scatter.items()}
    out["y_plus"] = table[:, 1]
    return xr.Dataset(
        {k: ("y", v) for k, v in out.items()},
        {"y": table[:, 0]},
        {"re_tau": float(table[-1, 1] / table[-1, 0])},
    )


def read_filtered_profiles(path: str | os.PathLike[str]) -> xr.Dataset:
    """Profiles of filtered, coarsened flow as the IUFNO and IFactFormer-m papers compare them.

    Parameters
    ----------
    path : a table without a header: y+, <u>+, u', v', w' (root mean squares, wall units), from the
        wall to the centre.

    Returns
    -------
    Dataset over `y_plus`: `u_plus, u_rms, v_rms, w_rms`.

    Raises
    ------
    DataError : no such file, other than five columns, y+ that do not rise from 0.

    Source: Wang et al., Phys. Rev. Fluids 9, 084604, 2024.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "fdns.txt"
    >>> _ = path.write_text("0 0 0 0 0\\n5 4.9 1.2 0.1 0.4\\n")
    >>> float(read_filtered_profiles(path)["u_plus"][1])
    4.9
    """
    path = Path(path)
    table = _numbers(path, path)
    if table.shape[1] != len(FILTERED):
        raise DataError(
            f"{path} has {table.shape[1]} columns; expected {len(FILTERED)}: {', '.join(FILTERED)}."
        )
    height = table[:, 0]
    if height[0] != 0 or not (np.diff(height) > 0).all():
        raise DataError(f"{path}: the first column is y+, which rises from 0 at the wall.")
    columns = {name: ("y_plus", table[:, i]) for i, name in enumerate(FILTERED[1:], 1)}
    return xr.Dataset(columns, {"y_plus": height})


def _profiles(table: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    of = {name: table[:, i] for i, name in enumerate(COLUMNS)}
    return {
        "u_plus": of["U+"],
        "u_rms": of["u'+"],
        "v_rms": of["v'+"],
        "w_rms": of["w'+"],
        "uv_plus": -of["uv'+"],
        "viscous_plus": of["-Om_z+"],
        "total_stress": -of["uv'+"] + of["-Om_z+"],
    }


def _table(path: Path) -> NDArray[np.float64]:
    """The numbers of a .prof or .std file whose header names the wanted columns."""
    if not path.is_file():
        raise DataError(f"no such file: {path}. It is named like Re550.prof.")
    lines = path.read_text(encoding="latin-1").splitlines()
    names = next((h.lstrip("%# ").split() for h in lines if "y/h" in h), [])
    if tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise DataError(f"{path} has columns {names}; expected {list(COLUMNS)} first.")
    # One of the files has a warning among its comments, without their sign.
    rows = [line for line in lines if line.strip() and line.lstrip()[0] in "0123456789.+-"]
    table = _numbers(path, rows)
    if table.shape[1] != len(names):
        raise DataError(f"{path}: {table.shape[1]} columns of numbers, expected {len(names)}.")
    return table


def _numbers(path: Path, rows: list[str] | Path) -> NDArray[np.float64]:
    if not path.is_file():
        raise DataError(f"no such file: {path}.")
    try:
        table = np.loadtxt(rows, comments=["#", "%"], ndmin=2)
    except ValueError as error:
        raise DataError(f"{path} is no table of numbers: {error}.") from error
    if table.size == 0 or not np.isfinite(table).all():
        raise DataError(f"{path} holds no numbers, or some that are not finite.")
    return table
