"""Opening perturbed cells from h5ad files, with every assumption checked and said."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pushforward.datasets.cells.data import (
    CellData,
    Measure,
    check_gene_names,
    duplicates,
    shown,
)
from pushforward.datasets.cells.storage import RowStore
from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["open_cells", "read_h5ad"]

log = logging.getLogger(__name__)

BACKED_FROM_BYTES = 1 << 30  # files from 1 GiB on stay on disk; smaller ones are faster in memory


def open_cells(
    path: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | AnnData",
    *,
    population_key: str = "patient_id",
    condition_key: str = "condition",
    control: str = "ctrl",
    backed: Literal["auto"] | bool = "auto",
    controls_only: bool = False,
) -> CellData:
    """Open control and treated cells for training and scoring.

    Parameters
    ----------
    path : an h5ad file, several with the same genes, or an AnnData already in memory.
    population_key : column of `obs` that names the population (patient, donor, culture).
    condition_key : column of `obs` that names the condition.
    control : the label in that column which means untreated.
    backed : leave X on disk; `"auto"` does so from 1 GiB on. Several files are read into memory.
    controls_only : accept cells none of which is treated, as those to be predicted.

    Returns
    -------
    CellData, whose `measure` says what X was found to hold: counts (whole numbers),
    log-normalised, normalised but not logged (largest value above 50), or scaled (negative
    values). Counts are normalised on reading.

    Raises
    ------
    DataError : no such file; not an h5ad file; a missing `obs` column; no cell with the control
        label; unlabelled cells; a population with a single cell in a condition; NaN or infinity
        in X; duplicate cell or gene names; files whose genes differ. Each says what was found and
        what to do.

    Examples
    --------
    >>> from pushforward.simulators.cells import PerturbedPopulations
    >>> cells = PerturbedPopulations(n_populations=2, n_cells=30).simulate(seed=0)
    >>> cells.write_h5ad("cells.h5ad")
    >>> open_cells("cells.h5ad").populations
    ['P00', 'P01']
    """
    import anndata

    if isinstance(path, anndata.AnnData):
        adata, source = path, "memory"
        paths: list[Path] = []
    else:
        names = [path] if isinstance(path, str | os.PathLike) else list(path)
        if not names:
            raise DataError("no file given; pass the path of an h5ad file.")
        paths = [Path(p) for p in names]
        adata = _read_several(paths) if len(paths) > 1 else read_h5ad(paths[0], backed=backed)
        source = ", ".join(p.name for p in paths)
    where = ", ".join(map(str, paths)) or "the AnnData"
    _check_labels(adata, where, population_key, condition_key, control, controls_only)
    check_gene_names([str(g) for g in adata.var_names], where)
    measure = measure_of(adata, where)
    data = CellData(adata, population_key, condition_key, control, measure, source)
    _check_group_sizes(data, where)
    if data.store.backed and data.store.layout == "csc":
        log.warning(
            "%s holds X by genes (CSC) and stays on disk: every block of cells costs a pass over "
            "the file. Convert it once: pushforward.datasets.cells.write_csr(path, out)",
            where,
        )
    log.info("%s: X holds %s values%s", where, measure, _NOTES.get(measure, ""))
    return data


_NOTES = {
    "counts": "; they are normalised to 10,000 a cell and logged on reading",
    "normalised": " (not logged: the largest value exceeds 50); they are used as they are",
    "scaled": " (some are negative); they are used as they are",
}


def read_h5ad(path: Path, *, backed: Literal["auto"] | bool = "auto") -> "AnnData":
    """Read one h5ad file, or open it on disk, with errors that say what is wrong."""
    import anndata
    import h5py

    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.h5ad")) if path.parent.is_dir() else []
        found = f"h5ad files there: {shown(near)}" if near else "no h5ad file is there"
        raise DataError(f"no such file: {path} ({found}). Check the path.")
    if path.is_dir() or not h5py.is_hdf5(path):
        raise DataError(
            f"{path} is not an HDF5 file, so not an h5ad. Write one with "
            "anndata.AnnData(X, obs=obs, var=var).write_h5ad(path)."
        )
    try:
        on_disk = path.stat().st_size >= BACKED_FROM_BYTES if backed == "auto" else backed
        adata = anndata.read_h5ad(path, backed="r" if on_disk else None)
    except Exception as error:
        # anndata raises many kinds for files of other layouts; all mean the same to the user.
        raise DataError(
            f"{path} is HDF5 but cannot be read as AnnData ({type(error).__name__}: {error}). "
            "Open it with h5py to see what it holds, or convert it with anndata."
        ) from error
    if adata.X is None or not len(adata.obs) or not len(adata.var):
        raise DataError(f"{path} holds {adata.n_obs} cells x {adata.n_vars} genes; X is empty.")
    return adata


def _read_several(paths: Sequence[Path]) -> "AnnData":
    import anndata

    parts = [read_h5ad(p, backed=False) for p in paths]
    first = {str(g) for g in parts[0].var_names}
    for path, part in zip(paths, parts, strict=True):
        check_gene_names([str(g) for g in part.var_names], str(path))
        other = {str(g) for g in part.var_names}
        if other != first:
            missing, extra = sorted(first - other), sorted(other - first)
            raise DataError(
                f"genes differ between files: {path} lacks {len(missing)} genes of {paths[0]} "
                f"({shown(missing, 5)}) and has {len(extra)} others ({shown(extra, 5)}). "
                "Restrict all files to their common genes first."
            )
    order = parts[0].var_names
    return anndata.concat([part[:, order] for part in parts], merge="first")


def _check_labels(
    adata: "AnnData", where: str, population: str, condition: str, ctrl: str, controls_only: bool
) -> None:
    if not adata.obs_names.is_unique:
        twice = duplicates([str(n) for n in adata.obs_names])
        raise DataError(
            f"{where}: {len(twice)} cell names occur more than once ({shown(twice, 5)}). "
            "Run adata.obs_names_make_unique(), or drop the repeated cells, and write it again."
        )
    for option, key in (("population_key", population), ("condition_key", condition)):
        if key not in adata.obs:
            raise DataError(
                f"{where} has no obs column {key!r} ({option}). "
                f"Columns present: {shown(list(adata.obs.columns), 40)}."
            )
        unlabelled = int(adata.obs[key].isna().sum())
        if unlabelled:
            raise DataError(
                f"{where}: {unlabelled} of {adata.n_obs} cells have no label in obs column "
                f"{key!r}. Label or remove them."
            )
    labels = sorted({str(label) for label in adata.obs[condition].unique()})
    if ctrl not in labels:
        raise DataError(
            f"{where}: no cell is labelled {ctrl!r} (control) in obs column {condition!r}. "
            f"Labels present: {shown(labels, 40)}."
        )
    if len(labels) < 2 and not controls_only:
        raise DataError(f"{where}: every cell is labelled {ctrl!r}; there is no treated cell.")


def _check_group_sizes(data: CellData, where: str) -> None:
    for population in data.populations:
        for condition in data.conditions:
            rows = data.rows(population, condition)
            if len(rows) == 1:
                raise DataError(
                    f"{where}: population {population!r} has only 1 cell in condition "
                    f"{condition!r}; a distribution needs at least 2. Remove that cell or "
                    "merge the population with another."
                )
        if not len(data.rows(population, data.control)):
            log.warning("%s: population %r has no control cell", where, population)


def measure_of(adata: "AnnData", where: str) -> Measure:
    """Look at all of X once, as it is stored: refuse NaN and infinity, say what the values are."""
    lowest, highest, whole = np.inf, -np.inf, True
    bad_total, places = 0, []
    for first_row, first_column, block in RowStore.of(adata).value_blocks():
        values = block.data if hasattr(block, "indptr") else block
        finite = np.isfinite(values)
        if not finite.all():
            entries = block.tocoo() if hasattr(block, "indptr") else None
            row, column = np.nonzero(~finite) if entries is None else (entries.row, entries.col)
            if entries is not None:
                bad = ~np.isfinite(entries.data)
                row, column = row[bad], column[bad]
            bad_total += len(row)
            places += [
                f"cell {adata.obs_names[i]!r}, gene {adata.var_names[j]!r}"
                for i, j in zip(first_row + row[:3], first_column + column[:3], strict=True)
            ]
        elif values.size:
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
            whole = whole and bool((values == np.round(values)).all())
    if bad_total:
        raise DataError(
            f"{where}: X holds {bad_total} values that are NaN or infinite, the first at "
            f"{'; '.join(places[:3])}. Replace or remove them."
        )
    if not np.isfinite(lowest):
        return "counts"  # a sparse X without a single stored value: all zero
    if lowest < 0:
        return "scaled"
    if whole:
        return "counts"
    return "log-normalised" if highest <= 50 else "normalised"
