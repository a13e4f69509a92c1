"""The comparison of channel statistics with published ones."""

import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.benchmarks.validation.channel import (
    compare,
    compare_budget,
    main,
    read_scales,
    simulate,
)
from pushforward.benchmarks.validation.channel_figures import TERMS, plot_profiles, plot_scales


def profiles(scale=1.0):
    y = np.linspace(0, 1, 50)
    columns = {
        "y_plus": 180 * y,
        "u_plus": scale * 18 * y,
        "u_rms": scale * np.sin(np.pi * y),
        "u_rms_error": 0 * y,
        "total_stress": 1 - y,
    }
    return xr.Dataset({k: ("y", v) for k, v in columns.items()}, {"y": y}, {"re_tau": 180.0})


def test_equal_profiles_have_no_difference_and_scaled_ones_their_scale():
    same = compare(profiles(), profiles())
    assert same["u_plus_largest_relative_difference_to_y_plus_40"] == pytest.approx(0, abs=1e-12)
    assert same["total_stress_largest_residual"] == 0
    other = compare(profiles(1.1), profiles())
    assert other["u_plus_largest_relative_difference_to_y_plus_40"] == pytest.approx(0.1)
    assert other["u_rms_peak_relative_difference"] == pytest.approx(0.1)


@pytest.mark.usefixtures("unchecked")
def test_a_short_run_gives_profiles_with_its_command():
    found, run = simulate((8, 17, 8), discard=0.0, average=0.05, cfl=0.5, seed=0)
    assert run["steps"] >= 10
    assert run["largest_divergence"] < 1e-10
    assert bool(torch.isfinite(torch.from_numpy(found["profiles"]["u_plus"].values)).all())
    assert found["distributions"].sizes["bin"] == 201


def test_a_budget_equals_itself_and_is_drawn(tmp_path):
    budget = xr.Dataset(
        {"y_plus": ("y", 180 * np.linspace(0, 1, 50))}
        | {n: ("y", np.linspace(0.2, 0, 50)) for n in TERMS}
        | {f"{n}_error": ("y", np.zeros(50)) for n in TERMS}
    )
    assert max(compare_budget(budget, budget).values()) == 0
    doubled = budget.assign(production=2 * budget["production"])
    name = "budget_production_largest_difference_over_peak_production"
    assert compare_budget(doubled, budget)[name] == pytest.approx(0.2 * (1 - 5 / 49) / 0.2, abs=0.1)
    ours = profiles().assign(
        {f"{n}_error": ("y", np.zeros(50)) for n in ("u_plus", "v_rms", "w_rms")}
        | {n: ("y", np.zeros(50)) for n in ("v_rms", "w_rms", "uv_plus", "viscous_plus")}
        | {f"{n}_error": ("y", np.zeros(50)) for n in ("uv_plus", "viscous_plus", "total_stress")}
    )
    plot_profiles(ours, budget, ours, budget, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_spectra_and_correlations_are_drawn_beside_the_data_base(real_data, tmp_path):
    folder = real_data / "channel" / "mkm1999" / "chan180"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    k, r, y = np.arange(8.0), np.arange(9.0), np.array([0.0, 0.2, 1.0])
    drawn = {"y_plus": ("y", 180 * y)}
    for axis in "xz":
        for pair in ("uu", "vv", "ww"):
            for name, along in (("E", k), ("R", r)):
                values = np.exp(-along)[:, None] * np.ones(3)
                dims = (f"{'k' if name == 'E' else 'r'}{axis}", "y")
                drawn |= {f"{name}_{pair}_{axis}{end}": (dims, values) for end in ("", "_error")}
    ours = xr.Dataset(drawn, {"y": y} | {f"k{a}": k for a in "xz"} | {f"r{a}": r for a in "xz"})
    plot_scales(ours, read_scales(folder), tmp_path / "scales.png")
    assert (tmp_path / "scales.png").stat().st_size > 10_000


def test_an_average_without_two_blocks_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--reference", str(tmp_path), "--average", "3"])
    assert "need two blocks of 2 h/u_tau, so at least 4" in capsys.readouterr().err


def test_a_missing_reference_is_refused_before_the_run(tmp_path):
    from pushforward.simulators.errors import DataError

    with pytest.raises(DataError, match="no such file"):
        main(["--reference", str(tmp_path / "chan180"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
