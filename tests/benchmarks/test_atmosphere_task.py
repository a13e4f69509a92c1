"""The atmosphere task end to end, tiny; its rows, splits and report."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import xarray as xr

from pushforward.benchmarks.leaderboard import make_boards, to_markdown
from pushforward.benchmarks.page import make_page
from pushforward.benchmarks.result import Result, read_results
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.atmosphere import task as atmosphere
from pushforward.benchmarks.tasks.atmosphere.config import ATMOSPHERE_PRESETS
from pushforward.benchmarks.tasks.atmosphere.data import cut_forecasts, split
from pushforward.benchmarks.tasks.atmosphere.report import comparison_lines
from pushforward.benchmarks.tasks.atmosphere.rows import reference_rows
from pushforward.benchmarks.tasks.atmosphere.stations import station_metrics
from pushforward.benchmarks.tasks.atmosphere.upwind import WindFluxes
from pushforward.cli import main
from pushforward.datasets.atmosphere import (
    CO2_PER_AIR,
    open_carbon,
    open_stations,
    write_carbon_forecasts,
)
from pushforward.simulators.atmosphere import latlon_grid
from pushforward.simulators.errors import DataError, InterruptedRun
from pushforward.surrogates.atmosphere import TransportObjective

pytestmark = pytest.mark.usefixtures("unchecked")

TINY = dataclasses.replace(
    ATMOSPHERE_PRESETS["smoke"](),
    days=16,
    spin_up_days=1,
    lead_days=7,
    start_every_days=1,
    models=["sfno"],
    uncentred=True,
    unroll_steps=[3, 1],
    speed_steps=2,
    speed_repeats=1,
)


def observe(folder, times, ppm, lon=-10.0):
    """An ObsPack file near the ground on the equator."""
    folder.mkdir(exist_ok=True)
    columns = {"latitude": 1.0, "longitude": lon, "altitude": -500.0}
    arrays = {k: ("obs", np.full(len(times), v)) for k, v in columns.items()}
    arrays["value"] = ("obs", np.asarray(ppm) * 1e-6, {"units": "mol mol-1"})
    xr.Dataset({**arrays, "time": ("obs", times)}).to_netcdf(folder / "co2_equator.nc")
    return str(folder)


@pytest.fixture(scope="module")
def stations(tmp_path_factory):
    """Hourly observations, 400 ppm, of the days that `TINY` simulates."""
    times = np.datetime64("2016-01-01", "ns") + np.arange(16 * 24) * np.timedelta64(1, "h")
    return observe(tmp_path_factory.mktemp("obspack"), times, np.full(len(times), 400.0))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, stations):
    """A whole tiny run."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "out", preset="smoke")
    config = dataclasses.replace(TINY, stations=stations)
    return folder, atmosphere.run(config, folder, device="cpu")


def test_run_writes_every_part(finished):
    folder, paths = finished
    rows = ("sfno", "sfno_free", "sfno_uncentred", "sfno_uncentred_free")
    references = ("persistence", "upwind", "upwind_long", "upwind_winds")
    assert {p.name for p in paths} == {f"{r}-test-0.json" for r in (*rows, *references)}
    with_fixer = Result.read(folder.results / "sfno-test-0.json")
    free = Result.read(folder.results / "sfno_free-test-0.json")
    assert with_fixer.learned
    assert with_fixer.metrics["rel_mass_rmse_7d"].value < 1e-7
    assert free.metrics["rel_mass_rmse_7d"].value > 1e-6
    assert {"ms_per_step", "ms_per_step_reading", "ms_per_step_writing"} <= set(with_fixer.metrics)
    upwind = Result.read(folder.results / "upwind-test-0.json")
    assert not upwind.learned
    assert "rise_loss" in with_fixer.metrics
    assert "rise_loss" not in upwind.metrics
    for row in (with_fixer, upwind):
        assert row.metrics["station_rmse"].n == 1
        assert set(row.reference["truth"]) == {n for n in row.metrics if n.startswith("station")}
    (board,) = make_boards(read_results([folder.path]))
    (line,) = comparison_lines(board)
    assert line.startswith("sfno: rmse over that of persistence")
    assert "centred" in line
    assert "; a step takes" in line
    assert "| persistence |" in to_markdown([board])
    page = make_page(read_results([folder.path]), title="t")
    assert page.count("<svg") == 3


