"""What a file holds, and what this machine offers."""

import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pushforward import __version__
from pushforward.benchmarks.result import Result
from pushforward.datasets.cells.reader import measure_of, read_h5ad
from pushforward.datasets.channel import describe_channel
from pushforward.datasets.turbulence import describe_turbulence, turbulence_layout
from pushforward.simulators.errors import DataError
from pushforward.simulators.provenance import library_versions
from pushforward.surrogates.training import load_checkpoint

__all__ = ["inspect_file", "machine_report"]

MOST_LABELS = 12


def inspect_file(path: Path) -> dict[str, Any]:
    """Describe an h5ad, a results file, a netCDF, turbulence, weights, a checkpoint, or a model
    folder.

    Raises
    ------
    DataError : no such file, or a kind of file that is not known (lists the kinds).
    """
    if path.is_dir():
        if (path / "model.json").is_file():
            description = json.loads((path / "model.json").read_text(encoding="utf-8"))
            return {"kind": "saved model", **description}
        raise DataError(f"{path} is a folder without model.json; give a file or a model folder.")
    if path.suffix.startswith(".hdf5"):  # .hdf5-0003, or the name of a series without numbers
        return describe_turbulence(path)
    if path.suffix == ".h5ad" or not path.exists():
        return _h5ad(path)
    if path.suffix == ".json":
        result = Result.read(path)
        return {
            "kind": "result",
            "task": result.task,
            "model": result.model,
            "split": result.split,
            "seed": result.seed,
            "metrics": {
                name: f"{m.value:.6g} ± {m.std_error:.2g} {m.unit} ({m.best} is best)"
                for name, m in result.metrics.items()
            },
            "command": result.command,
            "date": result.date,
        }
    if path.suffix == ".npy":
        return describe_channel(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in (".nc", ".nc4", ".netcdf"):
        return _netcdf(path)
    raise DataError(
        f"{path} is of no known kind; expected .h5ad, .json (a result), .nc, .hdf5 (turbulence), "
        ".npy (channel), .safetensors, or the folder of a saved model."
    )


def _h5ad(path: Path) -> dict[str, Any]:
    adata = read_h5ad(path)
    content: dict[str, Any] = {
        "kind": "cells (AnnData)",
        "cells": int(adata.n_obs),
        "genes": int(adata.n_vars),
        "X": type(adata.X).__name__,
    }
    try:
        content["X holds"] = measure_of(adata, str(path))
    except DataError as error:
        content["X holds"] = f"PROBLEM: {error}"
    columns: dict[str, Any] = {}
    for name in adata.obs.columns:
        values = adata.obs[name]
        numeric = values.dtype.kind in "if" and values.nunique() > MOST_LABELS
        if numeric:
            columns[str(name)] = f"numbers from {values.min():.6g} to {values.max():.6g}"
            continue
        counts = values.astype(str).value_counts().sort_index()
        shown = {str(k): int(v) for k, v in counts.items()}
        if len(shown) > MOST_LABELS:
            columns[str(name)] = f"{len(shown)} labels, e.g. {', '.join(list(shown)[:3])}"
        else:
            columns[str(name)] = shown
    content["obs columns (label: cells)"] = columns
    for part in ("layers", "obsm", "varm", "uns"):
        keys = [str(k) for k in getattr(adata, part)]
        if keys:
            content[part] = keys
    return content


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is not a whole safetensors file: {error}.") from error
    content: dict[str, Any] = {"kind": "weights"}
    try:
        checkpoint = load_checkpoint(path)
        content = {"kind": "training checkpoint", "step": checkpoint.step}
        content["configuration"] = checkpoint.state.get("identity")
    except DataError:
        pass  # plain weights carry no training state
    content["numbers"] = int(sum(t.size for t in tensors.values()))
    content["finite"] = bool(all(np.isfinite(t).all() for t in tensors.values()))
    content["tensors"] = {k: f"{t.dtype} {list(t.shape)}" for k, t in sorted(tensors.items())}
    return content


def _netcdf(path: Path) -> dict[str, Any]:
    import xarray as xr

    if _is_turbulence(path):
        return describe_turbulence(path)
    try:
        with xr.open_dataset(path, decode_times=False) as dataset:
            if {"run", "time", "x", "y", "z"} == set(dataset.sizes):
                return describe_channel(path)
            return {
                "kind": "forecasts" if {"start", "lead"} <= set(dataset.sizes) else "netCDF",
                "dimensions": {str(k): int(v) for k, v in dataset.sizes.items()},
                "variables": {
                    str(k): f"{v.dtype} {list(v.dims)} {v.attrs.get('units', '')}".strip()
                    for k, v in dataset.variables.items()
                },
                "attributes": {str(k): str(v) for k, v in dataset.attrs.items()},
            }
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as netCDF: {error}.") from error


def _is_turbulence(path: Path) -> bool:
    try:
        turbulence_layout(path)
    except DataError:
        return False
    return True


def machine_report() -> dict[str, Any]:
    """Versions, processors, threads, memory, devices and free disk, with plain-word warnings."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = library_versions()
    problems = [f"{name} is not installed" for name, v in versions.items() if v == "absent"]
    if usable and torch.get_num_threads() > usable:
        problems.append(
            f"torch uses {torch.get_num_threads()} threads on {usable} processors; "
            "set OMP_NUM_THREADS"
        )
    return {
        "pushforward": __version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processors usable": usable,
        "torch threads": torch.get_num_threads(),
        "memory GiB": round(memory, 1),
        "free disk GiB": round(shutil.disk_usage(".").free / 2**30, 1),
        "GPUs": gpus or "none",
        "versions": versions,
        "problems": problems or "none",
    }
