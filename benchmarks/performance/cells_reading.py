"""A shuffled epoch over cells on disk against anndata's own reading, in one run.

The file is written by this script: CSR, a hundred stored counts a cell, conditions scattered over
it. Every measurement runs in a fresh process, so that its peak memory is its own, and the methods
take turns, so that other work on the machine meets them alike. The file is in the system's cache
for all of them: it has just been written.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pushforward.simulators.files import atomic_path

__all__ = ["METHODS", "measure", "write_cells"]

N_GENES, STORED = 2000, 100
BATCH = 512
LARGE = 4096
WRITTEN_AT_ONCE = 20_000


def write_cells(path: Path, n_cells: int, *, seed: int = 0) -> None:
    """Write `n_cells` x 2,000 counts, 100 stored a cell, 10 patients x 5 conditions at random."""
    import anndata
    import pandas as pd

    rng = np.random.default_rng(seed)
    names = {"patient_id": [f"P{i}" for i in range(10)], "condition": ["ctrl", *"abcd"]}
    obs = pd.DataFrame(
        {
            k: pd.Categorical.from_codes(rng.integers(0, len(v), n_cells), v)
            for k, v in names.items()
        },
        index=[f"cell_{i:07d}" for i in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"gene_{i:04d}" for i in range(N_GENES)])
    with atomic_path(path) as temporary:
        anndata.AnnData(obs=obs, var=var).write_h5ad(temporary)
        with h5py.File(temporary, "r+") as file:
            if "X" in file:
                del file["X"]
            group = file.create_group("X")
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
            group.attrs["shape"] = np.array([n_cells, N_GENES])
            group["indptr"] = np.arange(n_cells + 1, dtype=np.int64) * STORED
            data = group.create_dataset("data", (n_cells * STORED,), np.float32)
            indices = group.create_dataset("indices", (n_cells * STORED,), np.int32)
            width = N_GENES // STORED
            for a in range(0, n_cells, WRITTEN_AT_ONCE):
                n = min(WRITTEN_AT_ONCE, n_cells - a)
                span = np.s_[a * STORED : (a + n) * STORED]
                data[span] = rng.geometric(0.4, n * STORED)
                # One gene of each run of 20, so that a cell's genes are distinct and sorted.
                indices[span] = (
                    np.arange(STORED) * width + rng.integers(0, width, (n, STORED))
                ).ravel()


def _shuffled(
    path: Path, n: int, *, dense: bool, workers: int = 0, run: int = 256
) -> dict[str, float]:
    from pushforward.datasets import open_cells
    from pushforward.datasets.cells import CellBatches

    begun = time.perf_counter()
    data = open_cells(path, backed=True)
    opened = time.perf_counter() - begun
    batches = CellBatches(data, batch_size=BATCH, dense=dense, block_rows=run)
    begun = time.perf_counter()
    seen = sum(len(batch.rows) for batch in batches.loader(workers))
    seconds = time.perf_counter() - begun
    if seen != n:
        raise RuntimeError(f"an epoch gave {seen} cells of {n}")
    return {"cells": float(seen), "seconds": seconds, "open_seconds": opened}


def _contiguous(path: Path, n: int, *, block: int) -> dict[str, float]:
    import anndata

    adata: Any = anndata.read_h5ad(path, backed="r")
    begun = time.perf_counter()
    for a in range(0, n, block):
        adata.X[a : a + block]
    return {"cells": float(n), "seconds": time.perf_counter() - begun}


def _scattered(path: Path, n: int) -> dict[str, float]:
    import anndata

    adata: Any = anndata.read_h5ad(path, backed="r")
    rng = np.random.default_rng(0)
    n_batches = max(min(n, 50_000) // BATCH, 1)
    begun = time.perf_counter()
    for _ in range(n_batches):
        adata.X[np.sort(rng.choice(n, min(BATCH, n), replace=False))]
    return {"cells": float(n_batches * min(BATCH, n)), "seconds": time.perf_counter() - begun}


METHODS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "ours, shuffled, CSR batches": lambda p, n: _shuffled(p, n, dense=False),
    "ours, shuffled, CSR batches, runs of 1024 rows": lambda p, n: _shuffled(
        p, n, dense=False, run=1024
    ),
    "ours, shuffled, dense batches": lambda p, n: _shuffled(p, n, dense=True),
    "ours, shuffled, dense, 2 workers": lambda p, n: _shuffled(p, n, dense=True, workers=2),
    f"anndata, contiguous blocks of {BATCH}": lambda p, n: _contiguous(p, n, block=BATCH),
    f"anndata, contiguous blocks of {LARGE}": lambda p, n: _contiguous(p, n, block=LARGE),
    f"anndata, {BATCH} scattered rows": _scattered,
}
"""Name -> (path, number of cells) -> cells read, seconds."""


def _here(name: str, path: Path, n: int) -> dict[str, float]:
    """One measurement in this process, with the peak memory of it and of its workers."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = METHODS[name](path, n)
    own, workers = (
        resource.getrusage(who).ru_maxrss * unit / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {**found, "peak_mb": own, "worker_peak_mb": workers}


def measure(path: Path, n_cells: int, *, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Every method `rounds` times, in turns, each in a process of its own.

    Returns
    -------
    Name -> one dictionary a round: cells, seconds, peak_mb (resident, whole process) and
    worker_peak_mb (the largest worker).
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for _ in range(rounds):
        for name in METHODS:
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                __name__,
                name,
                str(path),
                str(n_cells),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"measuring {name!r} failed:\n{done.stderr[-2000:]}")
            last = json.loads(done.stdout)
            found[name].append(last)
            print(f"{name}: {last['cells'] / last['seconds']:,.0f} cells/s", flush=True)
    return found


if __name__ == "__main__":
    method, file, cells = sys.argv[1:]
    print(json.dumps(_here(method, Path(file), int(cells))))
