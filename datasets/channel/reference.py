"""The Moser-Kim-Mansour statistics, read from the files of their data base."""

import os
import re
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pushforward.simulators.errors import DataError

__all__ = ["read_mkm_budget", "read_mkm_correlations", "read_mkm_profiles", "read_mkm_spectra"]

MEANS = ("y", "y+", "Umean", "dUmean/dy", "Wmean", "dWmean/dy", "Pmean")
BALANCE = ("y", "y+", "dissip", "produc", "p-strain", "p-diff", "t-diff", "v-diff", "bal")
PAIRS = ("uu", "vv", "ww", "pp")
STRESSES = ("y", "y+", "R_uu", "R_vv", "R_ww", "R_uv", "R_uw", "R_vw")


def read_mkm_profiles(folder: str | os.PathLike[str]) -> xr.Dataset:
    """Mean velocity and Reynolds stresses of one run, in wall units over the half channel.

    Parameters
    ----------
    folder : a run's folder, such as ``chan180``, that holds ``profiles/NAME.means`` and
        ``profiles/NAME.reystress``.

    Returns
    -------
    Dataset over `y` (h): `y_plus, u_plus, u_rms, v_rms, w_rms, uv_plus` (= -<u'v'>+),
    `viscous_plus` (dU+/dy+), `total_stress`; attribute `re_tau`. The names are those of
    `ChannelStatistics.profiles`.

    Raises
    ------
    DataError : a file is missing, or its columns are others than expected.

    Source: Moser, Kim, Mansour, Phys. Fluids 11, 1999.
    """
    folder = Path(folder)
    name = folder.name
    means, re_tau = _read(folder / "profiles" / f"{name}.means", MEANS)
    stress, _ = _read(folder / "profiles" / f"{name}.reystress", STRESSES)
    if means.shape[0] != stress.shape[0] or not np.allclose(means[:, 0], stress[:, 0]):
        raise DataError(f"{folder}: the two profile files do not share their points.")
    uv, viscous = -stress[:, 5], means[:, 3] / re_tau
    columns = {
        "y_plus": means[:, 1],
        "u_plus": means[:, 2],
        "u_rms": np.sqrt(stress[:, 2]),
        "v_rms": np.sqrt(stress[:, 3]),
        "w_rms": np.sqrt(stress[:, 4]),
        "uv_plus": uv,
        "viscous_plus": viscous,
        "total_stress": uv + viscous,
    }
    return xr.Dataset(
        {k: ("y", v) for k, v in columns.items()}, {"y": means[:, 0]}, {"re_tau": re_tau}
    )


def read_mkm_budget(folder: str | os.PathLike[str]) -> xr.Dataset:
    """The balance of turbulent energy of one run, in wall units (u_τ⁴/ν) over the half channel.

    Parameters
    ----------
    folder : a run's folder, such as ``chan180``, that holds ``balances/NAME.kbal``.

    Returns
    -------
    Dataset over `y` (h): `y_plus, production, dissipation, turbulent_transport,
    viscous_transport, pressure_transport` and `residual`, which is the pressure transport less
    what their balance leaves: what `EnergyBudget.profiles` calls so. Attribute `re_tau`.

    Raises
    ------
    DataError : the file is missing, or its columns are others than expected.
    """
    folder = Path(folder)
    table, re_tau = _read(folder / "balances" / f"{folder.name}.kbal", BALANCE)
    terms = {
        "y_plus": table[:, 1],
        "dissipation": table[:, 2],
        "production": table[:, 3],
        "pressure_transport": table[:, 5],
        "turbulent_transport": table[:, 6],
        "viscous_transport": table[:, 7],
        "residual": -table[:, [2, 3, 6, 7]].sum(1),
    }
    return xr.Dataset(
        {k: ("y", v) for k, v in terms.items()}, {"y": table[:, 0]}, {"re_tau": re_tau}
    )


def read_mkm_spectra(path: str | os.PathLike[str]) -> xr.Dataset:
    """One-dimensional spectra at one height: `E_uu, E_vv, E_ww, E_pp` over `k` (1/h).

    Folded to k >= 0, in wall units; the plain sum of a column is the variance. Attributes `re_tau`
    and `y_plus`.

    Raises
    ------
    DataError : no such file, or other columns.
    """
    path = Path(path)
    axis = "k_x" if ".xspec" in path.name else "k_z"
    table, re_tau = _read(path, (axis, *(f"E_{q}" for q in PAIRS)))
    columns = {f"E_{q}": ("k", table[:, i]) for i, q in enumerate(PAIRS, 1)}
    return xr.Dataset(columns, {"k": table[:, 0]}, {"re_tau": re_tau, "y_plus": _height(path)})


def read_mkm_correlations(path: str | os.PathLike[str]) -> xr.Dataset:
    """Two-point correlations at one height: `R_uu, R_vv, R_ww, R_pp` over the separation `r` (h).

    In wall units and not normalised: the first value is the variance. Attributes `re_tau` and
    `y_plus`.

    Raises
    ------
    DataError : no such file, or other columns.
    """
    path = Path(path)
    axis = "dx" if ".xcorr" in path.name else "dz"
    table, re_tau = _read(path, (axis, f"{axis}+", *(f"R_{q}" for q in PAIRS)))
    columns = {f"R_{q}": ("r", table[:, i]) for i, q in enumerate(PAIRS, 2)}
    return xr.Dataset(columns, {"r": table[:, 0]}, {"re_tau": re_tau, "y_plus": _height(path)})


def _height(path: Path) -> float:
    found = re.search(r"y\+\s*=\s*([0-9.]+)", path.read_text())
    return float(found.group(1)) if found else float("nan")


def _read(path: Path, wanted: tuple[str, ...]) -> tuple[NDArray[np.float64], float]:
    """The table of a file and its Re_τ, after its header was found to name the wanted columns."""
    if not path.is_file():
        raise DataError(f"no such file: {path}. A run's folder holds profiles/ and spectra/.")
    header = [line for line in path.read_text().splitlines() if line.startswith(("#", "%"))]
    names = next((h.lstrip("#% ").split() for h in reversed(header) if wanted[-1] in h), [])
    if tuple(names) != wanted:
        raise DataError(f"{path} has columns {names}; expected {list(wanted)}.")
    # The title of the cited paper contains a Re_tau too: only `Re = ` with the blanks is the run's.
    re_tau = next((m for h in header if (m := re.search(r"Re(?:_tau)? = ([0-9.]+)", h))), None)
    if re_tau is None:
        raise DataError(f"{path} does not say its Re_tau in the header.")
    table = np.loadtxt(path, comments=["#", "%"], ndmin=2)
    if table.shape[1] != len(wanted) or not np.isfinite(table).all():
        raise DataError(f"{path}: {table.shape[1]} columns of numbers, expected {len(wanted)}.")
    return table, float(re_tau.group(1))
