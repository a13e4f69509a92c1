"""Shared fixtures."""

import os
import signal
from contextlib import contextmanager
from itertools import count
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


@pytest.fixture
def signal_at(monkeypatch):
    """`with signal_at(Objective, 6): ...` receives a SIGTERM when an objective of this class is
    called for the sixth time."""
    from pushforward.surrogates.training import StopSignal

    @contextmanager
    def context(objective, call):
        original, calls = objective.__call__, count(1)

        def signalled(self, model, generator):
            if next(calls) == call:
                StopSignal._active._received = signal.SIGTERM
            return original(self, model, generator)

        with monkeypatch.context() as patch:
            patch.setattr(objective, "__call__", signalled)
            yield

    return context


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
