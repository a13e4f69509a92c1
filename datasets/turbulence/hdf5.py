"""The temporal-stencil paper's HDF5 files as lazy arrays."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from pushforward.simulators.errors import DataError

__all__ = ["lazy_component", "series_of", "stored_attributes", "stored_grids"]

NAME = re.compile(r"(?:full_)?prefix_(\d+)x(\d+)")


def series_of(path: Path) -> list[Path]:
    """The files of a series: the file itself, or NAME-0000, NAME-0001, … in their order."""
    if path.exists():
        return [path]
    pattern = re.compile(re.escape(path.name) + r"-\d+$")
    folder = path.parent
    found = sorted(p for p in folder.glob(f"{path.name}-*") if pattern.fullmatch(p.name))
    return found if folder.is_dir() else []


def stored_grids(path: Path) -> list[tuple[int, int]]:
    """Grids in a file, the coarsest first; empty if it is of another layout."""
    import h5py

    with h5py.File(path, "r") as file:
        found = [NAME.fullmatch(name) for name in file]
    return sorted({(int(m[1]), int(m[2])) for m in found if m})


def stored_attributes(path: Path) -> dict[str, Any]:
    """Attributes of a file; the published ones have none, ours say grid, times and provenance."""
    import h5py

    with h5py.File(path, "r") as file:
        return {
            name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            for name, value in file.attrs.items()
        }


def lazy_component(paths: list[Path], name: str, component: int) -> xr.Variable:
    """One component (sample, time, x, y) of a data set over the files of a series, unread.

    Raises
    ------
    DataError : a file lacks the data set, or holds another shape than the first.
    """
    import h5py

    shape: tuple[int, ...] | None = None
    for path in paths:
        with h5py.File(path, "r") as file:
            if name not in file:
                raise DataError(f"{path} has no data set {name}; it holds {sorted(file)}.")
            found = file[name].shape
        if len(found) != 4 or found[0] != 2 or found[1] == 0:
            raise DataError(f"{name} of {path} has shape {found}; expected (2, time, x, y).")
        if shape is not None and found != shape:
            raise DataError(
                f"{name} has shape {found} in {path} and {shape} in {paths[0]}; the files are of "
                "different series, or one was cut off. Open them one by one."
            )
        shape = found
    array = _Series(paths, name, component, shape or ())
    return xr.Variable(("sample", "time", "x", "y"), indexing.LazilyIndexedArray(array))


class _Series(BackendArray):
    """A component of the files of a series, read where it is indexed."""

    def __init__(self, paths: list[Path], name: str, component: int, shape: tuple[int, ...]):
        self.paths, self.name, self.component = paths, name, component
        self.shape = (len(paths), *shape[1:])
        self.dtype = np.dtype("f8")

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        import h5py

        sample, *rest = key
        if isinstance(sample, slice):
            chosen = range(len(self.paths))[sample]
            parts = [self._read((i, *rest)) for i in chosen]
            nothing = np.empty((0, *self.shape[1:]), self.dtype)
            return np.stack(parts) if parts else nothing[(slice(None), *rest)]
        with h5py.File(self.paths[int(sample)], "r") as file:
            return np.asarray(file[self.name][(self.component, *rest)])
