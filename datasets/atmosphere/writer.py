"""Writing CO2 transport data in CarbonBench's schema: its own zarr layout, or CF netCDF."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.datasets.atmosphere.variables import UNITS_2D, UNITS_3D
from pushforward.simulators.errors import DataError
from pushforward.simulators.files import atomic_path
from pushforward.simulators.provenance import provenance

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["make_dataset", "write_carbon"]

CHUNK_BYTES = 10_000_000
STANDARD_NAMES = {"lat": "latitude", "lon": "longitude", "time": "time"}
COORDINATE_ATTRIBUTES: dict[str, dict[str, str]] = {
    "lat": {"units": "degrees_north", "axis": "Y"},
    "lon": {"units": "degrees_east", "axis": "X"},
    "level": {"units": "hPa", "axis": "Z", "positive": "down", "long_name": "nominal pressure"},
    "time": {"axis": "T"},
}


def make_dataset(
    blocks: dict[str, np.ndarray],
    *,
    time: np.ndarray,
    level: np.ndarray,
    lat: np.ndarray,
    lon: np.ndarray,
) -> "xr.Dataset":
    """A data set of one array a variable with CF attributes, from canonical blocks."""
    import xarray as xr

    arrays: dict[str, Any] = {}
    for name, block in blocks.items():
        dims = ("time", "level", "lat", "lon") if name in UNITS_3D else ("time", "lat", "lon")
        units = {**UNITS_3D, **UNITS_2D}[name]
        arrays[name] = (dims, np.asarray(block, dtype=np.float32), {"units": units})
    coordinates = {"time": time, "level": level, "lat": lat, "lon": lon}
    dataset = xr.Dataset(arrays, coordinates, {"Conventions": "CF-1.11", **provenance()})
    for name, attributes in COORDINATE_ATTRIBUTES.items():
        standard = {"standard_name": STANDARD_NAMES[name]} if name in STANDARD_NAMES else {}
        dataset[name].attrs.update({**standard, **attributes})
    return dataset


def write_carbon(dataset: "xr.Dataset", path: str | os.PathLike[str]) -> Path:
    """Write a data set of one array a variable, whole or not at all.

    `.nc` becomes compressed CF netCDF-4; `.zarr` and `.zarr.zip` become CarbonBench's layout, with
    all variables of a kind in one array under string labels and about 10 MB a chunk.

    Raises
    ------
    DataError : another suffix, a variable of the schema missing, or a folder already there.
    """
    path = Path(path)
    missing = [n for n in (*UNITS_3D, *UNITS_2D) if n not in dataset]
    if missing:
        raise DataError(f"the data set lacks {', '.join(missing)}; {path} was not written.")
    if path.suffix == ".nc":
        encoding = {n: {"zlib": True, "complevel": 1} for n in (*UNITS_3D, *UNITS_2D)}
        with atomic_path(path) as temporary:
            dataset.to_netcdf(temporary, encoding=encoding)
        return path
    if path.suffix not in (".zarr", ".zip"):
        raise DataError(f"{path} must end in .nc, .zarr or .zarr.zip.")
    if path.is_dir():
        raise DataError(f"{path} is already there. Remove it or choose another name.")
    _write_zarr(labelled(dataset), path)
    return path


def labelled(dataset: "xr.Dataset") -> "xr.Dataset":
    """The same in CarbonBench's layout; units are noted beside the arrays."""
    import xarray as xr

    arrays = {}
    for group, name, label, dims in (
        (UNITS_3D, "variables_3d", "vari_3d", ("level", "lat", "lon")),
        (UNITS_2D, "variables_2d", "vari_2d", ("lat", "lon")),
    ):
        parts = [dataset[v].transpose("time", *dims).values for v in group]
        units = {v: str(dataset[v].attrs.get("units", group[v])) for v in group}
        stacked = np.stack(parts, axis=1).astype(np.float32)
        arrays[name] = (("time", label, *dims), stacked, {"label_units": json.dumps(units)})
    coordinates = {k: dataset[k] for k in ("time", "level", "lat", "lon")}
    labels = {"vari_3d": list(UNITS_3D), "vari_2d": list(UNITS_2D)}
    return xr.Dataset(arrays, {**coordinates, **labels}, dataset.attrs)


def _write_zarr(dataset: "xr.Dataset", path: Path) -> None:
    encoding = {}
    for name in ("variables_3d", "variables_2d"):
        array = dataset[name]
        steps = max(1, min(len(array), CHUNK_BYTES // (4 * array[0].size)))
        encoding[name] = {"chunks": (steps, *array.shape[1:])}
    options: dict[str, Any] = {"encoding": encoding, "zarr_format": 2, "consolidated": True}
    with atomic_path(path) as temporary:
        if path.suffix == ".zarr":
            temporary.unlink()
            dataset.to_zarr(temporary, mode="w", **options)
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".zarr-") as folder:
            dataset.to_zarr(folder, mode="w", **options)
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for file in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
                    archive.write(file, file.relative_to(folder).as_posix())
