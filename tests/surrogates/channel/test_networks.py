"""The channel's networks: counts, kernels against dense sums, symmetries, modes, refusals."""

import math

import pytest
import torch

from pushforward.simulators.channel import stretched_points
from pushforward.simulators.errors import DataError
from pushforward.surrogates.channel import (
    FNO,
    IFNO,
    ChannelGrid,
    FactorizedAttention,
    IFactFormer,
    WallConvolution,
    block_gradients,
    spectral_radius,
    toeplitz_distance,
    trace_kernels,
)

LENGTHS = (6.0, 2.0)
GRID = ChannelGrid((8, 9, 6), LENGTHS, tuple((stretched_points(9) - 1).tolist()))


def small(kind, seed=0, **options):
    sizes = {
        IFactFormer: {"dim": 12, "heads": 2, "dim_head": 4, "iterations": 3},
        FNO: {"width": 4, "modes": (3, 4, 3), "layers": 2, "hidden": 8},
        IFNO: {"width": 4, "modes": (3, 4, 3), "layers": 3, "hidden": 8},
    }
    network = kind(GRID, seed=seed, **{**sizes[kind], **options})
    if kind is IFactFormer:  # kernels start so small that nothing but the embedding would be seen
        for axis in network.block.axes:
            for layer in (axis.query, axis.key):
                torch.nn.init.normal_(
                    layer.weight, generator=torch.Generator().manual_seed(layer.in_features)
                )
    return network.double()


def fields(n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, *GRID.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("variant", "count"), [("parallel", 1_163_331), ("chained", 1_071_171)])
def test_the_published_sizes_have_the_published_numbers_of_parameters(variant, count):
    network = IFactFormer.paper(variant=variant)
    assert network.n_parameters + network.frequencies.numel() == count
    assert network.frequencies.numel() == 144


def test_the_baselines_have_about_as_many():
    for network in (FNO.paper(), IFNO.paper()):
        assert abs(network.n_parameters / 1_163_331 - 1) < 0.03


@pytest.mark.parametrize("kind", [IFactFormer, FNO, IFNO])
@torch.no_grad()
def test_networks_commute_with_shifts_and_permutations(kind):
    network, x = small(kind), fields()
    y = network(x)
    assert y.std() > 0.01
    shifted = network(x.roll((3, 5), (2, 4)))
    torch.testing.assert_close(shifted, y.roll((3, 5), (2, 4)), atol=1e-5, rtol=0)
    torch.testing.assert_close(network(x.flip(0)), y.flip(0))
    assert (network(x.roll(2, 3)) - y.roll(2, 3)).abs().max() > 1e-3  # y has walls


@torch.no_grad()
def test_released_positions_do_not_commute_with_shifts():
    network, x = small(IFactFormer, positions="released", quadrature=False), fields()
    for axis in (2, 4):
        assert (network(x.roll(2, axis)) - network(x).roll(2, axis)).abs().max() > 1e-3


@pytest.mark.parametrize("variant", ["parallel", "chained"])
@torch.no_grad()
def test_kernels_against_dense_sums(variant):
    grid = ChannelGrid((4, 5, 6), LENGTHS, tuple((stretched_points(5) - 1).tolist()))
    block = FactorizedAttention(
        grid, variant=variant, dim=6, heads=2, dim_head=2, kernel_multiplier=3,
        positions="true", quadrature=True,
    ).double()  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(1, 2, 2, 4, 6, 5, generator=generator, dtype=torch.float64)  # n h c x z y
    kernels = [
        torch.randn(1, 2, n, n, generator=generator, dtype=torch.float64) for n in grid.shape
    ]
    eye = [torch.eye(n, dtype=torch.float64) for n in grid.shape]
    found = block.attend(kernels, v.reshape(1, 4, -1))
    for head in range(2):
        # One matrix over all points in the order x, z, y for each axis.
        k = [kernels[axis][0, head] for axis in range(3)]
        dense = [
            torch.kron(k[0], torch.kron(eye[2], eye[1])),
            torch.kron(eye[0], torch.kron(eye[2], k[1])),
            torch.kron(eye[0], torch.kron(k[2], eye[1])),
        ]
        flat = v[0, head].flatten(1).T
        if variant == "chained":
            dense = [dense[2] @ dense[1] @ dense[0]]
        for z, matrix in zip(found, dense, strict=True):
            torch.testing.assert_close(z.view(1, 2, 2, -1)[0, head].T, matrix @ flat)


@torch.no_grad()
def test_kernel_sums_over_y_are_integrals():
    """With equal queries and keys K_ij is w_j times a function of y_i - y_j; as a sum over a cubic
    with no rotation it is exact on any grid, and the plain sum is not."""
    y = torch.tensor(GRID.y, dtype=torch.float64)
    cubic = 2 + y - 3 * y**2 + 5 * y**3
    integral = 4 - 2  # of 2 - 3y² from -1 to 1
    for quadrature in (True, False):
        block = FactorizedAttention(
            GRID, variant="parallel", dim=6, heads=1, dim_head=2, kernel_multiplier=1,
            positions="true", quadrature=quadrature,
        ).double()  # fmt: skip
        kernel = torch.ones(1, 1, 9, 9, dtype=torch.float64) * block.axes[1].weights
        v = cubic.expand(1, 2, 8 * 6, 9).reshape(1, 2, -1)
        sums = block.apply_along(1, kernel, v)
        error = (sums * 2 / 9 - integral).abs().max()
        assert error < 1e-5 if quadrature else error > 0.1
    assert abs(GRID.weights @ cubic - integral) < 1e-12


