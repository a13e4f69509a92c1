"""The study of gap regularisation: its known maps, and a run of its smallest preset."""

import math

import pytest

from pushforward.benchmarks.cell_studies import gap_regularisation, screens
from pushforward.benchmarks.cell_studies._problems import gaussians
from pushforward.benchmarks.study import render


def test_the_known_map_of_gaussians_lands_and_is_judged_perfect(unchecked):
    problem = gaussians(4, seed=0)
    assert problem.optimal is not None
    values = gap_regularisation.judge(problem, problem.optimal, 800, seed=0)
    assert values["uvp"] == 0
    assert values["cost_ratio"] == pytest.approx(1, abs=1e-4)
    assert values["divergence"] < 0.2 * values["identity"]


@pytest.mark.parametrize(
    "run", [gap_regularisation.run_plane, gap_regularisation.run_gaussians, screens.run]
)
def test_the_smallest_preset_prints_the_fate_of_its_claims(run, unchecked):
    study = run("smoke")
    assert study.claims
    for rows in study.tables.values():
        for cells in rows.values():
            assert all(math.isfinite(v) for values in cells.values() for v in values)
    fates = render(study)
    assert all(claim.text in fates for claim in study.claims)
