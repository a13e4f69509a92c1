"""The ODE sampler on the exact mixture: orders, NFE, inversion, density, failures."""

import math

import pytest
import torch
from torch import nn

from pushforward.simulators.errors import DataError, DivergedError
from pushforward.surrogates.flow import (
    BlockwiseField,
    CosinePath,
    GaussianMixture,
    GaussianMixtureField,
    LinearPath,
    ODESampler,
    SamplingError,
    VPPath,
    edm_time_grid,
    time_grid,
)


def mixture(d=1, path=None, var=0.25):
    target = GaussianMixture(torch.tensor([[-2.0] * d, [2.0] * d]).double(), var)
    return GaussianMixtureField(GaussianMixture.standard(d), target, path=path)


ORACLE = mixture()
X0 = torch.linspace(-2.5, 2.5, 41).double()[:, None]


@pytest.fixture(scope="module")
def exact():
    return ODESampler(ORACLE, method="rk4", steps=500).sample(X0).x


def error(method, steps, exact, **options):
    x = ODESampler(ORACLE, method=method, steps=steps, **options).sample(X0).x
    return (x - exact).square().mean().sqrt().item()


@pytest.mark.parametrize(
    ("method", "order", "steps"),
    [
        ("euler", 1, (100, 200, 400)),
        ("midpoint", 2, (50, 100, 200)),
        ("heun", 2, (50, 100, 200)),
        ("ab2", 2, (100, 200, 400)),
        ("pseudo_corrector", 2, (100, 200, 400)),
        ("rk4", 4, (20, 40, 80)),
    ],
)
def test_order_of_convergence(method, order, steps, exact):
    errors = [error(method, n, exact) for n in steps]
    slope = math.log2(errors[0] / errors[-1]) / math.log2(steps[-1] / steps[0])
    assert slope == pytest.approx(order, abs=0.2), (slope, errors)


@pytest.mark.parametrize(("method", "order"), [("ddim", 1), ("dpm_solver_2m", 2), ("edm_heun", 2)])
def test_order_of_methods_that_know_the_path(method, order):
    """Away from the ends, where the methods are first order by design."""
    path = VPPath()
    oracle = mixture(path=path)
    grid = torch.linspace(0.1, 0.95, 201).double()
    x = 1.3 * X0
    exact = ODESampler(oracle, method="rk4", time_grid=grid).sample(x).x
    errors = []
    for stride in (8, 4, 2):
        sampler = ODESampler(oracle, method=method, time_grid=grid[::stride], path=path)
        errors.append((sampler.sample(x).x - exact).square().mean().sqrt().item())
    slope = math.log2(errors[0] / errors[-1]) / 2
    assert slope == pytest.approx(order, abs=0.25), (slope, errors)


def test_one_dimensional_flow_is_the_quantile_map(exact):
    """F1(Z1) = Φ(z): the flow of a line keeps the order of points."""
    normal = torch.special.ndtr
    cdf = 0.5 * (normal((exact + 2) / 0.5) + normal((exact - 2) / 0.5))
    assert torch.allclose(cdf, normal(X0), atol=1e-9)


@pytest.mark.parametrize(
    ("method", "nfe"),
    [
        ("euler", 7),
        ("midpoint", 14),
        ("heun", 14),
        ("rk4", 28),
        ("ab2", 8),
        ("pseudo_corrector", 8),
        ("ddim", 7),
        ("dpm_solver_2m", 7),
        ("edm_heun", 12),  # neither the first step (α = 0) nor the last (σ = 0) is corrected
    ],
)
def test_evaluations_are_counted_exactly(method, nfe):
    calls = 0

    def field(x, t):
        nonlocal calls
        calls += 1
        assert t.shape == (len(x),)
        return ORACLE(x, t)

    out = ODESampler(field, method=method, steps=7, path=LinearPath()).sample(X0)
    assert out.nfe == calls == nfe
    assert out.converged
    assert out.ts.tolist() == pytest.approx([k / 7 for k in range(8)])


def test_adaptive_counts_rejected_steps_and_is_accurate(exact):
    calls = 0

    def field(x, t):
        nonlocal calls
        calls += 1
        return ORACLE(x, t)

    out = ODESampler(field, method="dopri5", rtol=1e-8, atol=1e-8).sample(X0)
    assert out.nfe == calls > 20
    assert (out.x - exact).abs().max() < 1e-6


