"""Turbulence data from the command line: written, inspected, stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest
import yaml

from pushforward.cli import main

pytestmark = pytest.mark.usefixtures("unchecked")

WORDS = [
    *("simulate", "turbulence", "--preset", "smoke", "--cells", "32", "--spin-up", "0.5"),
    *("--flows", "1", "--time", "0.3"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pushforward"])


def test_data_are_written_and_inspected(tmp_path, capsys):
    assert main([*WORDS, "--factors", "2", "4", "--out", "a.nc", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert files == ["a_16x16.nc", "a_8x8.nc"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
    assert main(["inspect", "a_8x8.nc"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["kind"] == "turbulence"
    assert found["cells"] == "8 x 8"
    assert found["seed"] == 0
    assert main([*WORDS, "--layout", "tsm", "--out", "b.nc.hdf5"]) == 0
    assert capsys.readouterr().out == "b.nc.hdf5-0000\n"
    assert main(["inspect", "b.nc.hdf5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["grid 8 x 8"]["flows"] == 1
    assert main(["inspect", "c.nc.hdf5"]) == 3
    assert "no such file: c.nc.hdf5" in capsys.readouterr().err


def test_a_blown_up_simulation_is_exit_code_4(tmp_path, capsys):
    assert main([*WORDS, "--amplitude", "1e6", "--out", "a.nc"]) == 4
    assert "Courant number" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_sigterm_leaves_no_file_and_says_so(tmp_path):
    code = "import sys; from pushforward.cli import main; sys.exit(main())"
    words = [*WORDS, "--time", "1e4", "--out", "a.nc"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        end = time.monotonic() + 120
        while not list(tmp_path.glob(".a-*")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 75
    assert "no file was written" in errors
    assert list(tmp_path.iterdir()) == []
