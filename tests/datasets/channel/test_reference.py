"""Readers of published channel statistics, on the real files and on broken ones."""

import numpy as np
import pytest

from pushforward.datasets.channel import (
    read_mkm_budget,
    read_mkm_correlations,
    read_mkm_profiles,
    read_mkm_spectra,
)
from pushforward.simulators.errors import DataError


@pytest.fixture
def chan180(real_data):
    folder = real_data / "channel" / "mkm1999" / "chan180"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


def test_profiles_hold_what_is_known_of_them(chan180):
    profiles = read_mkm_profiles(chan180)
    assert profiles.attrs["re_tau"] == 178.12
    peak = int(profiles["u_rms"].values.argmax())
    assert float(profiles["u_rms"][peak]) == pytest.approx(2.658, abs=1e-3)
    assert float(profiles["y_plus"][peak]) == pytest.approx(15.3, abs=0.1)
    assert float(profiles["u_plus"][-1]) == pytest.approx(18.30, abs=0.01)
    residual = profiles["total_stress"] - (1 - profiles["y"])
    assert float(abs(residual).max()) < 0.004


def test_spectra_sum_to_the_variance(chan180):
    for axis in "xz":
        spectra = read_mkm_spectra(chan180 / "spectra" / f"chan180.{axis}spec.30")
        assert spectra.attrs["y_plus"] == pytest.approx(30.02)
        assert float(spectra["E_uu"].sum()) == pytest.approx(4.9093, rel=2e-3)


def test_correlations_are_the_cosine_transforms_of_spectra(chan180):
    for axis in "xz":
        spectra = read_mkm_spectra(chan180 / "spectra" / f"chan180.{axis}spec.30")
        found = read_mkm_correlations(chan180 / "correlations" / f"chan180.{axis}corr.30")
        assert found.attrs["y_plus"] == pytest.approx(30.02)
        waves = np.cos(np.outer(found["r"].values, spectra["k"].values))
        for pair in ("uu", "vv", "ww"):
            expected = waves @ spectra[f"E_{pair}"].values
            assert found[f"R_{pair}"].values == pytest.approx(expected, abs=0.02 * expected.max())


def test_the_budget_closes_with_the_pressure_transport(chan180):
    budget = read_mkm_budget(chan180)
    peak = int(budget["production"].values.argmax())
    assert float(budget["production"][peak]) == pytest.approx(0.219, abs=0.005)
    assert float(budget["y_plus"][peak]) == pytest.approx(12, abs=1)
    assert budget["residual"].values == pytest.approx(budget["pressure_transport"].values, abs=1e-3)
    # Production and dissipation are equal in sum: transport makes no energy.
    lost, made = (
        np.trapezoid(budget[n].values, budget["y_plus"].values)
        for n in ("dissipation", "production")
    )
    assert -lost == pytest.approx(made, rel=0.01)


def test_a_budget_of_other_columns_is_refused(tmp_path):
    folder = tmp_path / "chan9"
    (folder / "balances").mkdir(parents=True)
    (folder / "balances" / "chan9.kbal").write_text("# Re = 9\n# y y+ bal\n0 0 0\n")
    with pytest.raises(DataError, match=r"has columns \['y', 'y\+', 'bal'\]; expected"):
        read_mkm_budget(folder)


def test_files_of_other_columns_are_refused(tmp_path):
    folder = tmp_path / "chan9"
    (folder / "profiles").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no such file: .*chan9.means"):
        read_mkm_profiles(folder)
    means = folder / "profiles" / "chan9.means"
    means.write_text("# Re = 9\n# y y+ Umean Pmean\n0 0 0 0\n")
    with pytest.raises(DataError, match=r"has columns .*'Pmean'\]; expected"):
        read_mkm_profiles(folder)
    means.write_text("# y y+ Umean dUmean/dy Wmean dWmean/dy Pmean\n0 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match="does not say its Re_tau"):
        read_mkm_profiles(folder)
    table = " ".join("0" for _ in range(6)) + "\n"
    means.write_text("# Re = 9\n# y y+ Umean dUmean/dy Wmean dWmean/dy Pmean\n" + table)
    with pytest.raises(DataError, match="6 columns of numbers, expected 7"):
        read_mkm_profiles(folder)


def test_made_up_files_are_read_in_wall_units(tmp_path):
    folder = tmp_path / "made"
    (folder / "profiles").mkdir(parents=True)
    y = np.linspace(0, 1, 5)
    head = "# Re = 100.0\n# {}\n"
    laminar = np.stack([y, 100 * y, y, 100 * (1 - y), 0 * y, 0 * y, 0 * y], 1)
    stress = np.stack([y, 100 * y, y**2, y**2, y**2, 0 * y, 0 * y, 0 * y], 1)
    for kind, names, table in (
        ("means", "y y+ Umean dUmean/dy Wmean dWmean/dy Pmean", laminar),
        ("reystress", "y y+ R_uu R_vv R_ww R_uv R_uw R_vw", stress),
    ):
        path = folder / "profiles" / f"made.{kind}"
        np.savetxt(path, table, header=head.format(names).replace("# ", ""), comments="# ")
    profiles = read_mkm_profiles(folder)
    assert profiles["total_stress"].values == pytest.approx(1 - y)
    assert profiles["v_rms"].values == pytest.approx(y)
