"""The rows of the atmosphere task: every way to forecast CO2 from one start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.tasks.atmosphere.config import SIZES, AtmosphereConfig
from pushforward.benchmarks.tasks.atmosphere.upwind import upwind_rollout
from pushforward.datasets.atmosphere import CarbonData, CarbonWindow
from pushforward.simulators.atmosphere import CarbonSimulation, simulation_of
from pushforward.surrogates.atmosphere import NETWORKS, CarbonEmulator, MassFixer, with_fixer
from pushforward.surrogates.blocks import load_any

__all__ = ["Row", "emulator_rows", "load_emulator", "new_emulator", "reference_rows"]

Forecast = Float[Tensor, "starts steps level lat lon"]


@dataclass(frozen=True)
class Row:
    """A way to forecast.

    Parameters
    ----------
    name : in tables.
    forecast : `(window, steps) -> mixing ratios` of the steps after the start, 1e-6 kg/kg.
    variant : the trained network behind it; empty for references.
    """

    name: str
    forecast: Callable[[CarbonWindow, int], Forecast]
    variant: str = ""


def reference_rows(config: AtmosphereConfig, data: CarbonData, starts: Sequence[int]) -> list[Row]:
    """Rows that learn nothing.

    `persistence` holds the start. `upwind_winds` is first-order upwind transport by the winds, air
    and fluxes that emulators are given. Where the data were simulated, `upwind` is the simulator
    itself, mixing and all, with that scheme in place of its own: what cheap numerics can do; and
    `upwind_long` takes one step from time to time of the data, which is as cheap as it gets.

    Parameters
    ----------
    starts : index in the data of every start of the forecasts.
    """

    def held(window: CarbonWindow, steps: int) -> Forecast:
        return window.concentration[:, :1].expand(-1, steps, -1, -1, -1)

    def by_winds(window: CarbonWindow, steps: int) -> Forecast:
        return upwind_rollout(data.grid, window, steps, seconds=data.step_seconds)

    rows = [Row("persistence", held), Row("upwind_winds", by_winds)]
    attributes = data.store.dataset.attrs
    if "simulation" in attributes:
        simulation, seed = simulation_of(attributes)
        long = replace(simulation, step_hours=float(simulation.frame_hours))
        times = [simulation.start_seconds() + s * data.step_seconds for s in starts]
        for name, solver in (("upwind", simulation), ("upwind_long", long)):
            rows.append(Row(name, _solved(solver, seed, times)))
    return rows


def _solved(
    simulation: CarbonSimulation, seed: int, times: Sequence[float]
) -> Callable[[CarbonWindow, int], Forecast]:
    """The simulator with first-order upwind transport, restarted at every start of a window."""
    model = simulation.model(seed=seed, scheme="upwind")

    def forecast(window: CarbonWindow, steps: int) -> Forecast:
        parts = []
        for i, time in enumerate(times):
            air = window.airmass[i, 0].double() * 1e12
            state = model.restart(air, window.concentration[i, 0].double() / 1e6, time=time)
            kept = []
            for _ in range(steps):
                state = model.advance(state, simulation.steps_a_frame)
                kept.append(state.mixing_ratio[0].float() * 1e6)
            parts.append(torch.stack(kept))
        return torch.stack(parts)

    return forecast


def new_emulator(
    config: AtmosphereConfig, variant: str, seed: int, *, levels: int, grid: tuple[int, int]
) -> CarbonEmulator:
    """An untrained emulator: a network's name, with `_uncentred` behind it or not."""
    name = variant.removesuffix("_uncentred")
    kind: Any = NETWORKS[name]  # each with options of its own
    if config.size == "paper":
        network = kind.paper(levels, grid=grid)
        network = kind(**{**network.configuration(), "seed": seed})
    else:
        sizes = SIZES[config.size][name]
        network = kind(10 * levels + 7, levels, grid=grid, seed=seed, **sizes)
    fixer = MassFixer(config.fixer, reference=config.fixer_reference)
    return CarbonEmulator(network, centred=name == variant, fixer=fixer)


def load_emulator(folder: Path) -> CarbonEmulator:
    """A trained emulator."""
    return load_any(folder, (CarbonEmulator,))


def emulator_rows(variant: str, model: CarbonEmulator) -> list[Row]:
    """Roll-outs of a trained emulator with its fixer, and without one (`_free`)."""

    def row(name: str, emulator: CarbonEmulator) -> Row:
        def forecast(window: CarbonWindow, steps: int) -> Forecast:
            device = emulator.offset.device
            with torch.inference_mode():
                there = window.to(device)
                start = there.concentration[:, 0]
                return emulator.rollout(start, steps, condition=there).cpu()

        return Row(name, forecast, variant)

    return [row(variant, model), row(f"{variant}_free", with_fixer(model, None))]
