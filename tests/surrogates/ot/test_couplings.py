"""Partners, weights and noise for mini-batches: who is paired, and which law survives."""

import math

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.ot import (
    RunningPotentials,
    couple,
    effective_sample_size,
    gibbs_weights,
    nearest_noise,
    sample_plan,
    solve,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def test_a_three_cycle_is_undone():
    """A transposition would hide an index applied to the wrong side."""
    x = draw(3, 2)
    index = couple(x, x[[1, 2, 0]])
    assert index.tolist() == [2, 0, 1]
    torch.testing.assert_close(x[[1, 2, 0]][index], x)


def test_partners_of_a_plan_lose_no_source_and_keep_the_targets_on_average():
    P = solve(torch.rand(6, 4, generator=seeded()), eps=0.5).plan
    index = sample_plan(P.expand(4000, 6, 4), generator=seeded(1))
    assert index.shape == (4000, 6)
    for i in range(6):
        counts = torch.bincount(index[:, i], minlength=4) / 4000
        probability = P[i] / P[i].sum()
        spread = (probability * (1 - probability) / 4000).sqrt()
        assert ((counts - probability).abs() < 4.5 * spread).all()
    assert torch.equal(index, sample_plan(P.expand(4000, 6, 4), generator=seeded(1)))
    assert not torch.equal(index, sample_plan(P.expand(4000, 6, 4), generator=seeded(2)))


@pytest.mark.parametrize("eps", [None, 0.5])
def test_conditions_are_never_mixed(eps):
    x, y = draw(12, 2), draw(12, 2, seed=1)
    labels_x = torch.arange(12) % 3
    labels_y = torch.arange(12) // 4
    index = couple(x, y, eps=eps, labels_x=labels_x, labels_y=labels_y, generator=seeded())
    assert torch.equal(labels_y[index], labels_x)
    if eps is None:
        assert sorted(index.tolist()) == list(range(12))
        block = couple(x[labels_x == 1], y[labels_y == 1])
        assert torch.equal(index[labels_x == 1], 4 + block)


def test_unequal_sizes_draw_from_the_plan():
    index = couple(draw(5, 2), draw(9, 2, seed=1), generator=seeded())
    assert index.shape == (5,)
    assert index.max() < 9


def test_gibbs_weights_tilt_gaussians_as_predicted():
    """Under c = |x-y|² the weighted pairs are Gaussian with a known precision matrix."""
    n, eps, B = 400_000, 2.0, 0.81
    x, y = draw(n, 1), 0.9 * draw(n, 1, seed=1)
    w = gibbs_weights(x, y, eps=eps, cost="sqeuclidean")
    precision = torch.tensor([[1 + 2 / eps, -2 / eps], [-2 / eps, 1 / B + 2 / eps]])
    expected = torch.linalg.inv(precision)
    pairs = torch.cat([x, y], 1)
    moments = (w[:, None, None] * pairs[:, :, None] * pairs[:, None, :]).mean(0)
    torch.testing.assert_close(moments, expected.double(), atol=0.01, rtol=0)
    assert w.mean().item() == pytest.approx(1.0)
    assert moments[0, 0] < 0.75  # the tilt: the variance of x is 1


def test_effective_sample_size():
    assert effective_sample_size(torch.ones(7)) == pytest.approx(1.0)
    assert effective_sample_size(torch.eye(7)[0]) == pytest.approx(1 / 7)
    x, y = draw(100, 2), draw(100, 2, seed=1)
    cold, warm = (effective_sample_size(gibbs_weights(x, y, eps=e)) for e in (0.1, 10.0))
    assert cold < 0.3 < 0.9 < warm


def test_running_potentials_undo_the_tilt():
    eps, generator = 1.0, seeded(3)
    running = RunningPotentials(eps=eps, cost="sqeuclidean", size=512)
    plain, corrected, cross, total = [], [], [], 0
    for step in range(120):
        x = torch.randn(256, 1, dtype=torch.float64, generator=generator)
        y = 0.9 * torch.randn(256, 1, dtype=torch.float64, generator=generator) + 0.3
        w = running.update(x, y)
        if step >= 20:
            v = gibbs_weights(x, y, eps=eps, cost="sqeuclidean")
            plain.append((v * x[:, 0] ** 2).mean())
            corrected.append((w * x[:, 0] ** 2).mean())
            cross.append((w * x[:, 0] * (y[:, 0] - 0.3)).mean())
            total += w.mean()
    plain, corrected, cross = (torch.stack(v).mean().item() for v in (plain, corrected, cross))
    assert plain < 0.65
    assert corrected == pytest.approx(1.0, abs=0.06)
    assert (total / 100).item() == pytest.approx(1.0, abs=0.03)
    # Covariance of the entropic plan between N(0,1) and N(0.3, 0.81), eps = 2 s².
    s2 = eps / 2
    expected = (math.sqrt(4 * 0.81 + s2**2) - s2) / 2
    assert cross == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("d", "k", "mean_square"), [(2, 4, 0.406), (2, 16, 0.284), (50, 4, 0.841), (50, 16, 0.742)]
)
def test_plain_nearest_noise_shrinks_and_the_corrected_one_does_not(d, k, mean_square):
    x = 0.5 * draw(2000, d)
    plain = nearest_noise(x, k=k, generator=seeded(1))
    assert plain.square().mean().item() == pytest.approx(mean_square, abs=0.03)
    kept = nearest_noise(x, k=k, corrected=True, generator=seeded(1))
    pool = torch.randn(2000, d, dtype=torch.float64, generator=seeded(1))
    torch.testing.assert_close(kept.sort(0).values, pool.sort(0).values)
    independent = (pool - x).square().sum(-1).sqrt().mean()
    assert (kept - x).square().sum(-1).sqrt().mean() < 0.97 * independent


def test_nearest_noise_keeps_the_shape_of_images_and_repeats():
    x = torch.zeros(6, 3, 4, 4)
    for corrected in (False, True):
        one, two = (
            nearest_noise(x, k=3, corrected=corrected, generator=seeded(5)) for _ in range(2)
        )
        assert one.shape == x.shape
        assert torch.equal(one, two)
    alone = nearest_noise(x, k=1, generator=seeded(5))
    assert alone.square().mean().item() == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_plan(torch.tensor([[0.0, 0.0], [0.5, 0.5]])), "1 rows without mass"),
        (lambda: couple(draw(2, 1), draw(2, 1), labels_x=torch.zeros(2)), "one side only"),
        (
            lambda: couple(
                draw(2, 1), draw(2, 1), labels_x=torch.tensor([0, 1]), labels_y=torch.zeros(2)
            ),
            "label 1 has 1 points in x and none in y",
        ),
        (
            lambda: couple(
                draw(2, 1), draw(2, 1), labels_x=torch.zeros(3), labels_y=torch.zeros(2)
            ),
            r"labels_x has shape \(3,\)",
        ),
        (lambda: gibbs_weights(draw(2, 1), draw(3, 1), eps=1.0), "x holds 2 points, y 3"),
        (lambda: gibbs_weights(draw(2, 1), draw(2, 1), eps=0.0), "eps = 0.0"),
        (lambda: RunningPotentials(eps=-1.0), "eps = -1.0"),
        (lambda: RunningPotentials(eps=1.0, size=0), "size = 0"),
        (lambda: nearest_noise(draw(2, 1), k=0), "k = 0"),
        (lambda: nearest_noise(torch.zeros(2, 1, dtype=torch.long)), "x has dtype torch.int64"),
    ],
)
def test_errors(call, message):
    with pytest.raises(DataError, match=message):
        call()