@torch.no_grad()
def test_pooling_is_the_mean_of_the_mapped_field():
    """Means are taken before the linear maps; the result is that of mapping every point."""
    network, x = small(IFactFormer), fields(1)
    block = network.block
    normed = block.norm(network.embed(x))
    mapped = block.axes[2].project(block.source(normed))
    pooled = torch.einsum("nxzyd,y->nzd", mapped, block.pooling) / 8
    axis = block.axes[2]
    p = axis.norm(pooled)
    left, right = axis.gate(p).chunk(2, -1)
    p = axis.out(torch.nn.functional.gelu(left) * right)
    q, k = axis.query(p)[0], axis.key(p)[0]
    # The rotation of one pair, written out: kernels see differences of positions only.
    features = q.shape[-1] // 2
    half = features // 2
    expected = torch.zeros(6, 6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            for m in range(half):
                angle = 2 * math.pi * (i - j) / 6 * (m % 3)
                a = q[i, m] * k[j, m] + q[i, m + half] * k[j, m + half]
                b = q[i, m + half] * k[j, m] - q[i, m] * k[j, m + half]
                expected[i, j] += a * math.cos(angle) - b * math.sin(angle)
    torch.testing.assert_close(
        block.kernels(normed)[2][0, 0].double(), expected, atol=2e-4, rtol=1e-4
    )


@torch.no_grad()
def test_wall_convolution_by_ones_returns_what_its_modes_hold():
    convolve = WallConvolution(1, GRID, (3, 4, 2)).double()
    convolve.weight[:] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    x = torch.arange(8, dtype=torch.float64)[:, None, None] / 8
    y = torch.tensor(GRID.y, dtype=torch.float64)[:, None]
    z = torch.arange(6, dtype=torch.float64) / 6
    low = (1 + y - 2 * y**3) * torch.cos(2 * math.pi * (2 * x - z)) + y**2
    high = torch.cos(2 * math.pi * 3 * x) + torch.cos(2 * math.pi * 2 * z)
    field = (low + high).expand(1, 1, 8, 9, 6)
    torch.testing.assert_close(convolve(field)[0, 0], low.expand(8, 9, 6), atol=1e-5, rtol=0)


def test_kernel_analysis_on_known_kernels():
    wave = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    invariant = torch.stack([wave.roll(i) for i in range(6)])
    assert toeplitz_distance(invariant) < 1e-12
    eigenvalues = torch.fft.fft(wave).abs()
    torch.testing.assert_close(spectral_radius(invariant), eigenvalues.max())
    disturbed = invariant.clone()
    disturbed[0, 0] += 1
    mean = 1 / 6
    expected = math.sqrt((1 - mean) ** 2 + 5 * mean**2) / disturbed.norm()
    torch.testing.assert_close(toeplitz_distance(disturbed), expected.clone())


def test_traces_follow_the_forward_pass():
    network, x = small(IFactFormer), fields()
    trace = trace_kernels(network, x)
    assert trace.kernels["y"].shape == (3, 2, 2, 9, 9)
    assert trace.norms.shape == (4, 2)
    with torch.no_grad():
        u = network.embed(x)
        first = network.block(u).square().mean((1, 2, 3, 4)).sqrt()
    torch.testing.assert_close(trace.gains[0], first / trace.norms[0])
    found = block_gradients(network, x)
    assert min(found.kernels, found.values, found.rest) > 0
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused():
    for action, message in (
        (lambda: IFactFormer(GRID, variant="serial"), "variant = 'serial' must be one of parallel"),
        (lambda: IFactFormer(GRID, dim=7), "dim = 7 must be even"),
        (lambda: IFactFormer(GRID, dim_head=3, kernel_multiplier=1), "must be even: queries"),
        (lambda: IFactFormer(GRID, heads=0), "heads = 0 must be at least 1"),
        (
            lambda: small(IFactFormer, precision="float16")(fields()),
            "precision = 'float16' must be float32 or bfloat16",
        ),
        (lambda: FNO(GRID, modes=(5, 4, 3)), "modes (5, 4, 3) on a grid of (8, 9, 6)"),
        (lambda: small(FNO)(fields()[..., :4]), "FNO made for (n, 3, 8, 9, 6) was given"),
        (lambda: ChannelGrid((8, 9, 6), LENGTHS, tuple(range(9))), "ascending ones from -1 to 1"),
        (lambda: ChannelGrid((7, 9, 6), LENGTHS, GRID.y), "nx and nz must be even"),
        (lambda: ChannelGrid((8, 9, 6), (0.0, 1.0), GRID.y), "must be positive"),
    ):
        with pytest.raises(DataError, match=message.replace("(", r"\(").replace(")", r"\)")):
            action()
