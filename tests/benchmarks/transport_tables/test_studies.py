"""Each study runs from its preset and writes a table that says what it found."""

import json

import pytest
import torch

from pushforward.benchmarks.study import Claim, Study, render, write
from pushforward.benchmarks.transport_tables import gibbs_pairs, noise_pairs, sparse_routing


def test_a_table_shows_mean_error_and_the_fate_of_claims(tmp_path):
    study = Study("Title", ["a note"])
    for value in (1.0, 3.0):
        study.add("first", "row", metric=value)
    study.claims = [Claim("up", True, "1 < 3"), Claim("down", False, "1 < 3")]
    text = write(study, tmp_path / "x", "smoke")
    assert "| row | 2 ± 1 |" in text
    assert "Confirmed: up (1 < 3)" in text
    assert "Refuted: down (1 < 3)" in text
    assert json.loads((tmp_path / "x.json").read_text())["tables"]["first"]["row"] == {
        "metric": [1.0, 3.0]
    }
    assert (tmp_path / "x.md").read_text() == text


def test_truncation_keeps_the_mass_of_each_column():
    P = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = sparse_routing.truncated(P, 2)
    torch.testing.assert_close(kept.sum(0), P.sum(0))
    assert ((kept > 0).sum(0) == 2).all()


@pytest.mark.parametrize("study", [sparse_routing, noise_pairs, gibbs_pairs])
def test_smoke(study):
    result = study.run("smoke")
    assert result.tables
    for rows in result.tables.values():
        for cells in rows.values():
            for values in cells.values():
                assert all(v == v for v in values)
    assert render(result).startswith("# ")
