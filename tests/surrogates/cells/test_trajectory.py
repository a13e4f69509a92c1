"""Flows along a time course: exact paths, what they keep and what bends, refusals."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    FlowNetworkOptions,
    SnapshotPaths,
    TrajectoryFlow,
    TrajectoryOptions,
    fit_trajectory,
)
from pushforward.surrogates.training import Optimisation

pytestmark = pytest.mark.usefixtures("unchecked")

TIMES = [0.0, 1.0, 3.0, 4.0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cubic(t):
    """A cubic curve in the plane."""
    return torch.tensor([t, 0.2 * t**3 - t**2])


def snapshots(n=40, same=True):
    z = torch.randn(n, 2, generator=generator())
    return [
        (z if same else torch.randn(n, 2, generator=generator(i))) + cubic(t)
        for i, t in enumerate(TIMES)
    ]


def test_the_bent_mean_is_the_cubic_it_was_drawn_from():
    """A cloud carried rigidly along a cubic: the spline is exact at times never measured."""
    paths = SnapshotPaths(TIMES, snapshots(), TrajectoryOptions(curvature="mean"))
    share = torch.full((4000,), 0.25)
    x, velocity = paths.at(1, share, generator())
    t = 1.0 + 0.25 * 2.0
    assert torch.allclose(x.mean(0), cubic(t) + snapshots()[0].mean(0), atol=0.06)
    slope = torch.tensor([1.0, 0.6 * t**2 - 2 * t])
    assert torch.allclose(velocity, slope.expand_as(velocity), atol=1e-4)  # every cell, exactly
    straight, _ = SnapshotPaths(TIMES, snapshots(), TrajectoryOptions()).at(1, share, generator())
    assert (straight.mean(0) - x.mean(0)).norm() > 0.05  # the chord lies 0.075 off


def test_measured_marginals_are_kept_whatever_bends_between():
    for options in (TrajectoryOptions(curvature="mean"), TrajectoryOptions(bridge=0.5)):
        populations = snapshots(same=False)
        paths = SnapshotPaths(TIMES, populations, options)
        for share, expected in ((0.0, populations[1]), (1.0, populations[2])):
            x, _ = paths.at(1, torch.full((200,), share), generator())
            nearest = (x[:, None] - expected).norm(dim=-1).min(1).values
            assert nearest.max() < (0.05 if options.bridge else 1e-4)


def test_velocities_are_the_derivatives_of_the_paths():
    for options in (TrajectoryOptions(curvature="mean"), TrajectoryOptions(bridge=0.3)):
        paths = SnapshotPaths(TIMES, snapshots(same=False), options)
        s, h = torch.full((50,), 0.4), 1e-3
        ends = [paths.at(1, s + k * h, generator())[0] for k in (-1, 1)]
        _, velocity = paths.at(1, s, generator())
        assert torch.allclose((ends[1] - ends[0]) / (2 * h * 2.0), velocity, atol=0.01)


def test_the_bridge_has_the_variance_of_a_brownian_bridge():
    point = [torch.zeros(2, 1), torch.zeros(2, 1)]
    paths = SnapshotPaths([0.0, 1.0], point, TrajectoryOptions(bridge=0.4))
    x, _ = paths.at(0, torch.full((20_000,), 0.3), generator())
    assert x.std().item() == pytest.approx(0.4 * math.sqrt(0.3 * 0.7), rel=0.03)


def test_a_flow_carries_a_cloud_round_the_bend():
    populations = [z / 3 for z in snapshots()]
    flow = fit_trajectory(
        TIMES,
        populations,
        network=FlowNetworkOptions(embedding="none", width=32, layers=2, n_time=8),
        options=TrajectoryOptions(curvature="mean", batch_size=128),
        optimisation=Optimisation(steps=300, learning_rate=0.01, schedule="cosine"),
    )
    moved = flow.predict(populations[1], 1.0, 2.0)
    truth = populations[1] + (cubic(2.0) - cubic(1.0)) / 3
    assert (moved - truth).norm(dim=1).mean() < 0.15
    assert torch.allclose(flow(populations[0]), flow.predict(populations[0], 0.0, 4.0))


def test_a_flow_that_sees_the_population_does_not_see_its_order(tmp_path):
    flow = TrajectoryFlow(TIMES, {"dim": 2, "embedding": "graph", "width": 8, "neighbours": 3})
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator(5)))
    x, order = snapshots()[0], torch.randperm(40, generator=generator(1))
    moved = flow.predict(x, 0.0, 2.0)
    assert torch.allclose(moved[order], flow.predict(x[order], 0.0, 2.0), atol=1e-5)
    assert not torch.allclose(moved, x, atol=1e-2)
    flow.save(tmp_path / "flow")
    assert torch.equal(TrajectoryFlow.load(tmp_path / "flow").predict(x, 0.0, 2.0), moved)


def test_refusals():
    populations = snapshots()
    for times, clouds, message in (
        ([0.0, 0.0, 1.0, 2.0], populations, "at least 2, ascending"),
        (TIMES, populations[:3], "4 times and 3 populations"),
        (TIMES, [*populations[:3], populations[3][:1]], "time 4.0: cells of shape"),
        (TIMES, [*populations[:3], populations[3] * math.nan], "40 of 40 cells hold NaN"),
    ):
        with pytest.raises(DataError, match=message):
            SnapshotPaths(times, clouds, TrajectoryOptions())
    with pytest.raises(DataError, match="curvature = 'cell'"):
        TrajectoryOptions(curvature="cell")
    with pytest.raises(DataError, match="needs coupling 'ot'"):
        TrajectoryOptions(coupling="independent", bridge=0.1)
    flow = TrajectoryFlow(TIMES, {"dim": 2, "embedding": "none"})
    with pytest.raises(DataError, match=r"from 1.0 to 9.0; expected ascending times within"):
        flow.predict(populations[0], 1.0, 9.0)
    with pytest.raises(DataError, match="made for"):
        flow.predict(torch.zeros(4, 3), 0.0, 1.0)
    with pytest.raises(DataError, match="embedding 'one_hot'"):
        fit_trajectory(TIMES, populations, network=FlowNetworkOptions(embedding="one_hot"))
