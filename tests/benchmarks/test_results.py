import json
import re

import pytest

from pushforward.benchmarks.leaderboard import (
    insert_between_markers,
    make_boards,
    to_csv,
    to_markdown,
)
from pushforward.benchmarks.page import make_page, write_leaderboard
from pushforward.benchmarks.plots import row_colours
from pushforward.benchmarks.result import Metric, Result, read_results
from pushforward.simulators.errors import DataError


def result(model="map", split="A", seed=0, w2=3.0, learned=True, **changes):
    options = dict(
        task="cells",
        task_version=1,
        model=model,
        preset="small",
        seed=seed,
        split=split,
        metrics={"w2": Metric(w2, 0.1, 4, "PC units", "lowest")},
        reference={"floor": {"w2": 1.0}, "identity": {"w2": 5.0}},
        cost={
            "parameters": 10,
            "train_seconds": 1.0,
            "inference_seconds": 0.1,
            "nfe": 1,
            "peak_memory_mb": 1.0,
            "device": "cpu",
        },
        config_hash="c",
        data_fingerprint="d",
        headline=["w2"],
        learned=learned,
    )
    return Result(**{**options, **changes})


def table():
    """Two splits, two seeds, a learned row and a reference row."""
    rows = []
    for split, base in (("A", 3.0), ("B", 5.0)):
        for seed in (0, 1):
            rows.append(result(split=split, seed=seed, w2=base + seed))
            rows.append(result("identity", split, seed, w2=6.0, learned=False))
    return rows


def test_a_result_reads_back_equal(tmp_path):
    written = result(sample={"kind": "scatter", "axes": ["a", "b"], "clouds": {}})
    path = written.write(tmp_path)
    assert path.name == "map-A-0.json"
    assert Result.read(path) == written


def test_names_cannot_leave_the_folder(tmp_path):
    path = result(model="../../evil", split="a/b c").write(tmp_path / "results")
    assert path.parent == tmp_path / "results"
    assert path.name == ".._.._evil-a_b_c-0.json"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.pop("seed"), "'seed' is a required property"),
        (lambda c: c["metrics"]["w2"].update(best="big"), "at metrics/w2/best, 'big' is not one"),
        (lambda c: c["metrics"]["w2"].update(std_error=-1), "at metrics/w2/std_error"),
        (lambda c: c.update(extra=1), "'extra' was unexpected"),
        (lambda c: c["cost"].pop("device"), "'device' is a required property"),
    ],
)
def test_files_that_break_the_schema_are_refused(tmp_path, spoil, message):
    path = result().write(tmp_path)
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        Result.read(path)


def test_non_finite_metrics_are_never_written(tmp_path):
    with pytest.raises(DataError, match="metric 'w2' is nan"):
        result(w2=float("nan")).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="no results found in"):
        read_results([tmp_path])
    with pytest.raises(DataError, match="no such results file"):
        read_results([tmp_path / "a.json"])
    (tmp_path / "half.json").write_text('{"task": "ce')
    with pytest.raises(DataError, match=r"half\.json is not a JSON file"):
        read_results([tmp_path])


def test_means_and_errors_are_over_splits_of_means_over_seeds():
    (board,) = make_boards(table())
    cell = board.value("map", "w2")
    assert cell.mean == pytest.approx((3.5 + 5.5) / 2)
    assert cell.std_error == pytest.approx(1.0)  # two splits, 3.5 and 5.5: sd √2, over √2
    one = board.value("map", "w2", "A")
    assert (one.mean, one.std_error, one.n) == (3.5, pytest.approx(0.5), 2)
    assert board.reference("floor", "w2").mean == 1.0
    difference, wins, n = board.paired("map", "identity", "w2")
    assert (difference.mean, wins, n) == (pytest.approx(-1.5), 2, 2)


def test_rows_are_ordered_learned_first_and_references_beside():
    (board,) = make_boards([*table(), result("other", w2=1.0), result("other", "B", w2=1.0)])
    assert board.models == ["other", "map", "identity"]
    assert board.reference_rows == ["floor"]


def test_one_question_has_one_answer():
    with pytest.raises(DataError, match="two different results for task 'cells', model 'map'"):
        make_boards([result(), result(w2=9.0)])
    assert len(make_boards([result(), result(preset="smoke")])) == 2


def test_markdown_holds_every_row():
    text = to_markdown(make_boards(table()))
    assert "| map | 4.5 ± 1.0 |" in text
    assert "| identity | 6.000 ± 0.000 |" in text
    assert "| (floor) | 1.000 ± 0.000 |" in text
    assert "map − identity, w2: -1.5 ± 1.0; better on 2 of 2 splits" in text


def test_csv_has_one_line_a_metric():
    lines = to_csv(table()).splitlines()
    assert len(lines) == 1 + 8
    assert lines[1].startswith("cells,1,small,map,A,0,w2,3.0,0.1,4,PC units,lowest")


def test_page_stands_alone_and_shows_the_plots():
    sample = {
        "kind": "scatter",
        "axes": ["PC1", "PC2"],
        "clouds": {n: [[0.0, 1.0], [1.0, 0.0]] for n in ("control", "treated", "predicted")},
    }
    rows = [*table(), result("drawn", sample=sample, w2=2.0)]
    page = make_page(rows, title="<Test> & page")
    assert "&lt;Test&gt; &amp; page" in page
    assert page.count("<svg") == 3
    outside = re.findall(r"(?:src|href)=['\"](?!#)([^'\"]+)", page)
    assert outside == []
    assert make_page(rows, title="x") == make_page(rows, title="x")


def test_each_row_keeps_a_colour_of_its_own_whatever_its_rank():
    rows = [*table(), result("other", w2=1.0), result("other", "B", w2=1.0)]
    (board,) = make_boards(rows)
    colours = row_colours(board)
    assert list(colours) == ["map", "other", "identity", "floor"]
    assert len(set(colours.values())) == 4
    assert {row for row, c in colours.items() if c[1:3] == c[3:5] == c[5:]} == {"identity", "floor"}
    (worse,) = make_boards([*table(), result("other", w2=9.0), result("other", "B", w2=9.0)])
    assert worse.models != board.models
    assert row_colours(worse) == colours


def test_leaderboard_files_are_written(tmp_path):
    paths = write_leaderboard(tmp_path, table())
    assert sorted(p.name for p in paths) == [
        "leaderboard.csv",
        "leaderboard.html",
        "leaderboard.md",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)


def test_text_goes_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- t:begin -->\nold\n<!-- t:end -->\nb\n")
    insert_between_markers(readme, "t", "new")
    insert_between_markers(readme, "t", "new")
    assert readme.read_text() == "a\n<!-- t:begin -->\nnew\n<!-- t:end -->\nb\n"
    with pytest.raises(DataError, match="lacks the lines"):
        insert_between_markers(readme, "u", "new")
    with pytest.raises(DataError, match="no such file"):
        insert_between_markers(tmp_path / "absent.md", "t", "new")
