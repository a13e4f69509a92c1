"""The page of convergence orders: numbers computed, figures beside them, files whole."""

import json
import math
from pathlib import Path

import pytest

from pushforward.benchmarks.validation import turbulence

pytestmark = pytest.mark.usefixtures("unchecked")

COMMITTED = Path(turbulence.__file__).parent / "results" / "turbulence.json"


def test_orders_of_exact_powers():
    found = turbulence.orders({10: 1.0, 20: 0.25, 30: 0.25 * (2 / 3) ** 3})
    assert found == {20: pytest.approx(2.0), 30: pytest.approx(3.0)}


def test_the_page_is_made_of_what_was_measured(tmp_path, monkeypatch, capsys):
    wanted = {"central, rk4", "spectral, cn_rk4"}
    kept = {name: value for name, value in turbulence.SCHEMES.items() if name in wanted}
    monkeypatch.setattr(turbulence, "SCHEMES", kept)
    turbulence.main(["--out", str(tmp_path), "--sizes", "16", "32"])
    content = json.loads((tmp_path / "turbulence.json").read_text())
    assert set(content["errors"]["standing"]) == wanted
    assert set(content["errors"]["moving"]) == {"central, rk4"}
    assert {"source", "history"} <= set(content)
    error = content["errors"]["standing"]["central, rk4"]
    assert error["32"] == turbulence.taylor_green_error("central, rk4", 32)
    order = content["orders"]["standing"]["central, rk4"]["32"]
    assert order == pytest.approx(math.log2(error["16"] / error["32"]))
    text = (tmp_path / "turbulence.md").read_text()
    assert f"{error['32']:.3e} ({order:.2f}) | 6.260e-05 |" in text
    assert text.strip() in capsys.readouterr().out
    assert (tmp_path / "turbulence.png").stat().st_size > 10_000


@pytest.mark.skipif(not COMMITTED.is_file(), reason="runs on a checkout")
def test_the_committed_page_is_of_this_code():
    """One committed number of each case, computed again."""
    content = json.loads(COMMITTED.read_text())
    for case in turbulence.CASES:
        again = turbulence.taylor_green_error("central, rk4", 32, case)
        assert content["errors"][case]["central, rk4"]["32"] == pytest.approx(again, rel=1e-6)
