"""The full solver: balances, order in time, symmetries, restart, batches, refusals."""

import math

import pytest
import torch

from pushforward.simulators.channel import (
    ChannelFlow,
    advance_with_checkpoints,
    load_state,
    perturbed,
    save_state,
)
from pushforward.simulators.errors import DataError, DivergedError

BOX = (math.pi, 0.34 * math.pi)


def small(**changes):
    options = {"lengths": BOX, "viscosity": 1 / 2000, "dt": 0.02} | changes
    return ChannelFlow((16, 33, 16), **options)


@pytest.fixture(scope="module")
def lively():
    """A three-dimensional flow with sizeable fluctuations."""
    flow = small()
    return flow.advance(perturbed(flow, seed=3, noise=0.02), 20)


def test_the_bulk_velocity_and_the_divergence_hold_to_rounding(lively):
    flow = small()
    later = flow.advance(lively, 20)
    assert float(flow.bulk(later)) == pytest.approx(2 / 3, abs=1e-14)
    assert flow.divergence(later) < 1e-10
    assert float(later.v.abs().max()) > 1e-3


def test_momentum_balance_of_a_given_pressure_gradient(lively):
    """d/dt of the bulk equals the pressure gradient less the wall shear, whatever the eddies do."""
    settling = small(driving="gradient", pressure_gradient=3e-3)
    lively = settling.advance(lively, 60)  # the sudden change of driving takes time to diffuse
    flow = small(driving="gradient", pressure_gradient=3e-3, dt=1e-3)
    later = flow.advance(lively, 2)
    middle = flow.advance(lively, 1)
    change = (flow.bulk(later) - flow.bulk(lively)) / (later.time - lively.time)
    slope = middle.mean[0] @ flow.wall.first[[0, -1]].T
    shear = flow.viscosity * (slope[0] - slope[1]) / 2
    # At the walls u = 0 replaces the equation: what it would say there is not part of the sum.
    walls = flow.viscosity * (flow.wall.second @ middle.mean[0])[[0, -1]] + 3e-3
    share = float(walls.sum() * flow.wall.weights[0]) / 2
    # The mean of u×ω has no integral, but for aliasing in y, which falls with the resolution.
    push = float(flow._explicit(middle)[2][0] @ flow.wall.weights[1:-1]) / 2
    assert float(change) == pytest.approx(3e-3 - float(shear) - share + push, rel=1e-7)
    assert abs(push) < 1e-3 * abs(float(change))


def test_energy_changes_by_dissipation_and_driving_alone(lively):
    """dE/dt = Π U_b - ε: the nonlinear term does no work (dealiased products, solenoidal field)."""
    flow = small(dt=1e-4)

    def energy(state):
        u = torch.stack(flow.coefficients(state))
        density = (u.abs() ** 2 * flow.plane.multiplicity).sum((0, 2, 3)) / 2
        return float(density @ flow.wall.weights) / 2

    before, after = lively, flow.advance(lively, 2)
    middle = flow.advance(lively, 1)
    _, slopes = flow.gradient(middle)
    dissipation = flow.viscosity * slopes.square().sum((0, 1)).mean((-1, -2))
    rate = (energy(after) - energy(before)) / (after.time - before.time)
    loss = float(dissipation @ flow.wall.weights) / 2
    assert rate == pytest.approx(float(middle.pressure_gradient) * 2 / 3 - loss, rel=2e-3)


def test_products_leave_nothing_in_the_highest_polynomials(lively):
    """Aliasing would come back there, and slopes at the walls would multiply it by n²."""
    flow = small()
    waves = torch.cos(torch.outer(torch.acos(flow.y.clamp(-1, 1)), torch.arange(33.0)).double())
    raw = flow.rotation(lively.v, lively.phi, lively.g, lively.mean)[1]
    rough = torch.linalg.solve(waves, raw.T)
    force = torch.nn.functional.pad(flow._explicit(lively)[2], (1, 1))  # 0 at walls, as u×ω is
    smooth = torch.linalg.solve(waves, force.T)
    assert float(rough[-2:].abs().max()) > 1e-9
    assert float(smooth[-2:].abs().max()) < 1e-2 * float(rough[-2:].abs().max())
    assert torch.allclose(smooth[:16], rough[:16], atol=1e-3 * float(rough.abs().max()))


