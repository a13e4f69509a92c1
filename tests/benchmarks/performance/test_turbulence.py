"""The turbulence timings run without peers, keep earlier sizes, and say what a peer lacks."""

import json
import sys

import numpy as np
import pytest

from pushforward.benchmarks.performance.turbulence import cases, run
from pushforward.benchmarks.performance.turbulence_methods import Peer
from pushforward.simulators.errors import DataError


def test_smoke_run_writes_its_files_and_keeps_what_was_timed_before(tmp_path, capsys):
    run("smoke", tmp_path, sizes=[20])
    results = run("smoke", tmp_path)
    stored = json.loads((tmp_path / "turbulence.json").read_text())
    assert [entry["n"] for entry in stored["runs"]] == [16, 20]
    assert stored["runs"][0]["absent"] == ["exponax", "jax-cfd", "torch-cfd"]
    for entry in results["runs"]:
        for row in entry["rows"]:
            assert row["method"].startswith("ours")
            assert row["distance"] == 0
            assert row["quartiles"][0] <= row["steps_per_second"] <= row["quartiles"][1]
    text = (tmp_path / "turbulence.md").read_text()
    assert "| finite volume, 2 flows (flow-steps) | 16 | ours, 2 at once |" in text
    assert "Not given, hence not timed" in text
    assert (tmp_path / "turbulence.png").stat().st_size > 1000
    assert text in capsys.readouterr().out


def test_a_peer_that_cannot_start_is_named(tmp_path, capfd):
    peer = Peer("jax-cfd", sys.executable, 1, tmp_path)
    case = cases(16, 2, 16)[0]
    with pytest.raises(DataError, match="jax-cfd ended with status 1"):
        peer.prepare(case, np.zeros((2, 16, 16), np.float32))
    assert "No module named 'jax'" in capfd.readouterr().err
