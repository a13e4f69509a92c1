"""The solvers do not care where the origin is, which way is up, or how flows are grouped."""

import math

import pytest
import torch

from pushforward.simulators.turbulence import (
    FiniteVolumeSolver,
    KolmogorovForcing,
    SpectralSolver,
    project,
)

TAU = 2 * math.pi
SHAPES = [(16, 16), (15, 24), (20, 16)]
VARIANTS = [
    (FiniteVolumeSolver, {}),
    (FiniteVolumeSolver, {"advection": "central", "stepper": "rk4"}),
    (FiniteVolumeSolver, {"diffusion": "implicit"}),
    (SpectralSolver, {}),
    (SpectralSolver, {"stepper": "cn_rk4"}),
]


def make(kind, shape=(16, 16), *, forced=True, domain=(TAU, 5.0), **options):
    return kind(
        shape,
        domain=domain,
        viscosity=1e-2,
        drag=0.1,
        forcing=KolmogorovForcing(wavenumber=2 * TAU / domain[1]) if forced else None,
        dt=0.01,
        **{"dtype": torch.float64} | options,
    )


def reversed_axes(field, axes, faces):
    """A field at reversed coordinates. Along an axis on whose faces values sit, entry i is at
    (i + 1) h, which goes to −(i + 1) h, entry n − i − 2; at centres, entry n − 1 − i."""
    for axis, on_face in zip(axes, faces, strict=True):
        field = field.flip(axis)
        if on_face:
            field = field.roll(-1, axis)
    return field


def half_turn(velocity):
    u, v = velocity.unbind(-3)
    turned = reversed_axes(u, (-2, -1), (True, False)), reversed_axes(v, (-2, -1), (False, True))
    return -torch.stack(turned, -3)


def mirror(velocity):
    """x to −x, u to −u."""
    u, v = velocity.unbind(-3)
    return torch.stack([-reversed_axes(u, (-2,), (True,)), reversed_axes(v, (-2,), (False,))], -3)


def spectral_points(field, axes):
    """A field on points i h at reversed coordinates: entry i goes to −i."""
    for axis in axes:
        field = field.flip(axis).roll(1, axis)
    return field


def close(found, expected):
    return (found - expected).abs().max() < 1e-12 * expected.abs().max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_translation(kind, options, shape):
    """Anywhere without forcing; along x, and by a whole wave along y, with it."""
    for forced, shift in ((False, (3, 5)), (True, (7, 0)), (True, (2, shape[1] // 2))):
        solver = make(kind, shape, forced=forced, **options)
        if forced and shift[1] and shape[1] % 2:
            continue
        state = solver.initial(seed=0)
        after = solver.advance(state, 3)
        if kind is FiniteVolumeSolver:
            moved, expected = state.roll(shift, (-2, -1)), after.roll(shift, (-2, -1))
            assert close(solver.advance(moved, 3), expected)
        else:
            moved = torch.fft.rfft2(solver.vorticity(state).roll(shift, (-2, -1)))
            expected = solver.vorticity(after).roll(shift, (-2, -1))
            assert close(solver.vorticity(solver.advance(moved, 3)), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_half_turn_and_mirror(kind, options, shape):
    """The half turn keeps sin(k y) e_x; the mirror in x turns its sign, so it goes unforced."""
    for forced, symmetry, axes, sign in (
        (True, half_turn, (-2, -1), 1),
        (False, half_turn, (-2, -1), 1),
        (False, mirror, (-2,), -1),
    ):
        solver = make(kind, shape, forced=forced, **options)
        state = solver.initial(seed=1)
        after = solver.advance(state, 3)
        if kind is FiniteVolumeSolver:
            assert close(solver.advance(symmetry(state), 3), symmetry(after))
        else:
            image = sign * spectral_points(solver.vorticity(state), axes)
            expected = sign * spectral_points(solver.vorticity(after), axes)
            found = solver.vorticity(solver.advance(torch.fft.rfft2(image), 3))
            assert close(found, expected)


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_exchange_of_the_axes(kind, options):
    """A rectangle stood on its side, with u and v exchanged, steps the same."""
    one = make(kind, (15, 24), forced=False, domain=(3.0, 5.0), **options)
    other = make(kind, (24, 15), forced=False, domain=(5.0, 3.0), **options)
    state = one.initial(seed=0, max_velocity=3.0)
    if kind is FiniteVolumeSolver:
        swapped = state.flip(-3).mT
        assert close(other.advance(swapped, 3), one.advance(state, 3).flip(-3).mT)
    else:
        swapped = torch.fft.rfft2(-one.vorticity(state).mT)
        found = other.vorticity(other.advance(swapped, 3))
        assert close(found, -one.vorticity(one.advance(state, 3)).mT)


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_a_batch_is_its_members(kind, options):
    """Any leading axes; up to the transforms' rounding."""
    solver = make(kind, (15, 16), **options)
    state = solver.initial(seed=0, batch=(2, 3))
    together = solver.advance(state, 3)
    assert together.shape == state.shape
    alone = torch.stack(
        [torch.stack([solver.advance(state[i, j], 3) for j in range(3)]) for i in range(2)]
    )
    assert close(together, alone)


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_single_precision_is_near_double(kind, options):
    """Twenty steps differ by what float32 rounds, a thousandth of a per cent."""
    double = make(kind, (24, 17), **options)
    single = make(kind, (24, 17), dtype=torch.float32, **options)
    states = [s.advance(s.initial(seed=0, max_velocity=3.0), 20) for s in (double, single)]
    velocities = [double.velocity(states[0]), single.velocity(states[1])]
    assert velocities[1].dtype == torch.float32
    error = (velocities[1].double() - velocities[0]).abs().max() / velocities[0].abs().max()
    assert 1e-9 < error < 1e-5


@pytest.mark.parametrize("scheme", ["central", "van_leer"])
@pytest.mark.usefixtures("unchecked")
def test_gradient_of_a_step_of_finite_volumes(scheme):
    """Against finite differences; the random field keeps clear of the limiter's kinks."""
    solver = make(FiniteVolumeSolver, (5, 6), forced=False, advection=scheme, max_velocity=1.0)
    state = solver.initial(seed=3, max_velocity=1.0).requires_grad_()
    assert torch.autograd.gradcheck(solver.step, (state,), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("stepper", ["etdrk2", "cn_rk4"])
@pytest.mark.usefixtures("unchecked")
def test_gradient_of_a_step_of_modes(stepper):
    """Through the real vorticity, whose modes the state is."""
    solver = make(SpectralSolver, (6, 5), forced=False, stepper=stepper, max_velocity=1.0)

    def step(vorticity):
        return solver.vorticity(solver.step(torch.fft.rfft2(vorticity)))

    vorticity = solver.vorticity(solver.initial(seed=0, max_velocity=1.0)).requires_grad_()
    assert torch.autograd.gradcheck(step, (vorticity,), eps=1e-6, atol=1e-6)


def test_projection_is_idempotent_and_orthogonal():
    generator = torch.Generator().manual_seed(0)
    velocity = torch.randn(2, 12, 15, generator=generator, dtype=torch.float64)
    spacing = (0.3, 0.2)
    kept = project(velocity, spacing)
    torch.testing.assert_close(project(kept, spacing), kept, rtol=0, atol=1e-13)
    assert abs((kept * (velocity - kept)).sum()) < 1e-12
