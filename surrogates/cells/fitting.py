"""Fitting a Monge map, with the number of steps chosen on training populations alone."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.simulators.files import write_json
from pushforward.surrogates.cells.monge_map import MongeMap
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions, check_bounded
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.ot import wasserstein
from pushforward.surrogates.training import Optimisation, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["FittedMap", "fit_monge_map"]

log = logging.getLogger(__name__)

VALIDATION_CELLS = 400  # cells a side; the exact distance is cubic in their number


@dataclass(frozen=True)
class FittedMap:
    """A trained map, the steps it took, and the curve they were chosen from (if they were)."""

    model: MongeMap
    steps: int
    selection: list[dict[str, float]]


def fit_monge_map(
    populations: Populations,
    *,
    hidden: tuple[int, ...] = (64, 64),
    options: MongeOptions | None = None,
    optimisation: Optimisation | None = None,
    select_every: int = 25,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "Monge map",
) -> FittedMap:
    """Fit one map from control to treated cells, meant for populations not seen in training.

    A map that fits the training patients ever better serves an unseen patient worse: the number
    of steps is what must be chosen. Each training population in turn is left out, a map is fitted
    on the others, and the relative distance W2(T#control, treated)/W2(control, treated) of the
    one left out is followed; the final map is trained on all for the number of steps at which the
    mean over populations was lowest. Step 0, the identity, takes part. Held-out data of the
    caller play no role in it.

    Parameters
    ----------
    populations : training populations by name, each (control, treated).
    hidden : widths of the network.
    options : the objective; default `MongeOptions()`.
    optimisation : AdamW and the largest number of steps; default `Optimisation(steps=400)`.
    select_every : steps between candidates; 0 trains for all `optimisation.steps` instead, as
        does a single training population.
    seed : of initial weights and batches.
    folder : where checkpoints are kept, so that a killed fit goes on; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Returns
    -------
    FittedMap.

    Raises
    ------
    DataError : fewer than 2 cells somewhere, or `select_every` with a learning-rate schedule (the
        chosen number of steps would mean another schedule).
    DivergedError, InterruptedRun : as `train`.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import fit_monge_map
    >>> from pushforward.surrogates.training import Optimisation
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> fitted = fit_monge_map({"a": (x[:100], x[100:] + 2.0)}, select_every=0,
    ...                        optimisation=Optimisation(steps=200, learning_rate=0.01))
    >>> bool((fitted.model(x).mean(0) - x.mean(0) - 2).abs().max() < 0.5)
    True
    """
    options = options or MongeOptions()
    optimisation = optimisation or Optimisation(steps=400)
    if select_every and optimisation.schedule != "constant":
        raise DataError(
            f"select_every = {select_every} needs schedule = constant, got "
            f"{optimisation.schedule!r}. Use one or the other."
        )

    def fit(
        chosen: Populations, steps: int, part: str, unseen: tuple[Tensor, Tensor] | None
    ) -> tuple[MongeMap, list[dict]]:
        objective = MongeObjective(chosen, options)
        model = _new_map(chosen, hidden, seed)
        device = next(iter(chosen.values()))[0].device
        model.to(device)
        if steps == 0:
            return model.eval(), []
        evaluate = None if unseen is None else _Distance(*unseen)
        report = train(
            model,
            objective,
            replace(optimisation, steps=steps),
            seed=seed,
            folder=folder / part if folder else None,
            evaluate=evaluate,
            evaluate_every=select_every if evaluate else 0,
            fabric=fabric,
            label=f"{label} ({part})",
        )
        return model, report.history

    steps, selection = optimisation.steps, []
    if select_every and len(populations) > 1:
        cached = folder / "selection.json" if folder else None
        if cached is not None and cached.exists():
            selection = json.loads(cached.read_text())
        else:
            curves = []
            for i, name in enumerate(populations):
                others = {k: v for k, v in populations.items() if k != name}
                curves.append(fit(others, steps, f"without-{i}", populations[name])[1])
            selection = [{"step": 0.0, "distance": 1.0}]
            for points in zip(*curves, strict=True):
                mean = sum(p["distance"] for p in points) / len(points)
                selection.append({"step": float(points[0]["step"]), "distance": mean})
            if cached is not None:
                write_json(cached, selection)
        steps = int(min(selection, key=lambda point: point["distance"])["step"])
        log.debug("%s: %d steps chosen", label, steps)
    elif select_every:
        log.info("%s: one training population, so no choice of steps: all %d", label, steps)
    model, _ = fit(populations, steps, "final", None)
    return FittedMap(model, steps, selection)


class _Distance:
    """W2(T#control, treated) / W2(control, treated) on fixed cells of a population left out."""

    def __init__(self, control: Float[Tensor, "n d"], treated: Float[Tensor, "m d"]):
        n = min(len(control), len(treated), VALIDATION_CELLS)
        self.control, self.treated = _thin(control, n), _thin(treated, n)
        self.start = wasserstein(self.control, self.treated).item()

    def __call__(self, model: nn.Module) -> dict[str, float]:
        distance = wasserstein(check_bounded(model(self.control)), self.treated).item()
        return {"distance": distance / self.start if self.start > 0 else 1.0}


def _thin(cloud: Float[Tensor, "n d"], n: int) -> Float[Tensor, "k d"]:
    """`n` rows spread evenly over the cloud."""
    index = torch.linspace(0, len(cloud) - 1, n, device=cloud.device).round().long()
    return cloud[index]


def _new_map(populations: Populations, hidden: tuple[int, ...], seed: int) -> MongeMap:
    control = torch.cat([c for c, _ in populations.values()])
    scale = control.std(0).square().mean().sqrt().item()
    return MongeMap(
        control.shape[1],
        hidden=hidden,
        centre=control.mean(0).tolist(),
        scale=scale if scale > 0 else 1.0,
        seed=seed,
    )