def test_ddim_on_the_linear_path_is_euler_and_every_prediction_agrees():
    path = LinearPath()
    grid = time_grid(10, start=0.05, end=0.95)
    euler = ODESampler(ORACLE, method="euler", time_grid=grid).sample(X0).x
    for kind in ("velocity", "x1", "noise", "score"):

        def field(x, t, kind=kind):
            return path.convert(ORACLE(x, t), x, t, source="velocity", target=kind)

        for method in ("ddim", "euler"):
            sampler = ODESampler(field, method=method, time_grid=grid, path=path, prediction=kind)
            assert torch.allclose(sampler.sample(X0).x, euler, atol=1e-12), (kind, method)


def test_one_ddim_step_is_exact_for_a_first_order_flow():
    """One atom: x0-hat is constant along trajectories on any path, however curved."""
    for path in (LinearPath(), CosinePath(), VPPath()):
        atom = GaussianMixture(torch.tensor([[1.5]]).double(), 1e-12)
        field = GaussianMixtureField(GaussianMixture.standard(1), atom, path=path)
        grid = torch.tensor([0.2, 0.9]).double()
        a, s = path.alpha(grid), path.sigma(grid)
        start = a[0] * 1.5 + s[0] * X0
        out = ODESampler(field, method="ddim", time_grid=grid, path=path).sample(start)
        assert torch.allclose(out.x, a[1] * 1.5 + s[1] * X0, atol=1e-9)


def test_inversion_and_descending_grids():
    sampler = ODESampler(ORACLE, method="rk4", steps=60)
    x1 = sampler.sample(X0).x
    assert (sampler.invert(x1).x - X0).abs().max() < 1e-5
    down = ODESampler(ORACLE, method="rk4", time_grid=torch.linspace(1, 0, 61).double())
    assert torch.allclose(down.sample(x1).x, sampler.invert(x1).x, atol=1e-12)
    assert (down.invert(X0).x - x1).abs().max() < 1e-12


def test_trajectory_is_kept_on_request():
    out = ODESampler(ORACLE, method="heun", steps=5).sample(X0, keep_trajectory=True)
    assert out.trajectory.shape == (6, 41, 1)
    assert torch.equal(out.trajectory[0], X0)
    assert torch.equal(out.trajectory[-1], out.x)
    adaptive = ODESampler(ORACLE, method="dopri5", time_grid=[0.0, 0.4, 1.0])
    kept = adaptive.sample(X0, keep_trajectory=True)
    assert kept.ts.tolist() == [0.0, 0.4, 1.0]
    assert kept.trajectory.shape == (3, 41, 1)


def test_single_precision_stays_single():
    x = ODESampler(lambda x, t: -x * t[:, None], method="rk4", steps=3).sample(torch.ones(2, 1)).x
    assert x.dtype == torch.float32


def test_edm_grid_helps_edm_heun():
    path = LinearPath()
    grid = edm_time_grid(path, 12)
    out = ODESampler(ORACLE, method="edm_heun", time_grid=grid, path=path).sample(X0)
    assert out.converged
    assert len(grid) == 13


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("path", [LinearPath(), CosinePath()], ids=["linear", "cosine"])
def test_log_prob_is_the_exact_density(d, path):
    oracle = mixture(d, path)
    x1 = oracle.target.sample(60, generator=torch.Generator().manual_seed(0))
    sampler = ODESampler(oracle, method="rk4", steps=100)
    got = sampler.log_prob(x1, oracle.source.log_prob)
    assert (got - oracle.target.log_prob(x1)).abs().max() < 1e-3
    adaptive = ODESampler(oracle, method="dopri5", rtol=1e-7, atol=1e-7)
    got = adaptive.log_prob(x1, oracle.source.log_prob)
    assert (got - oracle.target.log_prob(x1)).abs().max() < 1e-3