def test_second_order_in_time(lively):
    def end(dt):
        return small(dt=dt).advance(lively, round(0.32 / dt)).g

    reference = end(0.005)
    coarse, fine = (float((end(dt) - reference).abs().max()) for dt in (0.04, 0.02))
    assert math.log2(coarse / fine) > 1.9


@pytest.mark.parametrize("which", ["shift", "mirror z", "mirror y"])
def test_symmetries_commute_with_the_solver(which, lively):
    flow = small()
    velocity = flow.velocity(lively)

    def change(u):
        if which == "shift":
            return u.roll((3, 5), (-3, -1))
        if which == "mirror z":
            sign = torch.tensor([1.0, 1.0, -1.0])
            flipped = u.flip(-1).roll(1, -1)
        else:
            sign = torch.tensor([1.0, -1.0, 1.0])
            flipped = u.flip(-2)
        return flipped * sign[:, None, None, None]

    one = change(flow.velocity(flow.advance(flow.from_velocity(velocity), 5)))
    two = flow.velocity(flow.advance(flow.from_velocity(change(velocity)), 5))
    assert float((one - two).abs().max()) < 1e-10


def test_velocity_and_state_are_the_same_thing(lively):
    flow = small()
    again = flow.from_velocity(flow.velocity(lively))
    assert float((again.v - lively.v).abs().max()) < 1e-12
    assert float((again.g - lively.g).abs().max()) < 1e-10
    assert torch.allclose(again.mean, lively.mean, atol=1e-14)


def test_a_batch_is_its_members_side_by_side(lively):
    flow = small()
    other = flow.advance(perturbed(flow, seed=4), 5)
    both = [torch.stack((a, b)) for a, b in zip(lively[:4], other[:4], strict=True)]
    pressure = torch.stack((lively.pressure_gradient, other.pressure_gradient))
    batch = lively._replace(**dict(zip(("v", "phi", "g", "mean"), both, strict=True)))
    after = flow.advance(batch._replace(pressure_gradient=pressure), 3)
    for i, member in enumerate((lively, other)):
        alone = flow.advance(member, 3)
        assert float((after.v[i] - alone.v).abs().max()) < 1e-14
        assert float((after.mean[i] - alone.mean).abs().max()) < 1e-14


def test_restart_from_a_file_is_exact_to_the_bit(lively, tmp_path):
    flow = small()
    straight = flow.advance(lively, 6)
    half = flow.advance(lively, 3)
    save_state(tmp_path / "half.safetensors", flow, half)
    resumed = small().advance(load_state(tmp_path / "half.safetensors", small()), 3)
    for a, b in zip(straight, resumed, strict=True):
        assert a == b if isinstance(a, float) else torch.equal(a, b)


def test_files_of_another_grid_and_broken_files_are_refused(lively, tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, small(), lively)
    other = ChannelFlow((16, 25, 16), lengths=BOX, viscosity=1e-3, dt=0.01)
    with pytest.raises(DataError, match=r"16, 33, 16.*the solver has .*16, 25, 16"):
        load_state(path, other)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a channel checkpoint"):
        load_state(path, small())
    with pytest.raises(DataError, match="no such checkpoint"):
        load_state(tmp_path / "absent", small())


def test_steps_chosen_by_the_courant_number(lively):
    flow = small(dt=None, cfl=0.5)
    later = flow.step(lively)
    number = flow.courant(lively) * (later.time - lively.time)
    assert 0.47 < number <= 0.5
    with pytest.raises(DataError, match=r"fixed step, dt = 0.02"):
        small().stable_step(lively)


def test_a_step_that_is_far_too_long_is_refused_before_it_is_taken(lively):
    with pytest.raises(DataError, match=r"dt = 3.0 has the CFL number .* Use dt = 0\.\d+ or less"):
        small(dt=3.0).advance(lively, 60)


def unmixing(velocity, gradient, flow):
    """A closure that takes away more viscosity than there is: whatever is small grows."""
    return torch.full_like(velocity[0], -40 * flow.viscosity)


