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


def test_what_was_missed_is_said():
    def reading(rate, peak):
        return [{"cells": rate, "seconds": 1.0, "peak_mb": peak, "worker_peak_mb": 0.0}]

    results = {
        "reading": {
            cells.SHUFFLED: reading(60.0, 1200.0),
            cells.CONTIGUOUS[cells.BATCH]: reading(100.0, 500.0),
        },
        "training": [{"seconds": 30.0}, {"seconds": 90.0}],
    }
    speed, memory, fit = cells.asked_and_found(results)
    assert speed.startswith("Missed")
    assert "(60%)" in speed
    assert memory == "Missed: its resident memory below 1 GB (1200 MB)."
    assert fit.startswith("Reached")
    assert "90.0 s" in fit


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
