"""Opening CO2 transport data, with every assumption checked and said."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from pushforward.datasets.atmosphere.coordinates import find_gaps, time_step_hours
from pushforward.datasets.atmosphere.data import CarbonData
from pushforward.datasets.atmosphere.store import CarbonStore, open_store
from pushforward.datasets.atmosphere.units import STANDARD_GRAVITY
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_carbon"]

log = logging.getLogger(__name__)


def open_carbon(
    path: "str | os.PathLike[str] | xr.Dataset",
    *,
    units: Mapping[str, str] | None = None,
    levels: int | None = None,
    gaps: Literal["refuse", "skip"] = "refuse",
) -> CarbonData:
    """Open CO2, air, weather and fluxes in CarbonBench's schema for training and scoring.

    The schema (`UNITS_3D`, `UNITS_2D`) may lie in CarbonBench's own layout (a zarr folder or
    `.zarr.zip` whose arrays `variables_3d` and `variables_2d` hold all variables by label), or as
    one array a variable in netCDF, HDF5 or zarr. Latitudes and layers may run either way,
    longitudes from 0 or −180, values may be packed, calendars may be any that CF knows.

    Parameters
    ----------
    path : the file, or an xarray.Dataset of such content.
    units : variable -> unit where the file states none or a wrong one. CarbonBench's own files
        state none; they are taken to be in the schema's units, and checked against each other.
    levels : how many layers there must be; None accepts what is there.
    gaps : `refuse` data with missing times, or `skip` windows that would cross a gap.

    Returns
    -------
    CarbonData; its fields are read when windows are.

    Raises
    ------
    DataError : no such file; a variable or a layer missing; units that do not match; missing,
        repeated or irregular times; air mass that is not positive or does not weigh what the
        pressures say; values that are not finite (when they are read). Each says the remedy.

    Examples
    --------
    >>> open_carbon("nowhere.zarr")
    Traceback (most recent call last):
    pushforward.simulators.errors.DataError: no such file or folder: nowhere.zarr. Check the path.
    """
    store = open_store(path, units=units)
    if levels is not None and len(store.axes.level) != levels:
        raise DataError(
            f"{store.where} has {len(store.axes.level)} layers; {levels} are expected. Aggregate "
            "the layers (pushforward.datasets.atmosphere.aggregate_layers), or change what is "
            "expected."
        )
    step, hours = time_step_hours(store.times, store.where)
    missing = find_gaps(store.times, hours, step)
    if missing:
        listed = "; ".join(f"{g.steps} after {g.after}" for g in missing[:5])
        text = (
            f"{store.where}: {sum(g.steps for g in missing)} times are missing in {len(missing)} "
            f"gaps ({listed}{', …' if len(missing) > 5 else ''})."
        )
        if gaps == "refuse":
            raise DataError(
                f"{text} Complete the data, or open with gaps='skip' to leave out windows that "
                "cross a gap."
            )
        log.warning("%s Windows that cross one are left out.", text)
    _check_first_time(store)
    return CarbonData(store, store.times, step, gaps=tuple(missing))


def _check_first_time(store: CarbonStore) -> None:
    """Layers must join, and air must weigh what its pressures say."""
    names = ["p_bottom", "p_top", "airmass", "cell_area", "co2massmix"]
    first = {k: v[0].astype(np.float64) for k, v in store.read(0, 1, names).items()}
    bottom, top = (first[k].mean((1, 2)) for k in ("p_bottom", "p_top"))
    apart = np.abs(top[:-1] - bottom[1:]) > 0.01 * bottom[:-1]
    if apart.any():
        k = int(np.argmax(apart))
        raise DataError(
            f"{store.where}: layer {k} ends at {top[k]:.4g} hPa and layer {k + 1} begins at "
            f"{bottom[k + 1]:.4g} hPa: a layer is missing between them, or they are not in order."
        )
    weight = (first["p_bottom"] - first["p_top"]) * 100 / STANDARD_GRAVITY * first["cell_area"]
    ratio = first["airmass"].sum() * 1e12 / weight.sum()
    if not 0.9 < ratio < 1.1:
        raise DataError(
            f"{store.where}: the air weighs {ratio:.4g} times what its pressures and areas say. "
            "The units of airmass, p_bottom, p_top or cell_area are not those of the schema (Pg, "
            "hPa, m2); say them: units={'airmass': 'kg'}, for instance."
        )
    mean = (first["co2massmix"] * first["airmass"]).sum() / first["airmass"].sum()
    if not 100 < mean < 3000:
        raise DataError(
            f"{store.where}: the mean mixing ratio is {mean:.4g}; expected a few hundred in 1e-6 "
            "kg CO2 per kg dry air (400 ppm is 607.75). Say its unit: units={'co2massmix': 'ppm'}."
        )
