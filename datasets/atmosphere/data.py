"""A CO2 transport data set: windows for networks, splits by date, statistics of the training."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from pushforward.datasets.atmosphere.coordinates import Gap
from pushforward.datasets.atmosphere.store import CarbonStore
from pushforward.datasets.atmosphere.variables import FLUXES, INPUTS_2D, INPUTS_3D
from pushforward.datasets.atmosphere.window import CarbonWindow
from pushforward.simulators.atmosphere import LatLonGrid, latlon_grid
from pushforward.simulators.errors import DataError

__all__ = ["CarbonData"]

BLOCK = 64  # times read at once


@dataclass(frozen=True)
class CarbonData:
    """CO2, air, weather and surface fluxes on a global grid, step after step.

    Parameters
    ----------
    store : the files.
    times : those of this part, datetime64 or cftime.
    step_hours : between consecutive times.
    start : of this part in the store.
    gaps : where times are missing; windows never cross one.
    """

    store: CarbonStore
    times: np.ndarray
    step_hours: float
    start: int = 0
    gaps: tuple[Gap, ...] = ()
    _loaded: CarbonWindow | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def grid(self) -> LatLonGrid:
        """The grid."""
        return latlon_grid(len(self.store.axes.lat), len(self.store.axes.lon))

    @property
    def level(self) -> np.ndarray:
        """Nominal values of the layers, surface first."""
        return self.store.axes.level

    @property
    def step_seconds(self) -> float:
        """Seconds between times."""
        return self.step_hours * 3600

    def load(self) -> "CarbonData":
        """The same with all of it in memory, as float32."""
        if self._loaded is not None:
            return self
        return replace(self, _loaded=self._read(0, len(self) - 1))

    def part(self, first: int, last: int) -> "CarbonData":
        """Times first … last − 1."""
        if not 0 <= first < last <= len(self):
            raise DataError(f"times {first} to {last} of a data set of {len(self)}.")
        inside = tuple(
            g for g in self.gaps if any(t == g.after for t in self.times[first : last - 1])
        )
        loaded = None if self._loaded is None else self._loaded.part(first, last - 1 - first)
        return replace(
            self,
            times=self.times[first:last],
            start=self.start + first,
            gaps=inside,
            _loaded=loaded,
        )

    def between(self, begin: str, end: str) -> "CarbonData":
        """Times from `begin` up to, not including, `end`, both as YYYY-MM-DD.

        Raises
        ------
        DataError : no time lies between them.
        """
        stamps = [str(t)[:10] for t in self.times]
        inside = [i for i, s in enumerate(stamps) if begin <= s < end]
        if not inside:
            raise DataError(
                f"no time from {begin} up to {end}; the data run from {stamps[0]} to {stamps[-1]}."
            )
        return self.part(inside[0], inside[-1] + 1)

    def starts(self, steps: int) -> np.ndarray:
        """Indices at which a window of so many steps begins that crosses no gap.

        Raises
        ------
        DataError : there is none.
        """
        last = len(self) - 1 - steps
        free = np.ones(max(last + 1, 0), dtype=bool)
        for gap in self.gaps:
            after = next(i for i, t in enumerate(self.times) if t == gap.after)
            free[max(after - steps + 1, 0) : after + 1] = False
        found = np.nonzero(free)[0]
        if not len(found):
            raise DataError(
                f"no window of {steps} steps in {len(self)} times with {len(self.gaps)} gaps. "
                "Use shorter windows or more data."
            )
        return found

    def window(self, start: int, steps: int) -> CarbonWindow:
        """Steps `start` … `start + steps`.

        Raises
        ------
        DataError : outside the data, across a gap, or values that are not finite.
        """
        if not 0 <= start <= start + steps < len(self):
            raise DataError(f"steps {start} to {start + steps} of {len(self)} times.")
        for gap in self.gaps:
            if any(t == gap.after for t in self.times[start : start + steps]):
                raise DataError(
                    f"the window from {self.times[start]} crosses a gap: {gap.steps} steps are "
                    f"missing between {gap.after} and {gap.before}. Draw from `starts(steps)`."
                )
        if self._loaded is not None:
            return self._loaded.part(start, steps)
        return self._read(start, steps)

    def windows(self, starts: Sequence[int], steps: int) -> CarbonWindow:
        """Several windows as a batch."""
        return CarbonWindow.stack([self.window(int(s), steps) for s in starts])

    def surface_mass(self, blocks: dict[str, np.ndarray]) -> np.ndarray:
        """CO2 that the fluxes of some times bring until the next, 1e-6 Pg a cell."""
        flux = sum(blocks[name].astype(np.float64) for name in FLUXES)
        area = blocks["cell_area"].astype(np.float64)
        # kg / 1e6 is in 1e-6 Pg, for a Pg is 1e12 kg.
        return flux * area * self.step_seconds / 1e6

    @property
    def fingerprint(self) -> str:
        """Hash of the times, the grid and the mixing ratio at both ends."""
        digest = hashlib.sha256()
        ends = [str(self.times[0]), str(self.times[-1]), len(self.times), self.step_hours]
        digest.update(json.dumps([*ends, self.grid.n_lat, self.grid.n_lon]).encode())
        for i in (0, len(self) - 1):
            block = self.store.read(self.start + i, self.start + i + 1, ["co2massmix"])
            digest.update(np.ascontiguousarray(block["co2massmix"]).tobytes())
        return digest.hexdigest()[:12]

    def _read(self, start: int, steps: int) -> CarbonWindow:
        n, grid, levels = steps + 1, (self.grid.n_lat, self.grid.n_lon), len(self.level)
        concentration = np.empty((n, levels, *grid), np.float32)
        airmass = np.empty_like(concentration)
        channels = len(INPUTS_2D) + len(INPUTS_3D) * levels
        inputs = np.empty((n, channels, *grid), np.float32)
        surface = np.empty((n, *grid), np.float32)
        for first in range(0, n, BLOCK):
            last = min(first + BLOCK, n)
            at = self.start + start
            blocks = self.store.read(at + first, at + last)
            concentration[first:last] = blocks["co2massmix"]
            airmass[first:last] = blocks["airmass"]
            inputs[first:last, : len(INPUTS_2D)] = np.stack([blocks[v] for v in INPUTS_2D], 1)
            layers = np.concatenate([blocks[v] for v in INPUTS_3D], 1)
            inputs[first:last, len(INPUTS_2D) :] = layers
            surface[first:last] = self.surface_mass(blocks)
        tensors = (concentration, airmass, inputs[:steps], surface[:steps])
        return CarbonWindow(*(torch.from_numpy(a) for a in tensors))
