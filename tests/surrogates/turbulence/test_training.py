"""Training on roll-outs: gradients, resume, symmetries of windows, and that it learns."""

import pytest
import torch

from pushforward.simulators.errors import DataError, InterruptedRun
from pushforward.simulators.turbulence import FiniteVolumeSolver, KolmogorovForcing
from pushforward.surrogates.training import Optimisation, stream
from pushforward.surrogates.turbulence import (
    CoarseFlow,
    LearnedCorrection,
    LearnedInterpolation,
    RolloutObjective,
    Stage,
    TemporalStencil,
    fit_rollouts,
)
from pushforward.surrogates.turbulence.objective import half_turn, mirror_x

pytestmark = pytest.mark.usefixtures("unchecked")

FLOW = CoarseFlow((16, 16), dt=0.02)
SMALL = {"hidden": 6, "layers": 2}


@pytest.fixture(scope="module")
def trajectories():
    """Two flows on another scheme of the same grid: what it does better can be learned."""
    solver = FiniteVolumeSolver(
        FLOW.shape, domain=FLOW.domain, viscosity=1e-3, drag=0.1, forcing=KolmogorovForcing(),
        dt=FLOW.dt, advection="upwind", diffusion="implicit",
    )  # fmt: skip
    state = solver.initial(seed=0, max_velocity=3.0, batch=(2,))
    frames = [state]
    for _ in range(24):
        state = solver.step(state)
        frames.append(state)
    return torch.stack(frames, 1)


def objective(data, frames=2, unroll=3):
    return RolloutObjective(data, FLOW, frames=frames, unroll=unroll, batch_size=4)


def test_every_parameter_gets_a_finite_gradient(trajectories):
    for model in (
        TemporalStencil(FLOW, frames=2, features=2, bundle=2, head_gain=0.1, **SMALL),
        LearnedInterpolation(FLOW, head_gain=0.1, **SMALL),
        LearnedCorrection(FLOW, **SMALL),
    ):
        if isinstance(model, LearnedCorrection):
            with torch.no_grad():
                model.network.convolutions[-1].weight.normal_(0, 0.1, generator=stream(0))
        objective(trajectories, model.frames)(model, stream(0))["loss"].backward()
        for name, parameter in model.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name


def test_gradient_is_finite_where_the_flow_is_constant():
    """0/0 in the limiter must not reach the gradient."""
    model = LearnedInterpolation(FLOW, head_gain=0.1, **SMALL)
    history = torch.ones(1, 1, 2, 16, 16, requires_grad=True)
    model.rollout(history, 3).square().sum().backward()
    assert torch.isfinite(history.grad).all()


def test_windows_are_symmetric_images_of_the_data(trajectories):
    """The solver commutes with both symmetries, so their images are trajectories too."""
    solver = FiniteVolumeSolver(
        FLOW.shape, domain=FLOW.domain, viscosity=1e-3, drag=0.1, forcing=KolmogorovForcing(),
        dt=FLOW.dt, advection="upwind", diffusion="implicit",
    )  # fmt: skip
    v = trajectories[:, 5]
    for move in (half_turn, lambda w: mirror_x(w).roll(2, -1)):
        torch.testing.assert_close(solver.step(move(v)), move(solver.step(v)), rtol=0, atol=3e-6)
    broken = solver.step(mirror_x(v)) - mirror_x(solver.step(v))
    assert broken.abs().max() > 1e-3  # the forcing knows where it is
    windows = objective(trajectories).draw(stream(3))
    assert windows.shape == (4, 5, 2, 16, 16)
    for window in windows:
        nearest = min(
            (solver.step(window[i][None])[0] - window[i + 1]).abs().max().item() for i in range(4)
        )
        assert nearest < 1e-5


def test_training_lowers_the_error(trajectories):
    model = LearnedInterpolation(FLOW, **SMALL)
    judge = objective(trajectories, 1, 4)
    before = judge(model, stream(9))["loss"].item()
    fit_rollouts(
        model,
        trajectories,
        stages=[Stage(25, 1), Stage(10, 4)],
        optimisation=Optimisation(learning_rate=1e-2, weight_decay=0.0, clip_norm=1.0),
        batch_size=4,
    )
    assert judge(model, stream(9))["loss"].item() < 0.5 * before


def test_a_stopped_training_resumes_bit_for_bit(trajectories, tmp_path, signal_at):
    def fit(folder, model):
        fit_rollouts(
            model, trajectories, stages=[Stage(3, 1), Stage(4, 2)],
            optimisation=Optimisation(schedule="cosine"), batch_size=2, seed=5, folder=folder,
        )  # fmt: skip
        return model

    def new():
        return TemporalStencil(FLOW, frames=2, features=2, bundle=2, **SMALL)

    whole = fit(tmp_path / "whole", new())
    with signal_at(RolloutObjective, 5), pytest.raises(InterruptedRun, match="step 2"):
        fit(tmp_path / "parts", new())
    resumed = fit(tmp_path / "parts", new())
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_wrong_data_are_refused(trajectories):
    with pytest.raises(DataError, match=r"25 frames are shorter than a window of 20 \+ 10"):
        objective(trajectories, 20, 10)
    with pytest.raises(DataError, match="the flow is on"):
        objective(trajectories[..., :8])
    broken = trajectories.clone()
    broken[0, 3] = torch.nan
    with pytest.raises(DataError, match="non-finite"):
        objective(broken)
    with pytest.raises(DataError, match="no stages"):
        fit_rollouts(
            LearnedInterpolation(FLOW), trajectories, stages=[], optimisation=Optimisation()
        )
    with pytest.raises(DataError, match="unroll = 0"):
        Stage(1, 0)
