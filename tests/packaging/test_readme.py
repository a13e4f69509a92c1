"""The README's tables are generated, and its Python examples run."""

import re
from pathlib import Path

import pytest

from pushforward.benchmarks.leaderboard import make_boards, to_markdown
from pushforward.benchmarks.result import read_results
from pushforward.simulators.cells import PerturbedPopulations

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def boards():
    return make_boards(read_results([ROOT / "benchmarks" / "results"]))


def test_the_table_is_the_one_the_committed_results_give(boards):
    text = README.read_text(encoding="utf-8")
    shown = text.split("<!-- leaderboard:begin -->")[1].split("<!-- leaderboard:end -->")[0]
    assert shown.strip() == to_markdown(boards).strip()


def test_three_seeds_stand_behind_every_learned_row(boards):
    headlines = {"cells": "w2", "turbulence": "duration_80", "atmosphere": "rmse"}
    headlines["channel"] = "error_1"
    assert {board.results[0].task for board in boards} == set(headlines)
    for board in boards:
        task = board.results[0].task
        for model in {r.model for r in board.results if r.learned}:
            for split in {r.split for r in board.results} if task == "cells" else [None]:
                assert board.value(model, headlines[task], split).n >= 3, (task, model, split)


def examples() -> list[str]:
    """The README's Python, block by block."""
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("number", range(1, len(examples())))
@pytest.mark.usefixtures("unchecked")
def test_the_domains_examples_run(number, capsys):
    exec(compile(examples()[number], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed
    assert "nan" not in printed


@pytest.mark.usefixtures("unchecked")
def test_the_example_of_cells_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    PerturbedPopulations(n_populations=3, n_cells=60).simulate(seed=0).write_h5ad("cells.h5ad")
    code = examples()[0].replace("seed=0)", "seed=0, select_every=0, optimisation=quick)")
    from pushforward.surrogates.training import Optimisation

    exec(compile(code, "README.md", "exec"), {"quick": Optimisation(steps=20)})
    assert "tensor" in capsys.readouterr().out
