"""The conditional Monge map: encoders, invariances, a dose between two doses, refusals."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    ConditionalMongeMap,
    ConditionalRecipe,
    DescriptorTable,
    Drugs,
    ElasticCost,
    Label,
    MongeOptions,
    Number,
    PNormCost,
    displacement_sparsity,
    fit_conditional_map,
    soft_threshold,
)
from pushforward.surrogates.training import Optimisation

TABLE = DescriptorTable(("a", "b", "c"), ("weight", "charge"), ((1.0, 0.0), (2.0, 1.0), (4.0, 3.0)))


def stirred(chunks, **settings):
    model = ConditionalMongeMap(2, chunks, hidden=(16, 16), **settings)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    return model


def cells(n=30):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0))


def test_the_order_of_drugs_in_a_combination_does_not_matter(unchecked):
    model = stirred([Drugs("drug", TABLE), Number("dose", transform="log")])
    x = cells()
    one = model(x, condition={"drug": ("a", "b"), "dose": 10.0})
    two = model(x, condition={"drug": ("b", "a"), "dose": 10.0})
    single = model(x, condition={"drug": "a", "dose": 10.0})
    assert torch.allclose(one, two, atol=1e-6)
    assert not torch.allclose(one, single, atol=1e-3)


def test_every_chunk_changes_the_map_and_cells_move_one_by_one(unchecked):
    model = stirred([Number("dose"), Label("line", ("A", "B"))])
    x = cells()
    base = model(x, condition={"dose": 1.0, "line": "A"})
    assert not torch.allclose(base, model(x, condition={"dose": 2.0, "line": "A"}), atol=1e-3)
    assert not torch.allclose(base, model(x, condition={"dose": 1.0, "line": "B"}), atol=1e-3)
    assert torch.allclose(model(x[:3], condition={"dose": 1.0, "line": "A"}), base[:3], atol=1e-6)


def test_saved_and_loaded_maps_agree(tmp_path, unchecked):
    model = stirred([Drugs("drug", TABLE)], seed=4)
    model.save(tmp_path / "map")
    again = ConditionalMongeMap.load(tmp_path / "map")
    condition = {"drug": "c"}
    assert torch.equal(model(cells(), condition=condition), again(cells(), condition=condition))


def test_a_dose_between_two_doses_moves_cells_between(unchecked):
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    groups = {"low": (x[:130], x[130:260] + 1), "high": (x[:130], x[260:390] + 3)}
    model = fit_conditional_map(
        groups,
        {"low": {"dose": 1.0}, "high": {"dose": 3.0}},
        [Number("dose")],
        recipe=ConditionalRecipe(
            hidden=(16,),
            objective=MongeOptions(batch_size=64),
            optimisation=Optimisation(steps=150, learning_rate=0.01),
        ),
    )
    moved = [float((model(x, condition={"dose": d}) - x).mean()) for d in (1.0, 2.0, 3.0)]
    assert moved == pytest.approx([1.0, 2.0, 3.0], abs=0.4)


def test_costs_in_closed_form():
    x, y = torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])
    assert PNormCost(2.0)(x, y).item() == pytest.approx(25 / 2)  # |z|^p/p
    assert PNormCost(1.0)(x, y).item() == pytest.approx(7.0)
    assert ElasticCost(0.5)(x, y).item() == pytest.approx(12.5 + 0.5 * 7)
    assert soft_threshold(y, 3.5).tolist() == [[0.0, -0.5]]
    assert displacement_sparsity(torch.zeros(4, 2), torch.tensor([[1.0, 0.0]] * 4)) == 0.5


@pytest.mark.usefixtures("unchecked")
def test_refusals():
    model = stirred([Drugs("drug", TABLE), Number("dose", transform="log")])
    x = cells()
    with pytest.raises(DataError, match="z"):
        model(x, condition={"drug": "z", "dose": 1.0})
    with pytest.raises(DataError, match="dose"):
        model(x, condition={"drug": "a", "dose": 0.0})
    with pytest.raises(DataError, match="dose"):
        model(x, condition={"drug": "a"})
    with pytest.raises(DataError, match="NaN|finite"):
        DescriptorTable(("a",), ("weight",), ((math.nan,),))
    with pytest.raises(DataError, match="expected 1 <= p <= 2"):
        PNormCost(3.0)
    with pytest.raises(DataError, match="each key once"):
        ConditionalMongeMap(2, [Number("dose"), Number("dose")])
    with pytest.raises(DataError, match="do not have the same names"):
        fit_conditional_map({"a": (x, x)}, {"b": {"dose": 1.0}}, [Number("dose")])
