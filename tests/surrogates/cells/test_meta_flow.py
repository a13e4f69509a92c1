"""Flows that see the population: exact fields, invariances, leakage, resume, refusals."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    ChoiceOptions,
    FlowNetworkOptions,
    FlowOptions,
    MetaFlowMatching,
    PopulationMongeMap,
    fit_flow,
)
from pushforward.surrogates.cells.population_graph import GraphEmbedding, knn_graph
from pushforward.surrogates.cells.population_set import TokenReader
from pushforward.surrogates.training import Optimisation


def cloud(n, shift=0.0, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) + shift


def stirred(**settings):
    """A model whose last layer is not zero, so that it does move cells."""
    model = MetaFlowMatching(2, width=16, neighbours=5, embed_cells=500, **settings)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    return model


def test_neighbours_on_a_line_and_too_many_of_them():
    line = torch.arange(4.0)[None, :, None]
    edges = knn_graph(line * line, 1)  # 0, 1, 4, 9
    assert edges.tolist() == [[1, 0, 1, 2], [0, 1, 2, 3]]
    assert knn_graph(line, 50).shape == (2, 4 * 3)
    assert knn_graph(line, 0).shape == (2, 0)
    with pytest.raises(DataError, match="k = -1 neighbours"):
        knn_graph(line, -1)


@pytest.mark.parametrize("embedding", ["graph", "set"])
def test_the_order_of_cells_does_not_matter(embedding, unchecked):
    model = stirred(embedding=embedding).double()  # a stirred field amplifies rounding
    x = cloud(40).double()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model(x)[order], model(x[order]), atol=1e-8)
    assert not torch.allclose(model(x), x, atol=1e-2)


@pytest.mark.parametrize("embedding", ["graph", "set"])
def test_the_answer_depends_on_the_population_and_plain_flow_matching_does_not(
    embedding, unchecked
):
    x, company = cloud(30), cloud(30, shift=3.0, seed=2)
    seeing, blind = stirred(embedding=embedding), stirred(embedding="none")
    both = torch.cat((x, company))
    assert not torch.allclose(seeing(both)[:30], seeing(x), atol=1e-3)
    assert torch.allclose(blind(both)[:30], blind(x), atol=1e-6)


def test_what_a_point_reads_moves_with_the_cells(unchecked):
    """The reader's mean shift and density rotate and translate with point and cells together."""
    g = torch.Generator().manual_seed(0)
    reader = TokenReader(2, 3, 8, 4, g)
    with torch.no_grad():  # without the features' part, only distances count
        reader.query.layers[-1].weight.zero_()
        reader.query.layers[-1].bias.zero_()
    points, cells = cloud(6)[None], cloud(30, seed=1)[None]
    features, tokens = torch.ones(1, 6, 3), torch.randn(1, 30, 8, generator=g)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=g)).Q

    def split(out):
        return out[..., 4:12].unflatten(-1, (4, 2)), out[..., 12:]

    shift, density = split(reader(points, features, cells, tokens))
    moved = reader(points @ turn + 3.0, features, cells @ turn + 3.0, tokens)
    assert torch.allclose(split(moved)[0], shift @ turn, atol=1e-5)
    assert torch.allclose(split(moved)[1], density, atol=1e-4)
    lone = reader(points, features, points[:, :1] + 0.5, tokens[:, :1])  # one cell: exact
    assert torch.allclose(split(lone)[0][0, 0], torch.full((4, 2), 0.5), atol=1e-6)
    expected = torch.log1p(0.5 / (2 * reader.log_length.exp().square()))
    assert torch.allclose(split(lone)[1][0, 0], expected, atol=1e-5)


def test_far_from_all_cells_a_point_reads_finite_features(unchecked):
    """Weights below e^-60 are cut there, so that neither features nor gradients blow up."""
    g = torch.Generator().manual_seed(0)
    reader = TokenReader(2, 3, 8, 4, g)
    points = torch.full((1, 2, 2), 1e3, requires_grad=True)
    out = reader(points, torch.ones(1, 2, 3), cloud(9)[None], torch.randn(1, 9, 8, generator=g))
    assert torch.allclose(out[..., 12:], torch.tensor(60.0).log1p().expand(1, 2, 4), atol=1e-4)
    (slope,) = torch.autograd.grad(out.sum(), points)
    assert torch.isfinite(slope).all()


