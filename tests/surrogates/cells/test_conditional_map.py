"""The conditional Monge map: encoders, invariances, a dose between two doses, refusals."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    ConditionalMongeMap,
    ConditionalRecipe,
    DescriptorTable,
    Dose,
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
    model = stirred([Drugs("drug", TABLE), Dose("dose", 2.0, 3.0, curves=2)], seed=4)
    model.save(tmp_path / "map")
    again = ConditionalMongeMap.load(tmp_path / "map")
    condition = {"drug": "c", "dose": 7.0}
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


def test_a_dose_moves_cells_by_hills_curve_in_closed_form():
    """T(x) = x + s v aⁿ/(aⁿ + κⁿ) with a constant v: half at κ, all of it far above."""
    model = ConditionalMongeMap(2, [Dose("dose", math.log(50.0), 2.0)], hidden=(4,), scale=3.0)
    full, steepness, half_dose = torch.tensor([2.0, -1.0]), 1.5, 400.0
    assert model.response is not None
    with torch.no_grad():
        model.net.layers[-1].bias.copy_(full)
        model.response.bias.fill_((math.log(half_dose) - math.log(50.0)) / 2.0)
        model.response.log_slope.fill_(math.log(steepness))
    assert model.half_doses([{}]).item() == pytest.approx(half_dose, rel=1e-5)
    x = cells()
    for dose in (40.0, half_dose, 1e4, 1e15):
        share = dose**steepness / (dose**steepness + half_dose**steepness)
        moved = (model(x, condition={"dose": dose}) - x).detach()
        torch.testing.assert_close(moved, (3.0 * share * full).expand(30, 2), rtol=1e-4, atol=1e-5)


def test_hill_curves_vanish_with_the_dose_and_add_up():
    """Any weights: nothing moves at dose 0's limit; one curve's paths are straight, two's bend."""
    drug = Drugs("drug", TABLE)
    x = cells()
    for curves in (1, 2):
        model = stirred([drug, Dose("dose", curves=curves)])
        a, b, none = (model(x, condition={"drug": "b", "dose": d}) - x for d in (0.5, 20.0, 1e-30))
        torch.testing.assert_close(none, torch.zeros_like(x), rtol=0, atol=1e-4)
        crossed = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        straight = crossed.abs() < 1e-5 * (1 + a.norm(dim=1) * b.norm(dim=1))
        assert straight.all() == (curves == 1)
        assert (b.norm(dim=1) > a.norm(dim=1)).all() or curves == 2
        assert model.half_doses([{"drug": "a"}, {"drug": "b"}]).shape == (2, curves)


def test_an_unseen_dose_two_decades_from_the_next_is_found_where_a_line_is_far_off(unchecked):
    """Effects 4 a/(a + κ), κ = 100 and 2500: at dose 1000, 3.6 and 1.1; a line gives 3.0, 1.7."""
    x = torch.randn(900, 1, generator=torch.Generator().manual_seed(0))
    half_doses = {"a": 100.0, "b": 2500.0}
    groups, conditions = {}, {}
    for i, (drug, half_dose) in enumerate(half_doses.items()):
        for dose in (10.0, 100.0, 10000.0):
            name = f"{drug}-{dose}"
            treated = x[300 + 300 * i :][:300] + 4 * dose / (dose + half_dose)
            groups[name], conditions[name] = (x[:300], treated), {"drug": drug, "dose": dose}
    model = fit_conditional_map(
        groups,
        conditions,
        [Label("drug", ("a", "b")), Dose.fit("dose", list(conditions.values()))],
        recipe=ConditionalRecipe(
            hidden=(16,),
            objective=MongeOptions(batch_size=64, populations_per_step=6, fit_eps=0.5),
            optimisation=Optimisation(steps=200, learning_rate=0.03, schedule="cosine"),
        ),
    )
    for drug, half_dose in half_doses.items():
        moved = (model(x, condition={"drug": drug, "dose": 1000.0}) - x).mean().item()
        assert moved == pytest.approx(4 * 1000 / (1000 + half_dose), abs=0.3)
    found = model.half_doses([{"drug": drug} for drug in half_doses]).log10().flatten()
    assert found.tolist() == pytest.approx([2.0, math.log10(2500)], abs=0.25)


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
    with pytest.raises(DataError, match=r"\['dose', 'time'\] are both a Dose"):
        ConditionalMongeMap(2, [Dose("dose"), Dose("time")])
    with pytest.raises(DataError, match="curves = 0 must be at least 1"):
        Dose("dose", curves=0)
    with pytest.raises(DataError, match=r"dose = 0 has no logarithm"):
        ConditionalMongeMap(2, [Dose("dose")])(x, condition={"dose": 0.0})
    with pytest.raises(DataError, match="none of them a Dose"):
        model.half_doses([{"drug": "a", "dose": 1.0}])
    with pytest.raises(DataError, match="do not have the same names"):
        fit_conditional_map({"a": (x, x)}, {"b": {"dose": 1.0}}, [Number("dose")])