def test_hutchinson_is_unbiased():
    # Different scales along a diagonal: the Jacobian has off-diagonal terms to average out.
    cov = torch.tensor([[[0.5, 0.3], [0.3, 0.4]]]).double()
    target = GaussianMixture(torch.zeros(1, 2).double(), cov)
    oracle = GaussianMixtureField(GaussianMixture.standard(2), target)
    x1 = torch.tensor([[0.7, -0.2]]).double().repeat(600, 1)
    sampler = ODESampler(oracle, method="rk4", steps=20)
    g = torch.Generator().manual_seed(0)
    p0 = oracle.source.log_prob
    got = sampler.log_prob(x1, p0, divergence="hutchinson", generator=g)
    error = got.std() / 600**0.5
    assert error > 0
    assert abs(got.mean() - target.log_prob(x1[:1]).item()) < 4 * error
    more = sampler.log_prob(x1, p0, divergence="hutchinson", probes=16, generator=g)
    assert more.std() < 0.5 * got.std()


def test_log_prob_of_any_shape_and_gradients_of_parameters():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

        def forward(self, x, t):
            return self.rate * x

    model = Scale()
    x1 = torch.randn(3, 2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def log_p0(x):
        return -0.5 * x.flatten(1).square().sum(1) - 6 * math.log(2 * math.pi)

    got = ODESampler(model, method="rk4", steps=20).log_prob(x1, log_p0)
    r = 0.7
    expected = log_p0(x1 * math.exp(-r)) - 12 * r
    assert torch.allclose(got, expected, atol=1e-6)
    got.sum().backward()
    slope = (x1.flatten(1).square().sum() * math.exp(-2 * r) - 3 * 12).item()
    assert model.rate.grad.item() == pytest.approx(slope, rel=1e-5)
    with torch.no_grad():
        assert not ODESampler(model, steps=3).log_prob(x1, log_p0).requires_grad


def test_gradients_through_sampling_only_when_asked():
    rate = torch.tensor(0.3, requires_grad=True)
    sampler = ODESampler(lambda x, t: rate * x, method="rk4", steps=10)
    assert not sampler.sample(torch.ones(2, 1)).x.requires_grad
    sampler.sample(torch.ones(2, 1), enable_grad=True).x.sum().backward()
    assert rate.grad.item() == pytest.approx(2 * math.exp(0.3), rel=1e-4)


def test_conditions_reach_the_field():
    field = lambda x, t, *, speed: speed[:, None] * torch.ones_like(x)  # noqa: E731
    out = ODESampler(field, method="euler", steps=4).sample(
        torch.zeros(2, 1), speed=torch.tensor([1.0, -2.0])
    )
    assert out.x.flatten().tolist() == [1.0, -2.0]


class Constant(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c

    def forward(self, x, t):
        return torch.full_like(x, self.c)


@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "ab2", "pseudo_corrector", "dopri5"])
def test_blocks_are_never_straddled(method):
    field = BlockwiseField([Constant(1.0), Constant(-3.0), Constant(0.5)], [0.3, 0.6])
    steps = None if method == "dopri5" else 5
    grid = [0.0, 0.3, 0.6, 1.0] if method == "dopri5" else None
    out = ODESampler(field, method=method, steps=steps, time_grid=grid).sample(
        torch.zeros(1, 1).double()
    )
    assert out.x.item() == pytest.approx(0.3 - 0.9 + 0.2, abs=1e-12)
    with pytest.raises(DataError, match="crosses the joint"):
        ODESampler(field, method="euler", time_grid=[0.0, 0.5, 1.0]).sample(torch.zeros(1, 1))


def test_blocks_train_on_their_own_times():
    blocks = [nn.Linear(1, 1) for _ in range(3)]

    class Timeless(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x, t):
            return self.layer(x)

    field = BlockwiseField([Timeless(b) for b in blocks])
    field(torch.ones(2, 1), torch.tensor([0.1, 0.9])).sum().backward()
    assert blocks[0].weight.grad is not None
    assert blocks[1].weight.grad is None
    assert blocks[2].weight.grad is not None
    with pytest.raises(DataError, match="ascending"):
        BlockwiseField(blocks, [0.7, 0.2])


