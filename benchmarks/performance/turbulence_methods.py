"""What the turbulence timings compare: our solvers here, peers in processes of their own."""

import json
import math
import subprocess
import time
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

from pushforward.simulators.errors import DataError
from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    stable_time_step,
)
from pushforward.simulators.turbulence.exponential import SpectralStepper

__all__ = ["Case", "Ours", "Peer", "solver_of"]

LENGTH, VISCOSITY, DRAG, WAVENUMBER = 2 * math.pi, 1e-3, 0.1, 4


class Case(NamedTuple):
    """One comparison: an equation's discretisation, a grid and the methods that have it."""

    name: str
    equation: str
    stepper: SpectralStepper
    n: int
    methods: tuple[tuple[str, str, int], ...]  # label, whose, flows at once


def solver_of(case: Case) -> FiniteVolumeSolver | SpectralSolver:
    """Our solver of a case, float32."""
    h = LENGTH / case.n
    if case.equation == "spectral":
        return SpectralSolver(
            (case.n, case.n),
            domain=LENGTH,
            viscosity=VISCOSITY,
            drag=DRAG,
            forcing=KolmogorovForcing(wavenumber=WAVENUMBER),
            dt=stable_time_step((h, h)),
            stepper=case.stepper,
        )
    half = WAVENUMBER * h / 2  # peers take the forcing at points, ours is its mean over faces
    return FiniteVolumeSolver(
        (case.n, case.n),
        domain=LENGTH,
        viscosity=VISCOSITY,
        drag=DRAG,
        forcing=KolmogorovForcing(amplitude=half / math.sin(half), wavenumber=WAVENUMBER),
        dt=stable_time_step((h, h), viscosity=VISCOSITY),
    )


class Ours:
    """This package's solver, in this process."""

    def __init__(self, case: Case, flows: int):
        self.solver = solver_of(case)
        most = max(method[2] for method in case.methods)
        start = self.solver.initial(seed=0, batch=(most,))
        self.start = self.state = start[0] if flows == 1 else start[:flows]

    def field(self) -> np.ndarray:
        """The velocity, or the vorticity of a spectral flow, of the last state run to."""
        if isinstance(self.solver, SpectralSolver):
            return self.solver.vorticity(self.state).numpy()
        return self.state.numpy()

    def run(self, steps: int) -> float:
        """Seconds for steps from the start."""
        begin = time.perf_counter()
        self.state = self.solver.advance(self.start, steps)
        return time.perf_counter() - begin


class Peer:
    """A peer in its own interpreter."""

    def __init__(self, name: str, python: str, threads: int, folder: Path):
        worker = Path(__file__).with_name("turbulence_peers.py")
        self.name, self.folder = name, folder
        self.versions: dict[str, str] = {}
        self.process = subprocess.Popen(
            [python, str(worker), name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, **order: Any) -> dict[str, Any]:
        """Send one order and wait for the reply."""
        orders, replies = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        orders.write(json.dumps(order) + "\n")
        orders.flush()
        line = replies.readline()
        if not line:
            raise DataError(
                f"{self.name} ended with status {self.process.wait()}; its message is above. "
                "Check that its Python has the package installed."
            )
        return json.loads(line)

    def prepare(self, case: Case, field: np.ndarray) -> None:
        """Compile the case and keep its initial field."""
        initial = self.folder / "initial.npy"
        np.save(initial, field)
        reply = self.order(
            prepare={
                "n": case.n,
                "length": LENGTH,
                "dt": solver_of(case).dt,
                "viscosity": VISCOSITY,
                "drag": DRAG,
                "amplitude": 1.0,
                "wavenumber": WAVENUMBER,
                "equation": case.equation,
                "initial": str(initial),
            }
        )
        self.versions = reply["versions"]

    def run(self, steps: int) -> float:
        """Seconds for steps from the start."""
        return self.order(run=steps)["seconds"]

    def field(self) -> np.ndarray:
        """The last state."""
        path = self.folder / "state.npy"
        self.order(save=str(path))
        return np.load(path, allow_pickle=False)

    def close(self) -> None:
        """End the process."""
        self.process.communicate()