def test_what_a_model_predicts_from_files_scores_as_in_the_run(finished, tmp_path):
    """predict and evaluate on the run's own data give the run's own rows, fixed and free."""
    folder, _ = finished
    run = {r.model: r for r in read_results([folder.path])}
    data, out = str(folder.predictions / "data.nc"), str(tmp_path / "o")
    starts = run["sfno"].sample["starts"]
    for model, extra in (("sfno", []), ("sfno_free", ["--free"])):
        path = str(tmp_path / f"{model}.nc")
        words = ["--model", str(folder.models / "sfno-0"), "--data", data, "--out", path, *extra]
        words += ["--start", starts[0][:13], "--every", "4", "--steps", "28", "--quiet"]
        assert main(["predict", "atmosphere", *words]) == 0
        with xr.open_dataset(path) as written:  # another order and unit of the same
            turned = written.isel(lat=slice(None, None, -1), level=slice(None, None, -1))
            turned = turned.assign(co2massmix=turned.co2massmix / 1e6)
            turned.co2massmix.attrs["units"] = "kg kg-1"
            turned.to_netcdf(tmp_path / "turned.nc")
        mine = ["--predictions", str(tmp_path / "turned.nc"), "--name", "their_" + model]
        words = ["--config", str(folder.config_file), "--data", data, *mine, "--out", out]
        assert main(["evaluate", "atmosphere", *words, "--quiet"]) == 0
        found = Result.read(tmp_path / "o" / "results" / f"their_{model}-test-0.json")
        own = {k: m for k, m in run[model].metrics.items() if not k.startswith(("ms_", "rise"))}
        assert set(found.metrics) == set(own)
        for name, metric in found.metrics.items():
            assert metric.value == pytest.approx(own[name].value, rel=1e-3, abs=1e-6), name
        for row in ("persistence", "upwind_winds"):
            for name, value in found.reference[row].items():
                if name != "ms_per_step":
                    assert value == pytest.approx(run[row].metrics[name].value), name
    (board,) = make_boards(read_results([folder.path, out]))
    assert "| their_sfno |" in to_markdown([board])
    alone = Result.read(tmp_path / "o" / "results" / "their_sfno-test-0.json")
    (line,) = comparison_lines(make_boards([alone])[0])
    assert line.startswith("their_sfno: rmse over that of persistence")
    assert "| (upwind_winds) |" in to_markdown(make_boards([alone]))


