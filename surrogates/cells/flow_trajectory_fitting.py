"""Fitting a flow through populations measured at several times."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.flow_fitting import FlowNetworkOptions
from pushforward.surrogates.cells.flow_paths import SnapshotPaths, TrajectoryOptions
from pushforward.surrogates.cells.flow_trajectory import TrajectoryFlow
from pushforward.surrogates.training import Optimisation, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TrajectoryObjective", "fit_trajectory"]


class TrajectoryObjective:
    r"""Flow matching along time: the mean of |v(x_t, t | φ(P_k)) − ẋ_t|² over all intervals.

    Intervals count by their length, times are uniform over the whole range, and the unit of time
    is the range, the unit of length the flow's scale.

    Parameters
    ----------
    paths : see `SnapshotPaths`.
    """

    def __init__(self, paths: SnapshotPaths):
        self.paths = paths

    def __call__(self, model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        """Loss on a batch drawn from the generator."""
        flow = cast(TrajectoryFlow, model)
        times, size = self.paths.times, self.paths.options.batch_size
        span = (times[-1] - times[0]).item()
        widths = times.diff()
        counts = (size * widths / span).round().long().clamp_min(1)
        sees = flow.flow.embed is not None
        total, n_points = torch.zeros(()), 0
        for k, n in enumerate(counts.tolist()):
            x, t, u = self.paths.draw(k, n, generator)
            population = self.paths.populations[k]
            if sees:
                few = min(flow.flow.embed_cells, len(population))
                chosen = torch.randperm(len(population), generator=generator)[:few]
                population = population[chosen]
            v = flow.velocity(x[None], t.to(x)[None], flow.code(population[None]))[0]
            total = total + (v - u).square().sum() / x.shape[1]
            n_points += n
        unit = (flow.flow.scale / span).square()
        return {"loss": total / n_points / unit}


def fit_trajectory(
    times: Sequence[float],
    populations: Sequence[Tensor],
    *,
    network: FlowNetworkOptions | None = None,
    options: TrajectoryOptions | None = None,
    optimisation: Optimisation | None = None,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "trajectory",
) -> TrajectoryFlow:
    """Fit one flow through snapshots of a population.

    Parameters
    ----------
    times, populations : ascending times and the cells seen at each.
    network : sizes and embedding; "none" by default (plain flow matching).
    options : the paths, see `TrajectoryOptions`.
    optimisation : default 1000 steps of AdamW at 2e-3, cosine.
    seed, folder, fabric, label : as `train`.

    Raises
    ------
    DataError : what `SnapshotPaths` refuses, or embedding "one_hot" or a Gaussian base.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import fit_trajectory
    >>> from pushforward.surrogates.training import Optimisation
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> flow = fit_trajectory([0.0, 1.0, 2.0], [x, x + 1, x + 2],
    ...                       optimisation=Optimisation(steps=150, learning_rate=0.01))
    >>> bool((flow.predict(x, 0.0, 1.5).mean(0) - x.mean(0) - 1.5).abs().max() < 0.3)
    True
    """
    network = network or FlowNetworkOptions(embedding="none")
    if network.embedding == "one_hot" or network.base == "gaussian":
        raise DataError(
            f"embedding {network.embedding!r}, base {network.base!r}: a trajectory starts at its "
            "own cells and meets new populations. Use 'graph', 'set' or 'none', and 'control'."
        )
    paths = SnapshotPaths(times, populations, options or TrajectoryOptions())
    every = torch.cat(list(populations))
    scale = every.std(0).square().mean().sqrt().item()
    sizes = asdict(replace(network, unseen="refuse"))
    model = TrajectoryFlow(
        times,
        {
            "dim": every.shape[1],
            "centre": every.mean(0).tolist(),
            "scale": scale if scale > 0 else 1.0,
            "seed": seed,
            **sizes,
        },
    ).to(every.device)
    train(
        model,
        TrajectoryObjective(paths),
        optimisation or Optimisation(steps=1000, learning_rate=2e-3, schedule="cosine"),
        seed=seed,
        folder=folder,
        fabric=fabric,
        label=label,
    )
    return model.eval()
