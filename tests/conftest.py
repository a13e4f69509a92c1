"""Shared fixtures."""

import os
from pathlib import Path

import jaxtyping
import pytest
import torch

# Test tensors are small: a second thread gains nothing, and on a busy machine the threads' waiting
# for each other made a training test thirty times slower.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def unchecked():
    """Switch the run-time shape checks off: to see the package's own error messages, or in tests
    that train, where checking every inner call would take ten times the training itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("PUSHFORWARD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set PUSHFORWARD_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def glioblastoma(real_data) -> Path:
    path = real_data / "single_cell" / "glioblastoma_panobinostat.h5ad"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return path
