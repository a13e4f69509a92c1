"""The studies of letters and of a time course: smallest presets, references, figures, refusals."""

import math

import numpy as np
import pytest

from pushforward.benchmarks.cell_studies import letters, trajectory
from pushforward.benchmarks.cell_studies._time_course import read_time_course
from pushforward.benchmarks.study import write
from pushforward.simulators.errors import DataError

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def cleaned():
    return letters.run("smoke")


@pytest.fixture(scope="module")
def bent():
    return trajectory.run("smoke")


def values(study):
    return [v for rows in study.tables.values() for cells in rows.values() for v in cells.values()]


def test_letters_stand_beside_identity_and_floor(cleaned):
    (rows,) = cleaned.tables.values()
    assert {"identity", "floor", "flow matching", "one-hot", "MFM, set"} <= set(rows)
    for kind in ("w2_unseen", "w2_training"):
        floor, identity = rows["floor"][kind][0], rows["identity"][kind][0]
        assert 0 < floor < identity
        assert rows["floor, 100 points"][kind][0] > floor  # fewer points, a higher floor
    assert len(cleaned.claims) == 3
    assert all(math.isfinite(v) for column in values(cleaned) for v in column)


def test_pairs_of_the_plan_are_nearer_than_those_drawn():
    settings = letters.PRESETS["smoke"]
    drawn, planned = (letters._training(c, settings, 0) for c in ("independent", "plan"))
    for name, (x, y) in drawn.items():
        paired = planned[name][1]
        assert sorted(map(tuple, paired.tolist())) == sorted(map(tuple, y.tolist()))
        assert (x - paired).square().sum() < 0.5 * (x - y).square().sum()


def test_the_letters_figure_shows_every_row_of_both_kinds(cleaned, tmp_path):
    axes = cleaned.figures["clouds"].axes
    assert len(axes) == 2 * (2 + 3)  # unseen and training; noisy, clean and three models
    assert [a.get_title() for a in axes[:3]] == ["noisy", "clean", "flow matching"]
    assert all(len(a.collections[0].get_offsets()) == 150 for a in axes)
    text = write(cleaned, tmp_path / "letters", "smoke")
    assert "![clouds](letters-clouds.png)" in text
    assert (tmp_path / "letters-clouds.png").stat().st_size > 10_000


def test_on_a_bend_the_spline_beats_the_chord(bent):
    """Cells carried rigidly on a half circle: the chord's midpoint lies inside of it."""
    assert list(bent.tables) == [f"left out: time {k}" for k in (1, 2, 3)]
    for rows in bent.tables.values():
        w1 = {row: cells["w1"][0] for row, cells in rows.items()}
        assert w1["OT midpoint, mean on the spline"] < w1["OT midpoint"] < w1["time before"]
        assert w1["floor"] < w1["OT midpoint"]
        assert {"OT-CFM", "SB-CFM", "MFM", "MFM, curved"} <= set(w1)
    assert len(bent.claims) == 9
    assert all(math.isfinite(v) for column in values(bent) for v in column)


def test_the_trajectory_figures_show_what_the_tables_hold(bent):
    panels = bent.figures["w1"].axes
    assert [a.get_title() for a in panels] == list(bent.tables)
    for axis, rows in zip(panels, bent.tables.values(), strict=True):
        widths = [patch.get_width() for patch in axis.patches]
        assert widths == pytest.approx([cells["w1"][0] for cells in rows.values()])
        assert axis.lines[-1].get_xdata()[0] == pytest.approx(rows["OT midpoint"]["w1"][0])
    assert len(bent.figures["course"].axes) == 3 * 6  # times left out, models


def test_files_that_are_no_time_course_are_refused(tmp_path):
    path = tmp_path / "cells.npz"
    for arrays, message in (
        ({"x": np.zeros((4, 2))}, r"lacks \['time_index'\]"),
        ({"x": np.zeros((4, 2)), "time_index": np.zeros(3)}, r"time_index \(3,\); expected"),
        ({"x": np.zeros((4, 2)), "time_index": np.array([0, 0, 1, 1])}, "has 2 times"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            read_time_course(path, cells=10)
    path.write_text("no archive")
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        read_time_course(path, cells=10)
