"""Readers of profiles published elsewhere, on the real files and on broken ones."""

import numpy as np
import pytest

from pushforward.datasets.channel import read_del_alamo_profiles, read_filtered_profiles
from pushforward.simulators.errors import DataError

HEADER = "% y/h y+ U+ u'+ v'+ w'+ -Om_z+ om_x'+ om_y'+ om_z'+ uv'+ uw'+\n"


@pytest.fixture
def channel_data(real_data):
    folder = real_data / "channel"
    if not (folder / "ajzm2006").is_dir():
        pytest.skip(f"no folder {folder / 'ajzm2006'}")
    return folder


@pytest.mark.parametrize(("name", "re_tau"), [("180", 186.34), ("550", 546.74), ("2000", 2004.3)])
def test_profiles_of_del_alamo_obey_the_momentum_balance(channel_data, name, re_tau):
    path = channel_data / "ajzm2006" / f"Re{name}" / "profiles" / f"Re{name}.prof"
    found = read_del_alamo_profiles(path)
    assert found.attrs["re_tau"] == pytest.approx(re_tau, rel=1e-4)
    # The mean momentum equation: total stress falls linearly from the wall to the centre.
    assert float(abs(found["total_stress"] - (1 - found["y"])).max()) < 0.01
    slope = np.gradient(found["u_plus"].values, found["y_plus"].values)
    assert slope[2:-2] == pytest.approx(found["viscous_plus"].values[2:-2], abs=0.02)
    assert 2.6 < float(found["u_rms"].max()) < 3.0


def test_deviations_beside_the_profiles_become_errors(channel_data):
    path = channel_data / "ajzm2006" / "Re180" / "profiles" / "Re180.prof"
    found = read_del_alamo_profiles(path)
    assert 0 < float(found["u_rms_error"].max()) < 0.05 * float(found["u_rms"].max())
    assert "total_stress_error" not in found


def test_filtering_takes_a_quarter_of_the_streamwise_fluctuations(channel_data):
    filtered = read_filtered_profiles(channel_data / "fdns_iufno" / "fdns_vel_stats_re180.txt")
    assert float(filtered["u_rms"].max()) == pytest.approx(2.00, abs=0.01)
    assert float(filtered["v_rms"].max()) == pytest.approx(0.567, abs=0.001)


def test_a_made_up_file_is_read_in_wall_units(tmp_path):
    path = tmp_path / "Re9.prof"
    rows = ["0 0 0 0 0 0 1 0 0 0 0 0", "1 9 6 1 2 3 0 0 0 0 -0.25 0"]
    path.write_text("A warning without a sign.\n" + HEADER + "\n".join(rows) + "\n")
    found = read_del_alamo_profiles(path)
    assert found.attrs["re_tau"] == 9
    assert found["uv_plus"].values.tolist() == [0, 0.25]
    assert found["total_stress"].values.tolist() == [1, 0.25]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "Re9.prof"
    with pytest.raises(DataError, match=r"no such file: .*Re9.prof. It is named like Re550"):
        read_del_alamo_profiles(path)
    path.write_text("% y/h U+\n0 0\n")
    with pytest.raises(DataError, match=r"has columns \['y/h', 'U\+'\]; expected"):
        read_del_alamo_profiles(path)
    path.write_text(HEADER + "0 0 0\n")
    with pytest.raises(DataError, match="3 columns of numbers, expected 12"):
        read_del_alamo_profiles(path)
    path.write_text(HEADER + "0 0 0 0 0 0 0 0 0 0 0 0\n1 9 0 0 0 0 0 0 0 0 0 0\n")
    path.with_suffix(".std").write_text(HEADER + "0 0 0 0 0 0 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match="do not share their points"):
        read_del_alamo_profiles(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0 0\n", "has 4 columns; expected 5: y_plus, u_plus"),
        ("1 0 0 0 0\n", r"the first column is y\+, which rises from 0"),
        ("0 0 0 0 nan\n", "not finite"),
        ("wall\n", "is no table of numbers"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "fdns.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_filtered_profiles(path)
    with pytest.raises(DataError, match="no such file"):
        read_filtered_profiles(tmp_path / "other.txt")
