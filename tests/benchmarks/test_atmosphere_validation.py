"""The transport's validation and timing run at their smallest sizes and say what they measured."""

import json

import pytest

from pushforward.benchmarks.performance import atmosphere as performance
from pushforward.benchmarks.validation.atmosphere import plane_flow, run
from pushforward.benchmarks.validation.atmosphere_tables import order
from pushforward.simulators.atmosphere import deformational_flow, divergent_flow

pytestmark = pytest.mark.usefixtures("unchecked")


def test_numpy_does_the_same_parabolic_scheme(tmp_path, capsys):
    results = performance.run("smoke", tmp_path, threads=1)
    assert results["largest_difference_to_numpy"] < 1e-12
    assert [r["scheme"] for r in results["rows"]] == ["ppm", "moments", "ppm in NumPy"]
    assert "times NumPy" in capsys.readouterr().out
    assert (tmp_path / "atmosphere.png").stat().st_size > 1000


def test_the_smallest_validation_writes_tables_numbers_and_pictures(tmp_path):
    results = run("smoke", tmp_path)
    for name in ("transport.md", "transport_fields.png", "transport_diagnostics.png"):
        assert (tmp_path / name).stat().st_size > 1000
    assert json.loads((tmp_path / "transport.json").read_text())["rotation"] == results["rotation"]
    monotone, moments = (
        next(r for r in results["nondivergent"] if r["scheme"] == s)
        for s in ("ppm_monotone", "moments")
    )
    assert monotone["mixing"]["overshooting"] == 0 < moments["mixing"]["overshooting"]
    assert (
        monotone["slotted_cylinders"]["phi_min"] > -1e-12 > moments["slotted_cylinders"]["phi_min"]
    )
    assert max(monotone["mass_error"], moments["air_error"]) < 1e-12
    assert results["deformational_3d"][0]["linear_relation"] < 1e-13


def test_order_is_the_slope_between_the_two_finest_grids():
    rows = [{"scheme": "a", "rows": n, "e": 5.0 * n**-3.0} for n in (10, 20, 40)]
    assert order(rows, "a", lambda r: r["e"]) == pytest.approx(3)


@pytest.mark.slow
def test_the_figures_of_the_best_scheme():
    case4 = [plane_flow(deformational_flow, "moments", n, 5 * n)[0] for n in (60, 120)]
    assert case4[1]["gaussian_hills"]["l2"] < 0.02
    assert order(case4, "moments", lambda r: r["gaussian_hills"]["l2"]) > 2
    divergent = plane_flow(divergent_flow, "moments", 60, 150)[0]
    assert divergent["gaussian_hills"]["l2"] < 0.02
