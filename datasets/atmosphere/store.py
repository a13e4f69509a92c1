"""Files of a CO2 transport data set behind one door: blocks of times in canonical order."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.datasets.atmosphere.coordinates import Axes, find_name, read_axes
from pushforward.datasets.atmosphere.units import conversion
from pushforward.datasets.atmosphere.variables import UNITS_2D, UNITS_3D
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CarbonStore", "open_store"]

LABELLED = {"variables_3d": "vari_3d", "variables_2d": "vari_2d"}


@dataclass(frozen=True)
class CarbonStore:
    """An opened data set; nothing of its fields is read yet.

    Parameters
    ----------
    dataset : as in the file, packed values decoded.
    where : names it in messages.
    labelled : CarbonBench's layout (all variables in two arrays with string labels), else one
        array a variable.
    axes : canonical order.
    factors : variable -> factor to the canonical unit.
    """

    dataset: "xr.Dataset"
    where: str
    labelled: bool
    axes: Axes
    factors: dict[str, float]

    @property
    def times(self) -> np.ndarray:
        """datetime64, or cftime dates in other calendars."""
        return self.dataset[find_name("time", self.dataset)].values

    def read(
        self, start: int, stop: int, names: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """float32 blocks (time, [level,] lat, lon) by variable, in canonical order and units.

        Raises
        ------
        DataError : a value that is not finite, with its variable, time and place.
        """
        wanted = [*UNITS_3D, *UNITS_2D] if names is None else list(names)
        blocks: dict[str, np.ndarray] = {}
        for array, label in LABELLED.items():
            inside = [n for n in wanted if n in (UNITS_3D if label == "vari_3d" else UNITS_2D)]
            if not inside:
                continue
            if self.labelled:
                values = self.dataset[array].isel(time=slice(start, stop)).values
                labels = [str(v) for v in self.dataset[label].values]
                parts = {n: values[:, labels.index(n)] for n in inside}
            else:
                parts = {n: self._plain(n, start, stop) for n in inside}
            for name, part in parts.items():
                block = self.axes.arranged(part, levels=label == "vari_3d")
                block = (block * self.factors[name]).astype(np.float32)
                self._check(name, block, start)
                blocks[name] = block
        return blocks

    def _plain(self, name: str, start: int, stop: int) -> np.ndarray:
        variable = self.dataset[name]
        order = [find_name(k, self.dataset) for k in ("time", "level", "lat", "lon")]
        dims = [d for d in order if d in variable.dims]
        if order[0] not in variable.dims:
            values = variable.transpose(*dims).values
            return np.broadcast_to(values, (stop - start, *values.shape))
        return variable.isel({order[0]: slice(start, stop)}).transpose(*dims).values

    def _check(self, name: str, block: np.ndarray, start: int) -> None:
        bad = ~np.isfinite(block)
        if name == "airmass":
            bad |= ~(block > 0)
        if not bad.any():
            return
        place = [int(i) for i in np.argwhere(bad)[0]]
        value = block[tuple(place)]
        what = "is not finite" if not np.isfinite(value) else "must be positive"
        lat, lon = self.axes.lat[place[-2]], self.axes.lon[place[-1]]
        level = f", layer {place[1]}" if len(place) == 4 else ""
        raise DataError(
            f"{self.where}: {name} = {value} {what} at {self.times[start + place[0]]}{level}, "
            f"latitude {lat:.4g}, longitude {lon:.4g} ({int(bad.sum())} such values in the block "
            "read). Mend or cut out these times."
        )


def open_store(
    path: "str | os.PathLike[str] | xr.Dataset", *, units: Mapping[str, str] | None = None
) -> CarbonStore:
    """Open a zarr folder, a zipped zarr, a netCDF or HDF5 file, or a data set in memory.

    Parameters
    ----------
    path : the file.
    units : variable -> its unit where the file says none or a wrong one.

    Raises
    ------
    DataError : no such file, unreadable, a variable or level missing, units that do not match.
    """
    import xarray as xr

    dataset = path if isinstance(path, xr.Dataset) else _opened(Path(path))
    where = "the data set" if isinstance(path, xr.Dataset) else str(path)
    labelled = "variables_3d" in dataset
    _check_present(dataset, labelled, where)
    axes_names = {k: find_name(k, dataset) for k in ("time", "level", "lat", "lon")}
    missing = [k for k, v in axes_names.items() if v is None]
    if missing:
        raise DataError(
            f"{where} has no axis {', '.join(missing)}; found {', '.join(map(str, dataset.dims))}."
        )
    factors = _factors(dataset, labelled, dict(units or {}), where)
    coordinates = {k: _coordinate(dataset, axes_names[k]) for k in ("lat", "lon", "level")}
    bottom = _bottom_pressure(dataset, labelled, axes_names)
    axes = read_axes(coordinates, where=where, bottom_pressure=bottom)
    return CarbonStore(dataset, where, labelled, axes, factors)


def _opened(path: Path) -> "xr.Dataset":
    import xarray as xr

    if not path.exists():
        raise DataError(f"no such file or folder: {path}. Check the path.")
    try:
        if path.is_dir() or path.suffix == ".zip":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # slower opening where metadata lie apart
                return xr.open_zarr(_zarr_store(path), chunks=None)
        return xr.open_dataset(path)
    except Exception as error:
        # xarray, zarr, netCDF4 and h5py raise many kinds; all mean the same to the user.
        raise DataError(
            f"{path} cannot be read as zarr, netCDF or HDF5 ({type(error).__name__}: {error})."
        ) from error


def _zarr_store(path: Path) -> Any:
    if path.is_dir():
        return path
    from zarr.storage import ZipStore

    return ZipStore(path, mode="r")


def _coordinate(dataset: "xr.Dataset", name: str | None) -> np.ndarray:
    if name in dataset.variables:
        return np.asarray(dataset[name].values)
    return np.arange(dataset.sizes[name])


def _check_present(dataset: "xr.Dataset", labelled: bool, where: str) -> None:
    if labelled:
        there: set[str] = set()
        for array, label in LABELLED.items():
            if array not in dataset or label not in dataset.variables:
                raise DataError(f"{where} has no {array} with labels {label!r}.")
            there |= {str(v) for v in dataset[label].values}
    else:
        there = {str(v) for v in dataset.variables}
    missing = [n for n in (*UNITS_3D, *UNITS_2D) if n not in there]
    if missing:
        raise DataError(
            f"{where} lacks {', '.join(missing)}; a data set in CarbonBench's schema holds "
            f"{', '.join((*UNITS_3D, *UNITS_2D))}. Found: {', '.join(sorted(there)[:40])}."
        )


def _factors(
    dataset: "xr.Dataset", labelled: bool, given: dict[str, str], where: str
) -> dict[str, float]:
    unknown = set(given) - {*UNITS_3D, *UNITS_2D}
    if unknown:
        raise DataError(f"units are given for unknown variables: {', '.join(sorted(unknown))}.")
    factors = {}
    for group, array in ((UNITS_3D, "variables_3d"), (UNITS_2D, "variables_2d")):
        stated = _label_units(dataset[array].attrs.get("label_units")) if labelled else {}
        for name, wanted in group.items():
            found = given.get(name)
            if found is None and labelled:
                # CarbonBench's own files state no units; the schema is their unit.
                found = stated.get(name, wanted)
            if found is None:
                found = dataset[name].attrs.get("units")
            if found is None:
                raise DataError(
                    f"{where}: {name} has no units attribute; expected {wanted!r} or what converts "
                    f"to it. Say what it is: units={{{name!r}: '...'}}."
                )
            try:
                factors[name] = conversion(name, str(found), wanted)
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
    return factors


def _label_units(stated: Any) -> dict[str, str]:
    if isinstance(stated, str):
        try:
            stated = json.loads(stated)
        except json.JSONDecodeError:
            return {}
    return dict(stated) if isinstance(stated, Mapping) else {}


def _bottom_pressure(
    dataset: "xr.Dataset", labelled: bool, names: dict[str, str | None]
) -> np.ndarray:
    """Mean pressure of the layers' lower edges at the first time."""
    if labelled:
        labels = [str(v) for v in dataset["vari_3d"].values]
        first = dataset["variables_3d"].isel(time=0, vari_3d=labels.index("p_bottom"))
    else:
        first = dataset["p_bottom"]
        if names["time"] in first.dims:
            first = first.isel({names["time"]: 0})
    return first.mean([d for d in first.dims if d != names["level"]]).values
