"""Threads of the compiled kernels."""

import numba
import pytest
import torch

from pushforward.simulators.compiled import available_threads


@pytest.mark.parametrize(("of_torch", "of_numba", "expected"), [(2, 1, 1), (1, 2, 1), (2, 2, 2)])
def test_kernels_take_no_more_threads_than_torch_and_numba_have(
    monkeypatch, of_torch, of_numba, expected
):
    """numba refuses more than NUMBA_NUM_THREADS, which a batch system may set to 1."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: of_torch)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", of_numba)
    assert available_threads() == expected
