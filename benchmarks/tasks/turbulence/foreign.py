"""Forecasts of turbulence by any model, from a file, scored as a run scores its own."""

import hashlib
import logging
import math
import os
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.result import Result
from pushforward.benchmarks.run_folder import RunFolder
from pushforward.benchmarks.tasks.foreign import UNKNOWN_COST, check_row_name, write_foreign
from pushforward.benchmarks.tasks.turbulence.config import SIDE
from pushforward.benchmarks.tasks.turbulence.rows import march
from pushforward.benchmarks.tasks.turbulence.sample import forecast_sample
from pushforward.benchmarks.tasks.turbulence.scoring import score_forecast
from pushforward.benchmarks.tasks.turbulence.task import HEADLINE, TASK, TASK_VERSION
from pushforward.datasets.turbulence import (
    TurbulenceForecasts,
    open_turbulence,
    open_turbulence_forecasts,
)
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    stable_time_step,
)
from pushforward.surrogates.turbulence import CoarseFlow

__all__ = ["evaluate", "flow_of_file"]

log = logging.getLogger(__name__)

OWN = ("li", "li_bundled", "lc", "tsm", "tsm_bundled", "persistence")
PHYSICS = {
    "viscosity": "viscosity",
    "drag": "drag",
    "amplitude": "forcing_amplitude",
    "wavenumber": "forcing_wavenumber",
}


def evaluate(
    data: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    folder: RunFolder,
    *,
    model: str,
    seed: int = 0,
) -> list[Path]:
    """Score forecasts of flows from a file beside persistence and the coarse solver.

    Where the data are the test flows of a run (`OUT/predictions/reference/SPLIT.nc`) and the
    forecasts are those a run makes (every flow, from time 0 to the last frame), the row belongs
    to the tables of that run; any other choice of starts and leads is a question of its own.

    Parameters
    ----------
    data : the truth, a file of flows of any layout that `open_turbulence` reads.
    predictions : netCDF of forecasts, see `open_turbulence_forecasts`.
    folder : where the results go.
    model : the name of the row.
    seed : of the row, where it has several.

    Returns
    -------
    Paths of the results files.

    Raises
    ------
    DataError : a name of our own rows, a file that is not what it must be, or other scores that
        stand in the folder under the same name.
    """
    check_row_name(model, OWN, ("fv_", "spectral_"))
    with open_turbulence(data) as dataset:
        forecasts = open_turbulence_forecasts(predictions, dataset)
        about = dict(dataset.attrs)
        flow = flow_of_file(dataset, str(data))
        whole = _is_of_run(forecasts, dataset)
    spacing = flow.dt * forecasts.every
    scores = score_forecast(
        forecasts.predicted, forecasts.truth, spacing=spacing, cell=flow.spacing
    )
    reference = {
        name: {
            metric: value.value
            for metric, value in score_forecast(
                row, forecasts.truth, spacing=spacing, cell=flow.spacing
            ).metrics.items()
        }
        for name, row in _references(forecasts, flow).items()
    }
    result = Result(
        task=TASK,
        task_version=TASK_VERSION,
        model=model,
        preset=folder.preset or str(about.get("preset") or "file"),
        seed=seed,
        split=str(about.get("split") or Path(data).stem),
        split_kind="flow",
        metrics=scores.metrics,
        reference=reference,
        cost=UNKNOWN_COST,
        config_hash=str(about.get("config_hash", "unknown")),
        data_fingerprint=about["config_hash"] if whole else _fingerprint(forecasts),
        headline=HEADLINE,
        sample=forecast_sample(
            forecasts.predicted,
            forecasts.truth,
            scores,
            spacing=spacing,
            cell=flow.spacing,
            pictures=True,
        ),
    )
    return write_foreign([result], folder)


def flow_of_file(dataset: xr.Dataset, name: str, default: CoarseFlow | None = None) -> CoarseFlow:
    """The flow that a file of frames says it is of, one step a frame.

    What the file does not say is taken from `default`, the published Kolmogorov flow if not given,
    and the log says so.

    Parameters
    ----------
    dataset : from `open_turbulence`.
    name : of the file, for the log.
    """
    default = default or CoarseFlow()
    missing = sorted(k for k, attribute in PHYSICS.items() if attribute not in dataset.attrs)
    if missing:
        said = ", ".join(f"{k} {getattr(default, k):g}" for k in missing)
        log.info("%s does not say its %s; taken as %s.", name, ", ".join(missing), said)
    times = dataset["time"].values
    found = {k: float(dataset.attrs.get(a, getattr(default, k))) for k, a in PHYSICS.items()}
    return CoarseFlow(
        (dataset.sizes["x"], dataset.sizes["y"]),
        domain=tuple(dataset.attrs["domain"]),
        viscosity=found["viscosity"],
        drag=found["drag"],
        amplitude=found["amplitude"],
        wavenumber=round(found["wavenumber"]),
        dt=float(times[-1] - times[0]) / (len(times) - 1),
    )


def _references(
    forecasts: TurbulenceForecasts, flow: CoarseFlow
) -> dict[str, Float[Tensor, "start lead 2 x y"]]:
    """The start, held; and the finite-volume solver on the grid of the data."""
    frames = forecasts.truth.shape[1]
    spacing = forecasts.every * flow.dt
    stable = stable_time_step((flow.spacing, flow.spacing), viscosity=flow.viscosity)
    steps = math.ceil(spacing / stable - 1e-6)  # a whole number in a run, but for rounding
    solver = FiniteVolumeSolver(
        flow.shape,
        domain=flow.domain,
        viscosity=flow.viscosity,
        drag=flow.drag,
        forcing=KolmogorovForcing(flow.amplitude, flow.wavenumber) if flow.amplitude else None,
        dt=spacing / steps,
    )
    return {
        "persistence": forecasts.given[:, None].expand(-1, frames, -1, -1, -1),
        f"fv_{round(SIDE / flow.spacing)}": march(
            solver.advance, forecasts.given, steps, frames, lambda state: state
        ),
    }


def _is_of_run(forecasts: TurbulenceForecasts, dataset: xr.Dataset) -> bool:
    """Whether these are the forecasts that a run makes of its own flows."""
    if "split" not in dataset.attrs or "config_hash" not in dataset.attrs:
        return False
    begin = int(np.abs(dataset["time"].values).argmin())
    return (
        forecasts.every == 1
        and (forecasts.start == begin).all()
        and np.array_equal(forecasts.sample, dataset["sample"].values)
        and begin + forecasts.truth.shape[1] == dataset.sizes["time"] - 1
    )


def _fingerprint(forecasts: TurbulenceForecasts) -> str:
    """Of the numbers that are forecast."""
    digest = hashlib.sha256()
    for part in (forecasts.given, forecasts.truth):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:12]