def test_non_finite_field_says_where():
    def field(x, t):
        return torch.where(t[:, None] > 0.5, torch.nan, 1.0) * torch.ones_like(x)

    with pytest.raises(SamplingError, match=r"non-finite values at t = 0\.7.*index 0") as caught:
        ODESampler(field, method="euler", steps=10).sample(torch.zeros(3, 1))
    assert caught.value.status == "non_finite"
    assert isinstance(caught.value, DivergedError)
    out = ODESampler(field, method="euler", steps=10, on_failure="return").sample(
        torch.zeros(3, 1), keep_trajectory=True
    )
    assert out.status == "non_finite"
    assert not out.converged
    assert torch.isfinite(out.x).all()
    assert out.ts[-1].item() == pytest.approx(0.6)
    assert len(out.trajectory) == len(out.ts)
    with pytest.raises(SamplingError, match="non-finite"):
        ODESampler(field, method="dopri5").sample(torch.zeros(3, 1))


def test_adaptive_failures_say_what_to_do():
    def blow_up(x, t):
        return x**2

    sampler = ODESampler(blow_up, method="dopri5", on_failure="return")
    out = sampler.sample(torch.full((1, 1), 3.0).double())  # infinite at t = 1/3
    assert out.status == "step_underflow"
    assert "near t = 0.33333" in out.message
    assert "fixed-step method" in out.message
    with pytest.raises(SamplingError, match="too small"):
        ODESampler(blow_up, method="dopri5").sample(torch.full((1, 1), 3.0).double())

    def rough(x, t):
        return torch.cos(2000 * t)[:, None] * torch.ones_like(x)

    out = ODESampler(rough, method="dopri5", max_steps=20, on_failure="return").sample(
        torch.zeros(1, 1).double()
    )
    assert out.status == "max_steps"
    assert "Raise max_steps" in out.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "leap"}, "unknown method"),
        ({"steps": 3, "time_grid": [0.0, 1.0]}, "both steps = 3 and time_grid"),
        ({"time_grid": [0.0, 0.6, 0.5, 1.0]}, r"not strictly monotone: t\[1\] = 0.6"),
        ({"time_grid": [0.0, 0.0, 1.0]}, "repeated"),
        ({"time_grid": [0.0, 1.5]}, r"times lie in \[0, 1\]"),
        ({"time_grid": [0.0]}, "at least two"),
        ({"steps": 0}, "at least one step"),
        ({"steps": 5, "method": "dopri5"}, "chooses its own"),
        ({"method": "ddim"}, "needs the path"),
        ({"prediction": "x1"}, "needs the path"),
        ({"on_failure": "ignore"}, "on_failure"),
    ],
)
def test_meaningless_arguments_are_refused_before_any_work(options, words):
    def never(x, t):
        raise AssertionError("the field was called")

    with pytest.raises(DataError, match=words):
        ODESampler(never, **options)


def test_wrong_shapes_and_singular_predictions_are_refused():
    with pytest.raises(DataError, match="must return the shape of x"):
        ODESampler(lambda x, t: x[:, 0]).sample(torch.zeros(3, 2))
    with pytest.raises(DataError, match="floating-point"):
        ODESampler(lambda x, t: x).sample(torch.zeros(3, 2, dtype=torch.long))
    with pytest.raises(DataError, match=r"at t = 0, where α = 0"):
        ODESampler(lambda x, t: x, path=LinearPath(), prediction="noise").sample(torch.zeros(3, 2))
    with pytest.raises(DataError, match=r"at t = 1, where σ = 0"):
        ODESampler(lambda x, t: x, path=LinearPath(), prediction="x1").sample(torch.zeros(3, 2))
    with pytest.raises(DataError, match="general one"):
        ODESampler(lambda x, t: x, method="ddim", path=LinearPath()).log_prob(
            torch.zeros(3, 2), lambda x: x[:, 0]
        )
    with pytest.raises(DataError, match="whole way"):
        ODESampler(lambda x, t: x, time_grid=[0.1, 1.0]).log_prob(
            torch.zeros(3, 2), lambda x: x[:, 0]
        )


def test_time_grids():
    assert time_grid(4).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert time_grid(2, start=1, end=0).tolist() == [1, 0.5, 0]
    grid = time_grid(7, breaks=[0.5, 0.9, 2.0])
    assert len(grid) == 8
    assert {0.5, 0.9} <= set(grid.tolist())
    with pytest.raises(DataError, match="3 segments"):
        time_grid(2, breaks=[0.3, 0.6])
