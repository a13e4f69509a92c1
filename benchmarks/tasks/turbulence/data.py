"""Training flows of the turbulence task from a file."""

import math

from jaxtyping import Float
from torch import Tensor

from pushforward.benchmarks.tasks.turbulence.config import SIDE, TurbulenceConfig
from pushforward.datasets.turbulence import open_turbulence, velocity_tensor
from pushforward.simulators.errors import DataError

__all__ = ["frames_of_file"]


def frames_of_file(config: TurbulenceConfig) -> Float[Tensor, "flows time 2 x y"]:
    """Read the flows of `config.data`, after checking that they are what would be simulated.

    Raises
    ------
    DataError : another grid, frame spacing, viscosity, drag or forcing than the configuration's;
        fewer frames than the longest window; and all that `open_turbulence` refuses.
    """
    flow = config.coarse_flow(config.training)
    path = str(config.data)
    remedy = (
        f"Make one with `pushforward simulate turbulence --cells {config.reference_cells} "
        f"--factors {config.reference_cells // config.coarse_cells} --frame-spacing {flow.dt!r} "
        f"--viscosity {flow.viscosity:g} --drag {flow.drag:g} --amplitude {flow.amplitude:g}`."
    )
    try:
        dataset = open_turbulence(path, shape=flow.shape, domain=SIDE, frame_spacing=flow.dt)
    except DataError as error:
        raise DataError(f"{error} {remedy}") from error
    with dataset:
        wanted = {
            "viscosity": flow.viscosity,
            "drag": flow.drag,
            "forcing_amplitude": flow.amplitude,
            "forcing_wavenumber": flow.wavenumber,
        }
        for name, value in wanted.items():
            found = dataset.attrs.get(name, value)  # published files do not say
            if not math.isclose(found, value, rel_tol=1e-6):
                raise DataError(f"{path} has {name} = {found:g}, expected {value:g}. {remedy}")
        longest = max(config.unrolls, default=0) + config.frames
        if dataset.sizes["time"] < longest:
            raise DataError(
                f"{path} has {dataset.sizes['time']} frames; roll-outs of {max(config.unrolls)} "
                f"steps after {config.frames} frames need {longest}. Simulate a longer --time."
            )
        return velocity_tensor(dataset)
