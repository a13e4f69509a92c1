"""Letters as point clouds: shapes, laws of the noise, pairing, refusals."""

import numpy as np
import pytest

from pushforward.simulators.cells import Letters, letter_points
from pushforward.simulators.errors import DataError


def test_letters_fill_the_square_and_keep_their_holes():
    for letter in "AIOX":
        points = letter_points(letter)
        assert np.abs(points).max() == pytest.approx(3)
        assert np.allclose(points.max(0), -points.min(0))
    hole = np.linalg.norm(letter_points("O"), axis=1)
    assert hole.min() > 1  # nothing in the middle of an O
    width = np.ptp(letter_points("I"), axis=0)
    assert width[0] < 0.3 * width[1]  # the aspect is kept


def test_mirror_letters_are_symmetric_and_stand_upright():
    a = letter_points("A")
    assert a[:, 0].mean() == pytest.approx(0, abs=0.05)
    top, bottom = a[a[:, 1] > 2], a[a[:, 1] < -2]
    assert np.ptp(top[:, 0]) < np.ptp(bottom[:, 0])  # an A is pointed at the top


def test_the_noise_has_its_variance_and_pairs_are_what_they_say():
    cells = {
        pairing: Letters("B", rotations=1, n_cells=4000, pairing=pairing).simulate(seed=0)["B0"]
        for pairing in ("paired", "independent")
    }
    control, treated = cells["paired"]
    assert np.allclose((control - treated).std(0), 0.5, rtol=0.05)
    assert np.allclose(control.var(0) - treated.var(0), 0.25, atol=0.15)
    apart = cells["independent"][0] - cells["independent"][1]
    assert (apart.std(0) > 1.5).all()
    assert np.array_equal(cells["paired"][1], cells["independent"][1])


def test_a_population_depends_on_its_own_letter_turn_and_seed_alone():
    alone = Letters("Y", rotations=1, n_cells=20).simulate(seed=3)
    among = Letters("XYZ", rotations=2, n_cells=20).simulate(seed=3)
    assert np.array_equal(alone["Y0"][0], among["Y0"][0])
    assert not np.array_equal(among["Y0"][1], among["Y1"][1])
    assert not np.array_equal(
        alone["Y0"][0], Letters("Y", rotations=1, n_cells=20).simulate(seed=4)["Y0"][0]
    )


def test_refusals(unchecked):
    with pytest.raises(DataError, match="letter 'a'; expected one of A to Z"):
        letter_points("a")
    for options, message in (
        ({"letters": ""}, "letters is empty"),
        ({"letters": "A1"}, "letter '1'"),
        ({"rotations": 0}, "rotations = 0"),
        ({"noise": 0.0}, "noise = 0.0"),
        ({"pairing": "true"}, "pairing = 'true'"),
    ):
        with pytest.raises(DataError, match=message):
            Letters(**options)
