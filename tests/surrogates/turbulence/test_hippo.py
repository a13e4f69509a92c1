"""HiPPO memories: check values, isometry, orthogonal polynomials, errors."""

import math

import numpy as np
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.turbulence import HippoMemory, hippo_features, hippo_matrices
from pushforward.surrogates.turbulence.memory import FrameMemory, HippoFrames


def signal(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (torch.ones(1), [0.8, 0.48, 0.288, 0.1728]),
        (torch.ones(8), [1.96640768, -1.67975322, 0.78156923, 0.32045793]),
        (
            torch.cos(0.3 * torch.arange(32, dtype=torch.float64)),
            [-1.50344478, -0.06097798, 1.56006415, -1.38843985],
        ),
    ],
)
def test_laguerre_check_values(frames, expected):
    found = hippo_features(frames.double(), measure="lagt", N=4, dt=1.0)
    np.testing.assert_allclose(found, expected, atol=5e-9)


def test_laguerre_step_is_lossless():
    """A + Aᵀ = −B Bᵀ makes the bilinear step an isometry of past and state: |x|² + |out|² = |u|²;
    with more coefficients than can have faded, nothing is lost."""
    a, b = hippo_matrices("lagt", 6)
    assert torch.equal(a + a.T, -torch.outer(b, b))
    frames = torch.randn(3, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = hippo_features(frames, measure="lagt", N=256)
    torch.testing.assert_close(features.square().sum(-1), frames.square().sum(-1))
    eye = torch.eye(32, dtype=torch.float64)
    gram = torch.linalg.svdvals(hippo_features(eye, measure="lagt", N=256))
    torch.testing.assert_close(gram, torch.ones_like(gram))
    kept = hippo_features(eye, measure="lagt", N=64).square().sum() / 32
    assert kept == pytest.approx(0.81, abs=0.01)


@pytest.mark.parametrize(("measure", "before"), [("legt", 3), ("legs", 0)])
def test_legendre_memories_hold_the_projection_onto_polynomials(measure, before):
    """Of a line from 0 to 1 over the window they hold mean and slope, and no higher coefficient.

    t = 1/2 + (1/(2√3)) √3 P₁(2t − 1) on [0, 1]. legt needs the line to have lasted longer than
    its window, for it forgets what was before only gradually.
    """
    n = 400
    line = (torch.arange((before + 1) * n, dtype=torch.float64) + 0.5) / n - before
    found = hippo_features(line, measure=measure, N=3, length=float(n))
    np.testing.assert_allclose(found.abs(), [0.5, 1 / (2 * math.sqrt(3)), 0], atol=0.005)
    newest = torch.sqrt(2 * torch.arange(3, dtype=torch.float64) + 1) @ found
    assert newest.item() == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("measure", ["lagt", "legt", "legs"])
def test_feeding_in_parts_is_feeding_at_once(measure):
    frames = torch.randn(4, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    memory = HippoMemory(measure, 5, length=12.0)
    state = memory.feed(None, frames[:, :3], 0)
    state = memory.feed(state, frames[:, 3:4], 3)
    state = memory.feed(state, frames[:, 4:], 4)
    torch.testing.assert_close(state, hippo_features(frames, measure=measure, N=5, length=12.0))


def test_memories_of_fields_agree_with_the_features_of_one_cell():
    frames = torch.randn(2, 7, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    hippo = HippoFrames("legt", 3, length=7.0)
    memory = hippo.feed(hippo.begin(frames[:, :5]), frames[:, 5:])
    features = hippo.features(memory)
    assert features.shape == (2, 6, 4, 5)
    one = hippo_features(frames[1, :, 1, 2, 3], measure="legt", N=3, length=7.0)
    torch.testing.assert_close(features[1, 3:, 2, 3], one)
    raw = FrameMemory(3)
    stack = raw.features(raw.feed(raw.begin(frames[:, 2:5]), frames[:, 5:]))
    torch.testing.assert_close(stack[1, 3:, 2, 3], frames[1, 4:, 1, 2, 3])


def test_errors_name_the_value():
    with pytest.raises(DataError, match="unknown measure 'hermite'; known: lagt, legt, legs"):
        hippo_matrices("hermite", 4)
    with pytest.raises(DataError, match="N = 0"):
        hippo_matrices("lagt", 0)
    with pytest.raises(DataError, match="dt = 0"):
        HippoMemory("lagt", 4, dt=0.0)
    with pytest.raises(DataError, match="non-finite"):
        hippo_features(signal(1.0, math.nan), measure="lagt", N=2)
