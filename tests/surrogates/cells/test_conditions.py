"""Conditions as numbers: doses in order, sets without order, tables, oracles; what is refused."""

import builtins
import itertools
import math

import numpy as np
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    ConditionalMongeMap,
    DescriptorTable,
    Drugs,
    Label,
    Number,
    Vector,
    mode_of_action,
    read_descriptors,
)

TABLE = DescriptorTable(("a", "b", "c"), ("weight", "charge"), ((1.0, 0.0), (2.0, 1.0), (4.0, 3.0)))


@pytest.mark.parametrize("transform", ["linear", "log", "log1p"])
def test_doses_keep_their_order_and_decades_their_distance(transform):
    doses = [0.5, 10.0, 100.0, 1000.0, 10000.0]
    codes = [Number("dose", transform=transform).encode({"dose": d}).item() for d in doses]
    assert codes == sorted(set(codes))
    if transform == "log":
        steps = np.diff(codes[1:])
        np.testing.assert_allclose(steps, math.log(10), rtol=1e-6)


def test_fitted_numbers_have_mean_zero_and_spread_one():
    conditions = [{"dose": 10.0**k} for k in range(5)]
    number = Number.fit("dose", conditions, transform="log")
    codes = torch.cat([number.encode(c)[0] for c in conditions])
    assert codes.mean().abs() < 1e-6
    assert codes.std(correction=0) == pytest.approx(1.0, abs=1e-6)
    constant = Number.fit("dose", [{"dose": 3.0}] * 2)
    assert constant.encode({"dose": 3.0}).item() == 0.0


def test_a_set_of_three_drugs_has_no_order_and_is_not_its_subset():
    model = ConditionalMongeMap(2, [Drugs("drug", TABLE, units=5)], hidden=(8,))
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    x = torch.randn(6, 2, generator=g)
    moved = [
        model(x, condition={"drug": order}) for order in itertools.permutations(("a", "b", "c"))
    ]
    for other in moved[1:]:
        torch.testing.assert_close(other, moved[0])
    assert not torch.allclose(model(x, condition={"drug": ("a", "b")}), moved[0], atol=1e-3)
    # Padding: beside a longer set, a short one is read as it is alone.
    together = model(torch.stack([x, x]), condition=[{"drug": "a"}, {"drug": ("b", "c", "a")}])
    torch.testing.assert_close(together[0], model(x, condition={"drug": "a"}))
    torch.testing.assert_close(together[1], moved[0])


def test_mode_of_action_keeps_distances_between_outcomes_and_is_an_oracle():
    """Tight clouds at 0, 1 and 3 on a line: the embedding has the same ratios of distances."""
    cloud = 0.01 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    treated = {n: cloud + torch.tensor([at, 0.0]) for n, at in (("a", 0.0), ("b", 1.0), ("c", 3.0))}
    table = mode_of_action(treated, n_components=1, eps=1e-3)
    a, b, c = (table.row(n)[0] for n in "abc")
    assert abs(b - c) / abs(a - b) == pytest.approx(2.0, abs=0.05)
    assert {a, c} == {0.0, 1.0}
    assert table.oracle
    assert ConditionalMongeMap(2, [Drugs("drug", table), Number("dose")]).oracles == ["drug"]
    assert ConditionalMongeMap(2, [Drugs("drug", TABLE)]).oracles == []


def test_rdkit_describes_molecules():
    pytest.importorskip("rdkit", reason="rdkit is not installed")
    table = DescriptorTable.rdkit({"ethanol": "CCO", "benzene": "c1ccccc1"})
    column = table.columns.index("MolWt")
    assert table.row("ethanol")[column] == pytest.approx(46.07, abs=0.01)
    assert table.row("benzene")[column] == pytest.approx(78.11, abs=0.01)
    with pytest.raises(DataError, match="SMILES of 'nonsense'"):
        DescriptorTable.rdkit({"nonsense": "not a molecule"})


def test_without_rdkit_the_remedy_is_named(monkeypatch):
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("rdkit"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match="pip install rdkit"):
        DescriptorTable.rdkit({"ethanol": "CCO"})


def test_a_table_is_read_and_standardised(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("drug,weight,flat\na,1,5\nb,3,5\n")
    table = read_descriptors(path, wanted=["a"])
    assert table.standardised().columns == ("weight",)
    assert table.standardised().row("a") == (-1.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drug,weight\na,1\na,2\n", "occur more than once .*'a'"),
        ("drug,weight\na,\n", "descriptors of 'a' are NaN or infinite: .'weight'."),
        ("drug,weight\na,heavy\n", "columns .'weight'. are not numeric"),
        ("drug,weight\nb,1\n", "drug 'a' is not in the table of descriptors, which holds 'b'"),
        ("", "cannot be read as CSV"),
    ],
)
def test_wrong_tables_are_named(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_descriptors(path, wanted=["a"])


@pytest.mark.parametrize(
    ("chunk", "condition", "message"),
    [
        (Number("dose", transform="log"), {"dose": 0.0}, "dose = 0 has no logarithm. Dose 0 is"),
        (Number("dose"), {"dose": math.nan}, "dose = nan is not finite"),
        (Number("dose"), {"dose": "much"}, "dose = 'much' is not a number"),
        (Number("dose"), {"drug": "a"}, "has no 'dose'"),
        (Label("line", ("A", "B")), {"line": "C"}, "line = 'C' was not seen .* 'A', 'B'"),
        (Drugs("drug", TABLE), {"drug": "z"}, "drug 'z' is not in the table"),
        (Drugs("drug", TABLE), {"drug": ()}, "the set of drugs is empty"),
        (Vector("s", (0.0,), (1.0,)), {"s": [math.inf]}, "1 of 1 entries are NaN or infinite"),
        (Vector("s", (0.0,), (1.0,)), {"s": [1.0, 2.0]}, "has 2 entries; the map was made for 1"),
    ],
)
def test_conditions_that_cannot_be_encoded_are_named(chunk, condition, message):
    with pytest.raises(DataError, match=message):
        chunk.encode(condition)
    with pytest.raises(DataError, match=message):
        ConditionalMongeMap(2, [chunk])(torch.zeros(3, 2), condition=condition)