@pytest.mark.parametrize(
    ("verb", "change", "says"),
    [
        ("predict", {"--model": "{run}"}, "models/sfno-0, "),
        ("predict", {"--out": "{there}"}, "exists. Choose another --out"),
        ("predict", {"--start": "2015"}, "no time of"),
        ("predict", {"--steps": "99"}, "are needed for all 99"),
        ("predict", {"--data": "{there}"}, "lacks airmass"),
        ("evaluate", {"--name": "unet_big"}, "the name of a row of our own"),
        ("evaluate", {"--predictions": "{there}"}, "has no forecasts of 28 steps from 2016"),
        (
            "evaluate",
            {"--predictions": "{data}"},
            "no co2massmix; no lead; no start_time",
        ),
        ("evaluate", {"--predictions": "{odd}"}, "lat has 7 values"),
        ("evaluate", {"--predictions": "{plain}"}, "has no units attribute"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    verb, change, says, finished, tmp_path, capsys
):
    folder, _ = finished
    data = folder.predictions / "data.nc"
    names = {"run": folder.path, "data": data}
    names |= {name: tmp_path / f"{name}.nc" for name in ("there", "odd", "plain")}
    with open_carbon(data).store.dataset as source:
        carbon = open_carbon(source)
        blank = torch.zeros(1, 2, 3, 8, 16)
        write_carbon_forecasts(names["there"], blank, carbon, start=[0])
    with xr.open_dataset(names["there"], decode_timedelta=False) as there:
        there.isel(lat=slice(1, None)).to_netcdf(names["odd"])
        there.co2massmix.attrs.pop("units")
        there.to_netcdf(names["plain"])
    options = {
        "predict": {"--model": "{run}/models/sfno-0", "--out": str(tmp_path / "new.nc")},
        "evaluate": {
            "--config": "{run}/config.yaml", "--predictions": "{there}", "--name": "x",
            "--out": str(tmp_path / "new"),
        },
    }[verb] | {"--data": "{data}"}  # fmt: skip
    words = [w.format(**names) for pair in (options | change).items() for w in pair]
    assert main([verb, "atmosphere", *words]) == 3
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("new*"))


def test_a_second_run_only_looks(finished, stations):
    folder, paths = finished
    before = {p: p.stat().st_mtime_ns for p in paths}
    atmosphere.run(dataclasses.replace(TINY, stations=stations), folder, device="cpu")
    assert before == {p: p.stat().st_mtime_ns for p in paths}


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_same_numbers(finished, stations, tmp_path, signal_at):
    whole, paths = finished
    config = dataclasses.replace(TINY, stations=stations)
    folder = RunFolder(tmp_path / "out", preset="smoke")
    (folder.predictions).mkdir(parents=True)
    (folder.predictions / "data.nc").write_bytes((whole.predictions / "data.nc").read_bytes())
    with signal_at(TransportObjective, 6), pytest.raises(InterruptedRun):
        atmosphere.run(config, folder, device="cpu")
    assert not folder.results.exists()
    atmosphere.run(config, folder, device="cpu")
    for path in paths:
        content = [json.loads((f.results / path.name).read_text()) for f in (whole, folder)]
        assert content[0]["sample"] == content[1]["sample"]


def test_training_and_test_are_apart_and_starts_are_the_data(finished):
    data = open_carbon(finished[0].predictions / "data.nc")
    training, test = split(TINY, data)
    assert training.times[-1] < test.times[0]
    forecasts = cut_forecasts(TINY, test)
    assert forecasts.window.steps == 28
    one = data.window(forecasts.starts[-1], 28)
    assert torch.equal(forecasts.window.concentration[-1], one.concentration)
    risen = forecasts.risen(30.0)
    rise = risen.concentration - forecasts.window.concentration
    assert rise.mean().item() == pytest.approx(30 * 44.009 / 28.9652, rel=1e-4)
    path = str(finished[0].predictions / "data.nc")
    apart = dataclasses.replace(TINY, data=path, test_data=path)
    assert [len(part) for part in split(apart, data)] == [64, 64]
    with pytest.raises(DataError, match="a forecast of 30 days takes 120"):
        split(dataclasses.replace(TINY, lead_days=30), data)


def test_a_station_in_the_forecast_sees_its_own_cell(finished, tmp_path):
    data = open_carbon(finished[0].predictions / "data.nc")
    forecasts = cut_forecasts(TINY, split(TINY, data)[1])
    truth = forecasts.window.concentration[:, 1:]
    column = 15  # of cells of 22.5 degrees: 10 degrees west are nearer to its centre than to 0
    known = data.window(0, len(data) - 1).concentration[:, 0, 4, column] / CO2_PER_AIR
    folder = observe(tmp_path / "here", data.times, known.double().numpy(), lon=-12.0)
    here = station_metrics(open_stations(folder), data, forecasts, truth)
    assert here["station_rmse"].value < 1e-4
    assert here["station_r2"].value == pytest.approx(1)
    off = station_metrics(open_stations(folder), data, forecasts, truth + 2 * CO2_PER_AIR)
    assert off["station_abs_bias"].value == pytest.approx(2, rel=1e-4)
    assert off["station_r2"].value == pytest.approx(1)
    late = observe(tmp_path / "late", data.times + np.timedelta64(900, "D"), known.numpy())
    with pytest.raises(DataError, match="no station has observations at the times"):
        station_metrics(open_stations(late), data, forecasts, truth)


def spoilt(dataset, how):
    """Simulated data with one thing wrong."""
    if how == "variable":
        return dataset.sel(vari_3d=[v for v in dataset.vari_3d.values if v != "u"])
    if how == "layer":
        return dataset.isel(level=[0, 2])
    if how == "gap":
        return dataset.drop_isel(time=[40, 41])
    spoilt = dataset.copy(deep=True)
    if how == "units":
        units = json.loads(spoilt.variables_3d.attrs["label_units"])
        spoilt.variables_3d.attrs["label_units"] = json.dumps({**units, "u": "K"})
    else:
        spoilt.variables_3d[17, 7, 1, 2, 3] = np.nan
    return spoilt


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("units", "u has units 'K', which are not 'm s-1'. Convert 'u'"),
        ("variable", "lacks u; a data set in CarbonBench's schema holds"),
        ("layer", "a layer is missing between them"),
        ("gap", "2 times are missing in 1 gaps (2 after 2016-01-10T18"),
        ("nan", "is not finite at 2016-01-05T06"),
        ("stations", "nowhere"),
    ],
)
def test_wrong_files_are_refused_on_the_command_line(finished, tmp_path, capsys, how, message):
    path, out = tmp_path / "data.nc", tmp_path / "out"
    words = ["run", "atmosphere", "--preset", "smoke", "--out", str(out), "--quiet"]
    if how == "stations":
        words += ["--stations", str(tmp_path / "nowhere")]
    else:
        with xr.open_dataset(finished[0].predictions / "data.nc") as dataset:
            spoilt(dataset.load(), how).to_netcdf(path)
        words += ["--data", str(path), "--lead-days", "4"]
    assert main(words) == 3
    assert message in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_upwind_rows_start_at_the_truth_and_keep_the_mass(finished):
    data = open_carbon(finished[0].predictions / "data.nc")
    forecasts = cut_forecasts(TINY, split(TINY, data)[1])
    window = forecasts.window.part(0, 4)
    held, by_winds, solved, long = (
        r.forecast(window, 4) for r in reference_rows(TINY, data, forecasts.starts)
    )
    truth = window.concentration[:, 1:]
    errors = [
        (x - truth).square().mean((0, 2, 3, 4)).sqrt() for x in (held, by_winds, solved, long)
    ]
    assert errors[1][0] < errors[0][0]
    assert (errors[2] < errors[0]).all()
    assert (errors[3] < errors[0]).all()
    assert not torch.equal(solved, long)
    mass = (truth.double() * window.airmass[:, 1:].double()).sum((2, 3, 4))
    for forecast, error in ((by_winds, 1e-7), (solved, 1e-7), (long, 1e-4)):
        found = (forecast.double() * window.airmass[:, 1:].double()).sum((2, 3, 4))
        torch.testing.assert_close(found, mass, rtol=error, atol=0)  # long: another air mass


