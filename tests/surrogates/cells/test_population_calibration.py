"""Calibration of population transports: exact laws, symmetries, the choice, leakage."""

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    Calibration,
    CalibrationSettings,
    ChoiceOptions,
    FlowNetworkOptions,
    FlowOptions,
    MetaFlowMatching,
    MongeOptions,
    PopulationMongeMap,
    fit_flow,
    fit_population_map,
)
from pushforward.surrogates.training import Optimisation

pytestmark = pytest.mark.usefixtures("unchecked")


def cloud(n=60, shift=0.0, spread=1.0, seed=0, d=2):
    g = torch.Generator().manual_seed(seed)
    return spread * torch.randn(n, d, generator=g) + shift


def calibrated(d=2, controls=None, **settings):
    calibration = Calibration(d)
    calibration.set(CalibrationSettings(**settings), controls or [cloud(seed=9, d=d)])
    return calibration


def test_switched_off_it_returns_the_raw_prediction():
    x = cloud()
    assert torch.equal(Calibration(2)(x, x + 3), x + 3)


def test_a_translation_is_scaled_aligned_and_keeps_its_shape():
    """For y = x + b the law is exact: mean x̄ + a b − g (x̄ − m), shape of x."""
    x, b = cloud(shift=5.0), torch.tensor([2.0, -1.0])
    controls = [cloud(seed=1), cloud(seed=2, shift=2.0)]
    m = (controls[0].mean(0) + controls[1].mean(0)) / 2
    y = calibrated(controls=controls, effect=0.6, alignment=0.25)(x, x + b)
    expected = x.mean(0) + 0.6 * b - 0.25 * (x.mean(0) - m)
    assert torch.allclose(y.mean(0), expected, atol=1e-5)
    assert torch.allclose(y - y.mean(0), x - x.mean(0), atol=1e-5)


def test_a_prediction_that_draws_cells_together_gets_its_spread_back():
    x = cloud(spread=3.0)
    y = calibrated(detail=0.5)(x, 0.2 * x)
    assert y.var(0).sum().item() == pytest.approx(x.var(0).sum().item(), rel=1e-5)


def test_with_nothing_taken_it_is_the_identity():
    x = cloud(shift=5.0)
    y = calibrated(effect=0.0, alignment=0.0, detail=0.0)(x, cloud(seed=3))
    assert torch.allclose(y, x, atol=1e-5)


def test_a_population_of_one_cell_moves_with_its_mean():
    x = torch.tensor([[4.0, 0.0]])
    y = calibrated(controls=[torch.zeros(3, 2)], effect=0.5, alignment=0.25)(x, x + 2.0)
    assert torch.allclose(y, torch.tensor([[4.0, 1.0]]))


def test_it_rotates_with_the_coordinates():
    x, u, controls = cloud(), cloud(seed=3), [cloud(seed=4), cloud(seed=5, shift=1.0)]
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(6))).Q
    settings = {"effect": 0.7, "alignment": 0.3, "detail": 0.5}
    y = calibrated(controls=controls, **settings)(x, x + u)
    turned = calibrated(controls=[c @ turn for c in controls], **settings)(x @ turn, (x + u) @ turn)
    assert torch.allclose(y @ turn, turned, atol=1e-4)
    stacked = calibrated(controls=controls, **settings)(x.expand(3, -1, -1), (x + u)[None])
    assert torch.allclose(stacked[2], y, atol=1e-5)


def groups():
    """Five patients off one another, a common effect half of which their offset takes back."""
    populations = {}
    for i in range(5):
        offset = 4 * torch.randn(2, generator=torch.Generator().manual_seed(50 + i))
        control = cloud(seed=i) + offset
        treated = cloud(seed=10 + i) + 0.6 * offset + torch.tensor([3.0, 0.0])
        populations[f"p{i}"] = (control, treated)
    return populations


FITS = {
    "population_map": lambda populations, choice, seed=0: fit_population_map(
        populations,
        hidden=(8,),
        options=MongeOptions(batch_size=16),
        optimisation=Optimisation(steps=3),
        choice=choice,
        seed=seed,
    ),
    **{
        embedding: lambda populations, choice, seed=0, embedding=embedding: fit_flow(
            populations,
            network=FlowNetworkOptions(
                embedding=embedding, width=8, layers=1, embedding_width=4, neighbours=3, ode_steps=2
            ),
            options=FlowOptions(batch_size=16),
            optimisation=Optimisation(steps=3),
            choice=choice,
            seed=seed,
        )
        for embedding in ("graph", "set", "none", "one_hot")
    },
}


@pytest.mark.parametrize("name", list(FITS))
def test_the_alignment_of_a_known_law_is_found(name):
    """Patients whose treated means give up 0.4 of their offset: g = 0.4 is chosen."""
    populations = groups()
    asked = populations.pop("p4")
    fitted = FITS[name](populations, ChoiceOptions(cells=30))
    best = min(fitted.selection, key=lambda point: point["score"])
    assert best["alignment"] == pytest.approx(0.4, abs=0.11)
    assert best["score"] < 0.2
    assert any(p["score"] > best["score"] + 0.1 for p in fitted.selection)
    moved = fitted.model(asked[0], condition={"population": "p4"})
    assert (moved.mean(0) - asked[1].mean(0)).norm() < (asked[0] - asked[1]).mean(0).norm() / 2


def test_a_calibrated_model_survives_its_files(tmp_path):
    populations = groups()
    for name, kind in (("graph", MetaFlowMatching), ("population_map", PopulationMongeMap)):
        model = FITS[name](populations, ChoiceOptions(cells=30)).model
        model.save(tmp_path / name)
        x = cloud(seed=8)
        assert torch.equal(kind.load(tmp_path / name)(x), model(x))


def test_without_an_effect_there_is_nothing_to_choose_by():
    same = {k: (x, x.clone()) for k, (x, _) in groups().items()}
    fitted = FITS["none"](same, ChoiceOptions(cells=30))
    assert fitted.selection == []
    assert not fitted.model.calibration.active


def test_refusals():
    with pytest.raises(DataError, match=r"alignment = 1\.5; expected a share"):
        CalibrationSettings(alignment=1.5)
    with pytest.raises(DataError, match="at least one population"):
        Calibration(2).set(CalibrationSettings(), [])
    with pytest.raises(DataError, match="cells = 1"):
        ChoiceOptions(cells=1)
    with pytest.raises(DataError, match="Gaussian base moves noise"):
        fit_flow(groups(), network=FlowNetworkOptions(base="gaussian"), choice=ChoiceOptions())
