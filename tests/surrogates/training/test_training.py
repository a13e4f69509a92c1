import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from pushforward.simulators.errors import DataError, DivergedError, InterruptedRun
from pushforward.surrogates.blocks import MLP
from pushforward.surrogates.training import (
    Optimisation,
    StopSignal,
    load_checkpoint,
    make_fabric,
    resolve_device,
    save_checkpoint,
    stream,
    train,
)

SETTINGS = Optimisation(steps=10, learning_rate=0.01, schedule="cosine")


def network():
    return MLP(3, 3, hidden=(16,), generator=stream(0, "init"))


def objective(model, generator):
    x = torch.randn(32, 3, generator=generator)
    return {"loss": (model(x) - torch.sin(x)).square().mean()}


class Stops:
    """Raises after some calls, as a crash would."""

    def __init__(self, after, error):
        self.left, self.error = after, error

    def __call__(self, model, generator):
        if self.left == 0:
            raise self.error
        self.left -= 1
        return objective(model, generator)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def evaluate(model):
    x = torch.linspace(-1, 1, 30).reshape(10, 3)
    return {"error": (model(x) - torch.sin(x)).abs().mean().item()}


@pytest.mark.parametrize("fabric", [False, True])
def test_ten_steps_equal_five_resume_five(tmp_path, fabric):
    options = dict(seed=3, evaluate=evaluate, evaluate_every=2, checkpoint_every=5)
    options["fabric"] = make_fabric("cpu") if fabric else None
    whole, parts = network(), network()
    report = train(whole, objective, SETTINGS, folder=tmp_path / "a", **options)
    crash = Stops(7, RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
        train(parts, crash, SETTINGS, folder=tmp_path / "b", **options)
    resumed = network()
    again = train(resumed, objective, SETTINGS, folder=tmp_path / "b", **options)
    assert again.resumed_from == 5
    assert torch.equal(weights(whole), weights(resumed))
    assert again.history == report.history
    assert len(report.history) == 5
    finished = train(network(), objective, SETTINGS, folder=tmp_path / "b", **options)
    assert finished.resumed_from == 10
    assert finished.losses == []


def test_loss_falls_and_seeds_matter():
    first, other = network(), network()
    settings = Optimisation(steps=400, learning_rate=0.01)
    report = train(first, objective, settings, seed=0)
    train(other, objective, settings, seed=1)
    assert sum(report.losses[-20:]) < 0.2 * sum(report.losses[:20])
    assert not torch.equal(weights(first), weights(other))


def test_cosine_runs_from_full_rate_to_the_final_fraction():
    settings = Optimisation(steps=100, learning_rate=2.0, schedule="cosine", final_fraction=0.1)
    assert settings.rate(0) == 2.0
    assert settings.rate(50) == pytest.approx(2.0 * 0.55)
    assert settings.rate(100) == pytest.approx(0.2)


def test_warm_up_rises_to_the_schedule_and_leaves_its_end():
    warm = Optimisation(steps=110, learning_rate=2.0, schedule="cosine", warm_up=10)
    assert [warm.rate(step) for step in (0, 4, 9, 10)] == pytest.approx([0.2, 1.0, 2.0, 2.0])
    plain = Optimisation(steps=100, learning_rate=2.0, schedule="cosine")
    assert warm.rate(60) == plain.rate(50)
    assert warm.rate(110) == plain.rate(100)
    assert Optimisation(warm_up=4).rate(7) == Optimisation().rate(0)


def test_a_signal_saves_and_says_resume_me(tmp_path):
    def interrupted(model, generator):
        os.kill(os.getpid(), signal.SIGTERM)
        return objective(model, generator)

    before = signal.getsignal(signal.SIGTERM)
    model = network()
    with pytest.raises(InterruptedRun, match="SIGTERM received: step 1 of training is saved") as e:
        train(model, interrupted, SETTINGS, seed=0, folder=tmp_path)
    assert e.value.exit_code == 75
    assert signal.getsignal(signal.SIGTERM) == before
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert saved.step == 1
    resumed, whole = network(), network()
    train(resumed, objective, SETTINGS, seed=0, folder=tmp_path)
    train(whole, objective, SETTINGS, seed=0)
    assert torch.equal(weights(resumed), weights(whole))


def test_nested_stop_signals_share_one_flag():
    with StopSignal() as outer:
        with StopSignal() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            assert inner.requested
        assert outer.requested
        with pytest.raises(InterruptedRun, match="SIGINT"):
            outer.raise_if_requested()


def test_nan_loss_names_step_terms_and_checkpoint(tmp_path):
    class Poisoned(Stops):
        def __call__(self, model, generator):
            self.left -= 1
            terms = objective(model, generator)
            return {
                "loss": terms["loss"] * (float("nan") if self.left < 0 else 1),
                "fit": terms["loss"],
            }

    with pytest.raises(DivergedError, match=r"step 8 \(loss = nan, fit = .*step 5\)") as caught:
        train(
            network(),
            Poisoned(7, None),
            SETTINGS,
            seed=0,
            folder=tmp_path,
            checkpoint_every=5,
        )
    assert caught.value.exit_code == 4
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").step == 5


def test_a_divergence_noticed_by_the_model_gets_its_step(tmp_path):
    def lost(model, generator):
        raise DivergedError("the map lost 3 points")

    with pytest.raises(DivergedError, match="the map lost 3 points at step 1. No checkpoint"):
        train(network(), lost, SETTINGS, seed=0, folder=tmp_path)


def test_nan_gradient_names_the_parameter():
    def root_at_zero(model, generator):
        return {"loss": (0 * model(torch.ones(1, 3))).abs().sum().sqrt()}

    with pytest.raises(DivergedError, match=r"step 1, first in parameter 'layers\.0\.weight'"):
        train(network(), root_at_zero, SETTINGS, seed=0)


def test_a_folder_of_another_configuration_is_refused(tmp_path):
    train(network(), objective, SETTINGS, seed=0, folder=tmp_path)
    with pytest.raises(DataError, match="another configuration .*seed: 0 there, 1 now"):
        train(network(), objective, SETTINGS, seed=1, folder=tmp_path)
    other = MLP(3, 3, hidden=(8,), generator=stream(0))
    with pytest.raises(DataError, match="belongs to another model"):
        train(other, objective, SETTINGS, seed=0, folder=tmp_path)


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train(network(), objective, SETTINGS, seed=0, folder=tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is not a whole checkpoint"):
        load_checkpoint(path)
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(DataError, match="format None"):
        load_checkpoint(path)
    with pytest.raises(DataError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "absent.safetensors")


def test_failed_save_leaves_the_old_checkpoint(tmp_path):
    model = network()
    adam = torch.optim.Adam(model.parameters())
    path = tmp_path / "checkpoint.safetensors"
    state = dict(model=model.state_dict(), optimizer=adam.state_dict())
    save_checkpoint(path, step=1, state={}, **state)
    with pytest.raises(TypeError):
        save_checkpoint(path, step=2, state={"not json": object()}, **state)
    assert load_checkpoint(path).step == 1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_kill_leaves_a_loadable_checkpoint(tmp_path):
    """kill -9 in the middle of constant saving: the file under the final name is always whole."""
    code = f"""
import torch
from pathlib import Path
from pushforward.surrogates.training import save_checkpoint
layer = torch.nn.Linear(300, 300)
adam = torch.optim.Adam(layer.parameters())
step = 0
print("ready", flush=True)
while True:
    step += 1
    save_checkpoint(Path({str(tmp_path)!r}) / "c.safetensors", step=step,
                    model=layer.state_dict(), optimizer=adam.state_dict(), state={{}})
    print(step, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while process.stdout.readline().strip() != "5":
        pass
    process.kill()
    process.wait()
    assert load_checkpoint(tmp_path / "c.safetensors").step >= 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps = 0 must be positive"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0 must be positive"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0"),
        ({"warm_up": -1}, "warm_up = -1 must not be negative"),
    ],
)
def test_wrong_optimisation_is_refused(options, message):
    with pytest.raises(DataError, match=message):
        Optimisation(**options)


def test_unknown_devices_are_refused():
    with pytest.raises(DataError, match="device = 'tpu'"):
        resolve_device("tpu")
    with pytest.raises(DataError, match="CUDA devices are visible"):
        resolve_device("cuda:99")


def test_streams_are_named():
    draw = {n: torch.rand(1, generator=stream(0, *n)).item() for n in [("a",), ("b",), ("a", 1)]}
    assert len(set(draw.values())) == 3
    assert json.dumps(draw[("a",)]) == json.dumps(torch.rand(1, generator=stream(0, "a")).item())
