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
from pushforward.surrogates.cells.population_graph import knn_graph
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
    model = stirred(embedding=embedding)
    x = cloud(40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model(x)[order], model(x[order]), atol=1e-5)
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