def test_deep_sets_see_no_neighbours_and_graphs_do(unchecked):
    g = torch.Generator().manual_seed(0)
    sets, graph = (GraphEmbedding(2, width=8, layers=2, neighbours=k, generator=g) for k in (0, 3))
    x = cloud(40)[None]
    assert torch.allclose(sets(x.repeat(1, 2, 1)), sets(x), atol=1e-6)
    assert not torch.allclose(graph(x.repeat(1, 2, 1)), graph(x), atol=1e-4)
    few = graph(x[:, :3])  # fewer than k + 1 cells: all others are neighbours
    assert torch.isfinite(few).all()
    assert few.norm().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_both_schedules_train_the_embedding(schedule, unchecked):
    populations = {k: (cloud(40, seed=i), cloud(40, shift=i, seed=9)) for i, k in enumerate("ab")}
    options = FlowOptions(batch_size=16, schedule=schedule)
    before, after = (
        fit_flow(
            populations,
            network=FlowNetworkOptions(width=8, layers=1, embedding_width=4, neighbours=3),
            options=options,
            optimisation=Optimisation(steps=steps, learning_rate=1e-2, weight_decay=0.0),
            choice=ChoiceOptions(calibrate=False),
        ).model
        for steps in (1, 8)
    )
    for part in ("embed", "network"):
        a, b = (list(getattr(m, part).parameters()) for m in (before, after))
        assert any(not torch.equal(p, q) for p, q in zip(a, b, strict=True)), part


def test_a_gaussian_base_sees_the_cells_through_the_embedding_alone(unchecked):
    model = stirred(embedding="graph", base="gaussian")
    x = cloud(30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model(x), model(x[order]), atol=1e-5)  # not even their order
    assert not torch.allclose(model(x), model(cloud(30, shift=2.0)), atol=1e-3)


def test_fourier_features_travel_with_the_weights(tmp_path, unchecked):
    model = stirred(seed=1)
    model.save(tmp_path / "model")
    again = MetaFlowMatching.load(tmp_path / "model")
    assert torch.equal(model(cloud(20)), again(cloud(20)))


def fitted(folder=None, steps=60, seed=0, **network):
    populations = {
        name: (cloud(60, seed=i), cloud(60, shift=shift, seed=10 + i))
        for i, (name, shift) in enumerate({"a": 1.0, "b": 2.0}.items())
    }
    return fit_flow(
        populations,
        network=FlowNetworkOptions(**({"width": 16, "neighbours": 5} | network)),
        options=FlowOptions(batch_size=32),
        optimisation=Optimisation(steps=steps, learning_rate=5e-3),
        choice=ChoiceOptions(calibrate=False),
        seed=seed,
        folder=folder,
    )


def test_one_hot_knows_its_populations_and_no_other(unchecked):
    model = fitted(embedding="one_hot", unseen="refuse", steps=250).model
    x = cloud(100, seed=7)
    for name, shift in (("a", 1.0), ("b", 2.0)):
        moved = (model(x, condition={"population": name}) - x).mean().detach()
        assert float(moved) == pytest.approx(shift, abs=0.4)
    with pytest.raises(DataError, match=r"population 'c' was not in training.*known: a, b"):
        model(x, condition={"population": "c"})


def test_the_same_seed_gives_the_same_flow_and_another_seed_another(unchecked):
    x = cloud(20, seed=9)
    one, two, other = (fitted(seed=s, steps=15).model(x) for s in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_population_map_is_equivariant_to_the_order_of_cells(unchecked):
    model = PopulationMongeMap(2, neighbours=5)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    x = cloud(30)
    order = torch.randperm(30, generator=g)
    assert torch.allclose(model(x)[order], model(x[order]), atol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_refusals():
    model = MetaFlowMatching(2, width=16)
    with pytest.raises(DataError, match=r"shape \(5, 3\).*\(cells, 2\)"):
        model(torch.zeros(5, 3))
    broken = cloud(5)
    broken[2, 0] = math.nan
    with pytest.raises(DataError, match="1 of 5 cells hold NaN"):
        model(broken)
    with pytest.raises(DataError, match="embedding = 'tree'; choose one of"):
        MetaFlowMatching(2, embedding="tree")
    with pytest.raises(DataError, match="needs the names of the training populations"):
        MetaFlowMatching(2, embedding="one_hot")
    with pytest.raises(DataError, match="no training population"):
        fit_flow({})
    with pytest.raises(DataError, match="at least 2 cells each"):
        model(cloud(1))
