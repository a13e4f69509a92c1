"""Metrics: closed forms, identities, floors, errors."""

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.flow import (
    GaussianMixture,
    GaussianMixtureField,
    LinearPath,
    energy_distance,
    first_order_defect,
    frechet_distance,
    mmd,
    normalized_path_energy,
    path_energy,
    path_statistics,
    straightness,
    transport_cost,
)

TARGET = GaussianMixture(torch.tensor([[-2.0], [2.0]]).double(), 0.25)
ORACLE = GaussianMixtureField(GaussianMixture.standard(1), TARGET)
X0 = torch.special.ndtri((torch.arange(1000).double() + 0.5) / 1000)[:, None]


def test_known_energies_of_the_training_free_twin():
    """N(0,1) to half N(±2, 0.25): PE 2.479, W2² 1.478, S 1.001 and NPE 0.677."""
    s = path_statistics(ORACLE, X0, steps=100)
    assert s.energy == pytest.approx(2.479, abs=0.01)
    assert s.straightness == pytest.approx(1.001, abs=0.01)
    # In one dimension the flow map is monotone, so its displacement is W2² itself.
    assert s.displacement == pytest.approx(1.478, abs=0.01)
    npe = normalized_path_energy(ORACLE, X0[::4], w2_squared=s.displacement)
    assert npe == pytest.approx(0.677, abs=0.02)


def test_energy_is_displacement_plus_straightness():
    for steps in (50, 100):
        s = path_statistics(ORACLE, X0[::20], steps=steps)
        assert s.energy == pytest.approx(s.displacement + s.straightness, abs=20 / steps**2)
    assert path_energy(ORACLE, X0[::20], steps=50) > s.displacement
    assert straightness(ORACLE, X0[::20], steps=50) > 0


def test_signed_energy_of_a_flow_that_stops_short():
    half = lambda x, t: 0.5 * torch.ones_like(x)  # noqa: E731
    x0, x1 = torch.zeros(4, 1), torch.ones(4, 1)
    assert normalized_path_energy(half, x0, x1, signed=True, steps=4) == pytest.approx(-0.75)
    assert normalized_path_energy(half, x0, x1, steps=4) == pytest.approx(0.75)


def test_first_order_defect_of_the_linear_path_is_the_variance_of_the_velocity():
    # x̂0 = x - t v on the linear path: constant exactly when v is.
    assert first_order_defect(lambda x, t: x / (1 + t[:, None]), X0[::50], LinearPath()) < 1e-12


def test_sample_distances():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1500, 3, generator=g).double()
    assert abs(mmd(x, y)) < 2e-3
    assert mmd(x, y + 1) > 0.02
    assert abs(energy_distance(x, y)) < 0.01
    # Two points at distance r on a line: every term is known.
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [3.0]])
    assert energy_distance(a, b).item() == pytest.approx(2 * 2.5 - 1 - 0)
    kernel = mmd(a, b, bandwidths=[0.5])
    expected = torch.exp(torch.tensor(-1.0)) + 1 - torch.exp(torch.tensor([-9.0, -4.0])).mean() * 2
    assert kernel.item() == pytest.approx(float(expected), rel=1e-6)


def test_frechet_distance_of_gaussians():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1)).double()
    assert frechet_distance(x, x).item() == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, 2 * x).item() == pytest.approx(
        float(torch.cov(x.T).trace() + x.mean(0).square().sum()), rel=1e-9
    )
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double()
    wide = x * torch.tensor([3.0, 1.0])
    assert frechet_distance(wide @ turn, wide).item() == pytest.approx(8, rel=0.1)


def test_transport_cost_and_images():
    x = torch.zeros(2, 1, 2, 2)
    assert transport_cost(x, x + 1).item() == 4
    assert transport_cost(x, x + 1, p=1).item() == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mmd(torch.zeros(1, 2), torch.zeros(5, 2)), "at least two points"),
        (lambda: energy_distance(torch.zeros(5, 2), torch.zeros(5, 3)), "samples have shapes"),
        (lambda: transport_cost(torch.zeros(5, 2), torch.zeros(4, 2)), "equal shapes"),
        (lambda: normalized_path_energy(ORACLE, X0), "either x1"),
        (lambda: normalized_path_energy(ORACLE, X0, w2_squared=0.0), "undefined"),
    ],
)
def test_errors_name_the_remedy(call, words):
    with pytest.raises(DataError, match=words):
        call()
