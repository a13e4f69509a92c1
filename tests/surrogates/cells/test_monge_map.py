import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    MongeMap,
    MongeObjective,
    MongeOptions,
    fit_monge_map,
    identity,
    mean_shift,
    pasted,
)
from pushforward.surrogates.ot import monge_gap, wasserstein
from pushforward.surrogates.training import Optimisation, stream


def cloud(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def pair(seed=0, n=200, d=2):
    """Control and treated cells: a stretch and a shift, whose optimal map is known."""
    x, z = cloud(n, d, seed), cloud(n, d, seed + 100)
    return x, 1.5 * z + 2.0


def test_map_starts_as_the_identity_with_finite_gradients_for_both_costs():
    x, y = pair()
    for cost in ("sqeuclidean", "euclidean"):
        model = MongeMap(2)
        assert torch.equal(model(x), x)
        objective = MongeObjective({"a": (x, y)}, MongeOptions(cost=cost))
        objective(model, stream(0))["loss"].backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_every_parameter_learns():
    x, y = pair()
    model = MongeMap(2, hidden=(16, 16))
    with torch.no_grad():
        model.net.layers[-1].weight.normal_(generator=stream(1))
    MongeObjective({"a": (x, y)}, MongeOptions())(model, stream(0))["loss"].backward()
    for name, p in model.named_parameters():
        assert p.grad.abs().max() > 0, name


def test_map_is_equivariant_to_shift_and_scale_of_the_cells():
    x = cloud(10, 3, 0)
    plain = MongeMap(3, hidden=(8,))
    moved = MongeMap(3, hidden=(8,), centre=[1.0, 2.0, 3.0], scale=10.0)
    with torch.no_grad():
        plain.net.layers[-1].weight.normal_(generator=stream(1))
    moved.net.load_state_dict(plain.net.state_dict())
    offset = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(moved(10 * x + offset), 10 * plain(x) + offset, rtol=1e-4, atol=1e-4)


def test_fitted_map_approaches_the_known_optimal_map(unchecked):
    """Gaussian to scaled Gaussian: T(x) = 1.5 x + 2 is optimal; the fit must come close."""
    populations = {"a": pair(0, n=1000), "b": pair(1, n=1000)}
    fitted = fit_monge_map(
        populations,
        select_every=0,
        hidden=(64, 64),
        options=MongeOptions(fit_eps=0.02),
        optimisation=Optimisation(steps=300, learning_rate=3e-3),
    )
    x = cloud(500, 2, 7)
    with torch.no_grad():
        moved = fitted.model(x)
    truth = 1.5 * x + 2.0
    error = (moved - truth).square().sum(1).mean() / truth.var(0).sum()
    assert error < 0.05
    assert monge_gap(x, moved) < 0.02 * (moved - x).square().sum(1).mean()


def test_the_gap_term_untangles_a_map(unchecked):
    """Two ways to hit the target law: weight on the gap must lower the gap of the result."""
    x = cloud(256, 2, 0)
    populations = {"a": (x, -cloud(256, 2, 1))}

    def gap(weight):
        model = MongeMap(2, hidden=(32,))
        with torch.no_grad():  # start from a rotated map, far from monotone
            model.net.layers[-1].weight.normal_(0, 0.5, generator=stream(3))
        objective = MongeObjective(populations, MongeOptions(gap_weight=weight))
        from pushforward.surrogates.training import train

        train(model, objective, Optimisation(steps=150, learning_rate=3e-3), seed=0)
        with torch.no_grad():
            return monge_gap(x, model(x)).item()

    assert gap(1.0) < 0.5 * gap(0.0)


def test_the_gap_on_independent_halves_is_unbiased_where_it_is_known():
    """0 for a translation; |x − T x|² in the mean for maps that keep the law, at a large ε too."""
    x = cloud(300 * 24, 4, 0)
    batches = x.reshape(300, 24, 4)

    def gaps(moved, **options):
        options = MongeOptions(gap_eps=0.5, batch_size=24, **options)
        found = MongeObjective({"a": (x, x)}, options)._gap(batches, moved)
        return found.mean().item(), 4 * found.std().item() / 300**0.5

    value, error = gaps(batches + 1.0, independent_batches=True)
    assert abs(value) < error
    assert error < 0.2
    mirrored = 4 * x.square().sum(1).mean().item()
    value, error = gaps(-batches, independent_batches=True)
    assert abs(value - mirrored) < error < 0.1 * mirrored
    assert gaps(-batches)[0] < 0.9 * mirrored


def test_steps_are_chosen_on_training_populations_and_may_be_none(unchecked):
    """Where populations answer in opposite ways, the identity is the best guess: 0 steps."""
    x = cloud(100, 2, 0)
    opposite = {"a": (x, cloud(100, 2, 1) + 3.0), "b": (x, cloud(100, 2, 2) - 3.0)}
    options = dict(
        hidden=(16,), select_every=20, optimisation=Optimisation(steps=60, learning_rate=3e-3)
    )
    none = fit_monge_map(opposite, **options)
    assert none.steps == 0
    assert torch.equal(none.model(x), x)
    agreeing = {"a": (x, cloud(100, 2, 1) + 3.0), "b": (x, cloud(100, 2, 2) + 3.0)}
    some = fit_monge_map(agreeing, **options)
    assert some.steps == min(some.selection, key=lambda p: p["distance"])["step"] > 0
    assert len(some.selection) == 4


def test_a_killed_fit_goes_on_to_the_same_map(tmp_path, monkeypatch, unchecked):
    populations = {"a": pair(0, n=60), "b": pair(1, n=60)}
    options = dict(hidden=(8,), select_every=5, optimisation=Optimisation(steps=20), seed=4)
    whole = fit_monge_map(populations, folder=tmp_path / "w", **options)
    calls = {"left": 27}
    original = MongeObjective.__call__

    def dies(self, model, generator):
        calls["left"] -= 1
        if calls["left"] == 0:
            raise KeyboardInterrupt
        return original(self, model, generator)

    with monkeypatch.context() as patch:
        patch.setattr(MongeObjective, "__call__", dies)
        with pytest.raises(KeyboardInterrupt):
            fit_monge_map(populations, folder=tmp_path / "k", **options)
    resumed = fit_monge_map(populations, folder=tmp_path / "k", **options)
    assert resumed.selection == whole.selection
    for p, q in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_offsets_move_both_clouds_alike():
    x, y = pair(n=50)
    far = {"a": (x, y), "b": (x + 20.0, y + 20.0)}
    options = MongeOptions(offset_spread=3.0, batch_size=400)
    control, treated = MongeObjective(far, options)._draw("a", stream(0))
    shift = control.mean(0) - x.mean(0)
    assert shift.abs().max() > 1.0
    torch.testing.assert_close(treated.mean(0) - y.mean(0), shift, atol=0.6, rtol=0)


def test_mean_shift_counts_populations_alike():
    x = torch.zeros(2, 1)
    populations = {"many": (torch.zeros(100, 1), torch.ones(100, 1)), "few": (x, x + 3.0)}
    torch.testing.assert_close(mean_shift(x, populations), torch.full((2, 1), 2.0))
    assert identity(x) is x


def test_mean_shift_is_exact_for_a_translation():
    x = cloud(50, 3, 0)
    moved = mean_shift(x, {"a": (x, x + 2.0)})
    assert wasserstein(moved, x + 2.0).item() < 1e-3  # float32: root of a rounded cost


def test_pasted_draws_evenly_from_all_populations():
    populations = {
        "a": (torch.zeros(2, 1), torch.zeros(50, 1)),
        "b": (torch.zeros(2, 1), torch.ones(3, 1)),
    }
    cells = pasted(11, populations, generator=stream(0))
    assert (cells == 0).sum() == 6
    assert (cells == 1).sum() == 5


def test_wrong_input_is_named(unchecked):
    x, y = pair(n=5)
    with pytest.raises(DataError, match="no training population"):
        MongeObjective({}, MongeOptions())
    with pytest.raises(DataError, match="'a' has 1 control and 5 treated"):
        MongeObjective({"a": (x[:1], y)}, MongeOptions())
    with pytest.raises(DataError, match="all treated cells coincide"):
        MongeObjective({"a": (x, torch.zeros(5, 2))}, MongeOptions())
    with pytest.raises(DataError, match="cells have 3 coordinates; this map was made for 2"):
        MongeMap(2)(torch.zeros(4, 3))
    with pytest.raises(DataError, match="dim = 0"):
        MongeMap(0)
    with pytest.raises(DataError, match="centre has 1 entries"):
        MongeMap(2, centre=[0.0])
    with pytest.raises(DataError, match=r"scale = 0\.0 must be positive"):
        MongeMap(2, scale=0.0)
    with pytest.raises(DataError, match=r"fit_eps = 0\.0 must be positive"):
        MongeOptions(fit_eps=0.0)
    with pytest.raises(DataError, match="mean_shift needs at least one"):
        mean_shift(x, {})
    with pytest.raises(DataError, match="needs schedule = constant"):
        fit_monge_map({"a": (x, y)}, optimisation=Optimisation(schedule="cosine"))


def test_saved_map_keeps_centre_and_scale(tmp_path):
    model = MongeMap(2, hidden=(8,), centre=[1.0, -1.0], scale=3.0, seed=5)
    model.save(tmp_path)
    loaded = MongeMap.load(tmp_path)
    x = cloud(6, 2, 0)
    assert torch.equal(model(x), loaded(x))
    assert torch.equal(loaded.centre, torch.tensor([1.0, -1.0]))
    assert loaded.scale.item() == 3.0
