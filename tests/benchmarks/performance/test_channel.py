"""The timing of the channel solver runs and says what it timed."""

import json

import torch

from pushforward.benchmarks.performance.channel import CLOSURES, run


def test_every_model_is_timed_and_threads_are_put_back(tmp_path, capsys):
    before = torch.get_num_threads()
    results = run("smoke", tmp_path, threads=1)
    assert torch.get_num_threads() == before
    rows = json.loads((tmp_path / "channel.json").read_text())["rows"]
    assert rows == results["rows"]
    assert {r["closure"] for r in rows} == set(CLOSURES)
    assert all(r["milliseconds"] > 0 for r in rows)
    text = (tmp_path / "channel.md").read_text()
    assert "| 8 x 17 x 8 | WALE | 1 |" in text
    assert text in capsys.readouterr().out