def test_a_run_that_blows_up_says_when_and_in_wall_units(lively):
    """While its numbers still mean something: a step chosen by cfl shrinks with the blow-up, which
    could go on in finite numbers to 1e84."""
    message = (
        r"blew up in step \d+ of 400, time .* reaches \S+, from \S+ at most\. "
        r".* Re_tau \d{2,4}\.?\d*, .* in wall units dt .* Lower dt"
    )
    for step in ({"dt": 0.02}, {"dt": None, "cfl": 0.8}):
        with pytest.raises(DivergedError, match=message):
            small(closure=unmixing, **step).advance(lively, 400)


def test_a_slow_blow_up_is_stopped_in_short_calls_too(lively):
    """Each call alone sees little growth: what counts is what the driving sustains."""
    flow, faster = small(), lively._replace(mean=4 * lively.mean)
    flow.step = lambda state: state._replace(mean=1.2 * state.mean)
    with pytest.raises(DivergedError, match=r"blew up in step 1 of 1, .* from 1 at most"):
        flow.advance(faster, 1)
    undriven = small(driving="gradient", pressure_gradient=0.0)
    undriven.step = flow.step
    assert float(undriven.advance(faster, 1).mean.abs().max()) > 3


def test_a_run_that_blows_up_leaves_its_last_good_state(lively, tmp_path):
    path, flow = tmp_path / "state.safetensors", small(closure=unmixing)
    with pytest.raises(DivergedError, match=r"After \d+ of 400 steps all was well: .*safetensors"):
        advance_with_checkpoints(flow, lively, 400, path, every=5)
    kept = load_state(path, flow)
    assert kept.time >= lively.time
    assert bool(torch.isfinite(kept.mean).all())
    calm = small()
    end = advance_with_checkpoints(calm, lively, 5, path, every=2)
    straight = calm.advance(lively, 5)
    assert torch.equal(end.g, straight.g)
    assert torch.equal(load_state(path, calm).g, straight.g)
    with pytest.raises(DataError, match="every = 0"):
        advance_with_checkpoints(calm, lively, 5, path, every=0)


@pytest.mark.usefixtures("unchecked")
def test_refusals():
    make = lambda **changes: ChannelFlow((8, 17, 8), **({"lengths": (6, 3)} | changes))  # noqa: E731
    cases = [
        ({"viscosity": -1.0, "dt": 0.1}, "viscosity = -1.0"),
        ({"viscosity": 0.1}, "give one of them"),
        ({"viscosity": 0.1, "dt": 0.1, "cfl": 0.5}, "give one of them"),
        ({"viscosity": 0.1, "dt": 0.0}, "dt = 0.0"),
        ({"viscosity": 0.1, "cfl": 3.0}, "beyond the explicit scheme's limit"),
        ({"viscosity": 0.1, "dt": 0.1, "driving": "wind"}, "driving = 'wind'"),
        ({"viscosity": 0.1, "dt": 0.1, "driving": "gradient"}, "needs pressure_gradient"),
        ({"viscosity": 0.1, "dt": 0.1, "lengths": (-1, 3)}, "Lx = -1.0"),
    ]
    for changes, message in cases:
        with pytest.raises(DataError, match=message):
            make(**changes)
    with pytest.raises(DataError, match="nx = 7"):
        ChannelFlow((7, 17, 8), lengths=(6, 3), viscosity=0.1, dt=0.1)
    with pytest.raises(DataError, match="noise = -1"):
        perturbed(small(), seed=0, noise=-1)


@pytest.mark.usefixtures("unchecked")
def test_starting_fields_are_checked(lively):
    flow = small()
    good = flow.velocity(lively)
    with pytest.raises(DataError, match=r"velocity has shape \(3, 16, 33, 8\)"):
        flow.from_velocity(good[..., :8])
    missing, slipping, spreading = good.clone(), good.clone(), good.clone()
    missing[0, 1, 2, 3] = math.nan
    with pytest.raises(DataError, match="1 non-finite"):
        flow.from_velocity(missing)
    slipping[0, :, 0] += 0.5
    with pytest.raises(DataError, match="0.5 at a wall"):
        flow.from_velocity(slipping)
    wave = torch.sin(2 * math.pi * flow.x / BOX[0])[:, None, None]
    spreading[0] += wave * (1 - flow.y**2)[:, None]
    with pytest.raises(DataError, match="not divergence-free"):
        flow.from_velocity(spreading)