def test_fluxes_from_winds_turn_one_air_mass_into_the_next():
    grid = latlon_grid(8, 16)
    generator = torch.Generator().manual_seed(0)
    u, v = 10 * torch.randn(2, 1, 3, 8, 16, generator=generator, dtype=torch.float64)
    air = grid.cell_area * torch.tensor([1.0, 3.0, 2.0]).double()[:, None, None]
    air = air[None] * (1 + 0.05 * torch.rand(1, 3, 8, 16, generator=generator).double())
    after = air * (1 + 0.01 * torch.randn(air.shape, generator=generator).double())
    after = after * air.sum() / after.sum()
    fluxes = WindFluxes(grid, 3600.0)(u, v, air, after)
    gain = fluxes.east.roll(1, -1) - fluxes.east - fluxes.north.diff(dim=-2)
    gain = gain - fluxes.up.diff(dim=-3)
    torch.testing.assert_close(air + gain, after, rtol=1e-9, atol=0)
    eastward = fluxes.east.mean() / (3600 * (u * air / grid.cell_area)).mean()
    still = WindFluxes(grid, 3600.0)(0 * u, 0 * v, air, air)
    assert max(still.east.abs().max(), still.north.abs().max(), still.up.abs().max()) < 1e-3
    assert np.isfinite(eastward.item())
