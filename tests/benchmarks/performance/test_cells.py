"""The timing of cells on disk: its file is what it says, and a small run writes its results."""

import json

import numpy as np
import pytest

from pushforward.benchmarks.performance import cells
from pushforward.benchmarks.performance.cells_reading import METHODS, write_cells
from pushforward.datasets import open_cells


def test_the_written_file_holds_what_it_says(tmp_path):
    write_cells(tmp_path / "c.h5ad", 500)
    data = open_cells(tmp_path / "c.h5ad", backed=True)
    assert data.measure == "counts"
    assert data.adata.shape == (500, 2000)
    assert len(data.populations) == 10
    assert len(data.conditions) == 5
    x = data.store.take(np.arange(500))
    assert (np.diff(x.indptr) == 100).all()
    assert x.has_canonical_format
    assert (x.data >= 1).all()


def test_every_method_reads_the_file(tmp_path):
    write_cells(tmp_path / "c.h5ad", 1100)
    for name, method in METHODS.items():
        if "workers" not in name:
            found = method(tmp_path / "c.h5ad", 1100)
            assert found["cells"] == (1024 if "scattered" in name else 1100), name


def test_a_fit_is_worth_something(unchecked):
    settings = {**cells.PRESETS["smoke"], "steps": 80, "hidden": (32,)}
    found = cells.train_map(settings, seed=0)
    assert found["W2"] < 0.97 * found["W2 identity"]


@pytest.mark.slow
def test_a_small_run_writes_json_table_and_plot(tmp_path, unchecked):
    results = cells.run("smoke", tmp_path, threads=1, seeds=1)
    stored = json.loads((tmp_path / "cells.json").read_text())
    assert stored["reading"].keys() == METHODS.keys()
    text = (tmp_path / "cells.md").read_text()
    assert all(name in text for name in METHODS)
    assert (tmp_path / "cells.png").stat().st_size > 1000
    assert not list(tmp_path.glob("*.h5ad"))
    assert results["cells"] == 20_000
