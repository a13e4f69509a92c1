"""The four networks: published sizes, symmetries, meshes, saving, errors."""

import numpy as np
import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.atmosphere import SFNO, GraphCast, SwinTransformer, UNet
from pushforward.surrogates.atmosphere.icosphere import (
    edge_features,
    grid_points,
    grid_to_mesh,
    icosphere,
    mesh_to_grid,
)
from pushforward.surrogates.atmosphere.sfno import SphericalConvolution
from pushforward.surrogates.blocks import Drop, SphericalHarmonicTransform, draw_drops_from

GRID = (8, 16)
SMALL = {
    UNet: {"width": 8},
    SFNO: {"width": 6, "depth": 2},
    SwinTransformer: {"width": 8, "depth": 2, "heads": 2},
    GraphCast: {"width": 8, "depth": 1, "refinements": 1},
}


def made(kind, seed=0, grid=GRID, **options):
    model = kind(5, 3, grid=grid, seed=seed, **{**SMALL[kind], **options}).eval()
    for name, p in model.named_parameters():
        if ".norms." in name and name.endswith("weight"):
            torch.nn.init.constant_(p, 0.7)
    return model


def field(n=2, grid=GRID, seed=0):
    return torch.randn(n, 5, *grid, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("unchecked")
def test_published_sizes():
    """9.6, 37.9, 35.7 and 5.2 million; worked out term by term for Swin and GraphCast."""
    swin_block = 4 * 512**2 + 4 * 512 + 8 * 512**2 + 5 * 512 + 4 * 512 + 2 * 384 + 384 + 384 * 8 + 8
    mlp = 2 * 256**2 + 3 * 256  # 256 → 256 → 256 with one bias and a norm
    interaction = 5 * 256**2 + 2 * mlp - 2 * 256**2
    networks = {UNet: 9.6, SFNO: 35.7, GraphCast: 5.2}
    sizes = {UNet: UNet.paper(levels=10).n_parameters}
    swin = SwinTransformer.paper(levels=10).n_parameters
    spherical = SFNO.paper(levels=10)
    sizes[SFNO] = spherical.n_parameters
    graph = GraphCast.paper(levels=10).n_parameters
    sizes[GraphCast] = graph
    for kind, millions in networks.items():
        assert round(sizes[kind] / 1e6, 1) == millions
    assert swin == 12 * (swin_block + 8) + 107 * 512 + 512 + 1024 + 512 * 10
    assert round(swin / 1e6, 1) == 37.9
    embeddings = sum(n * 256 + 256**2 + 3 * 256 for n in (111, 4, 4, 5, 4))
    read_out = 256**2 + 256 + 256 * 10
    assert graph == embeddings + 9 * interaction + interaction + mlp + read_out
    assert spherical.blocks[0].filter.weight.numel() == 256 * 256 * 32 * 2


@pytest.mark.parametrize("kind", SMALL)
def test_a_seed_gives_the_weights_and_the_global_state_is_left_alone(kind):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = made(kind), made(kind), made(kind, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first(field()), again(field()))
    assert not torch.allclose(first(field()), other(field()))


@pytest.mark.parametrize("kind", SMALL)
def test_samples_do_not_see_each_other_and_saved_networks_are_the_same(kind, tmp_path):
    network = made(kind)
    with torch.no_grad():
        together = network(field(3))
        alone = network(field(3)[1:2])
    assert together.shape == (3, 3, *GRID)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-5)
    network.save(tmp_path)
    assert torch.equal(kind.load(tmp_path)(field(3)), together)


@pytest.mark.parametrize(("kind", "cells"), [(UNet, 8), (SFNO, 1), (SFNO, 5), (SwinTransformer, 8)])
def test_turning_the_globe_turns_the_result(kind, cells):
    """By any number of cells for spherical harmonics; by the width of a window, or of the
    coarsest cell, for the others. Half that is not a symmetry: the test can fail."""
    grid = (8, 32)
    network = made(kind, grid=grid)
    x = field(grid=grid)
    with torch.no_grad():
        torch.testing.assert_close(
            network(x.roll(cells, -1)), network(x).roll(cells, -1), rtol=1e-4, atol=1e-5
        )
        if kind is not SFNO:
            part = cells // 2 + 1
            moved = network(x.roll(part, -1)) - network(x).roll(part, -1)
            assert moved.abs().max() > 1e-3


def test_attention_does_not_reach_over_the_pole_but_around_the_globe():
    network = made(SwinTransformer, grid=(16, 32))
    x = field(1, grid=(16, 32)).requires_grad_()
    network(x)[0, :, 0, 0].sum().backward()
    reach = x.grad[0].abs().sum(0) > 0
    assert reach[0, 31]
    assert not reach[-1].any()
    assert not reach[8:].any()


def test_spherical_convolution_follows_the_convolution_theorem():
    """On a single harmonic it is a factor: that of its degree, whatever its order."""
    transform = SphericalHarmonicTransform(8, 16)
    layer = SphericalConvolution(1, transform)
    for degree, order in ((3, 0), (3, 2), (5, 4)):
        a = torch.zeros(1, 1, 8, 8, dtype=torch.complex64)
        a[..., degree, order] = 1.0
        weight = torch.complex(*layer.weight.detach()[0, 0, degree].unbind())
        expected = transform.inverse(weight * a)
        torch.testing.assert_close(
            layer(transform.inverse(a)).detach(), expected, rtol=0, atol=1e-6
        )


def test_icospheres():
    for k in range(4):
        mesh = icosphere(k)
        assert len(mesh.nodes) == 10 * 4**k + 2
        assert len(mesh.faces) == 20 * 4**k
        assert mesh.edges.shape[1] == 2 * sum(30 * 4**i for i in range(k + 1))
        np.testing.assert_allclose(np.linalg.norm(mesh.nodes, axis=1), 1)
        assert mesh.areas.sum() == pytest.approx(4 * np.pi)
        a, b, c = (mesh.nodes[mesh.faces[:, i]] for i in range(3))
        volume = (np.cross(a, b) * c).sum() / 6
        assert 2.5 < volume < 4 * np.pi / 3
    assert volume > 0.97 * 4 * np.pi / 3
    first = icosphere(0)
    edge = 4 / np.sqrt(10 + 2 * np.sqrt(5))  # of an icosahedron in the unit sphere
    assert first.longest == pytest.approx(edge)
    np.testing.assert_allclose(first.dual, edge * (1 + np.sqrt(5)) / 6)


@pytest.mark.parametrize(("grid", "levels", "radius"), [((32, 64), 3, 0.75), ((4, 8), 2, 0.1)])
def test_every_cell_and_every_node_is_reached(grid, levels, radius):
    mesh, points = icosphere(levels), grid_points(*grid)
    up, down = grid_to_mesh(points, mesh, radius=radius), mesh_to_grid(points, mesh)
    assert set(up[0]) == set(range(len(points)))
    assert set(up[1]) == set(range(len(mesh.nodes)))
    corners = mesh.nodes[down[0].reshape(-1, 3)].transpose(0, 2, 1)
    shares = np.linalg.solve(corners, points[:, :, None])
    assert shares.min() > -1e-9


def test_edges_as_seen_from_the_receiver_are_the_same_everywhere_on_a_latitude():
    lon = np.array([0.0, 1.0, 2.5])

    def at(lat, lon):
        lat = np.full_like(lon, lat)
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)

    found = edge_features(at(0.3, lon + 0.2), at(0.1, lon))
    np.testing.assert_allclose(found, np.broadcast_to(found[:1], found.shape), atol=1e-12)
    same = edge_features(at(0.3, lon), at(0.3, lon))
    np.testing.assert_allclose(same, 0, atol=1e-7)
    north = edge_features(at(0.4, lon), at(0.1, lon))[0]
    np.testing.assert_allclose(north, [0.3 / np.pi, np.cos(0.3) - 1, 0, np.sin(0.3)], atol=1e-12)


def test_drops_come_from_the_generator_and_keep_the_mean():
    network = made(SwinTransformer, drop_path=0.5, drop_position=0.2).train()
    plain = network(field())
    draw_drops_from(network, torch.Generator().manual_seed(0))
    dropped = network(field())
    draw_drops_from(network, torch.Generator().manual_seed(0))
    assert torch.equal(network(field()), dropped)
    assert not torch.equal(dropped, plain)
    drop = Drop(0.3, whole_samples=True)
    draw_drops_from(drop, torch.Generator().manual_seed(0))
    thinned = drop(torch.ones(4000, 2))
    assert torch.equal(thinned[:, 0], thinned[:, 1])
    assert thinned.mean().item() == pytest.approx(1.0, abs=0.05)


def test_published_unet_resizes_and_small_ones_do_not():
    assert UNet(5, 3, grid=GRID, width=8).inner == GRID
    resized = made(UNet, resize=True, norm="batch")
    assert resized.inner == (16, 32)
    assert resized(field()).shape == (2, 3, *GRID)


@pytest.mark.usefixtures("unchecked")
def test_errors_name_the_value():
    for make, message in (
        (lambda: UNet(5, 3, grid=(8, 15)), "8 x 15 cannot be halved 3 times"),
        (lambda: UNet(5, 3, grid=GRID, norm="layer"), "norm = 'layer'"),
        (lambda: UNet(5, 0, grid=GRID), "channels must be at least 1"),
        (lambda: SwinTransformer(5, 3, grid=(9, 16)), "windows must divide the grid"),
        (lambda: SFNO(5, 3, grid=GRID, depth=0), "depth = 0"),
        (lambda: made(SFNO)(torch.zeros(1, 4, *GRID)), r"was given \(1, 4, 8, 16\)"),
        (lambda: icosphere(-1), "levels = -1"),
    ):
        with pytest.raises(DataError, match=message):
            make()


def test_networks_start_with_a_tenth_of_the_last_layer():
    """PyTorch draws the weights of a layer within 1/√inputs of zero."""
    heads = {
        UNet: lambda net: net.head.weight,
        SFNO: lambda net: net.decoder.weight,
        SwinTransformer: lambda net: net.head.weight,
        GraphCast: lambda net: net.read_out[-1].weight,
    }
    for kind, head in heads.items():
        weight = head(made(kind))
        bound = 0.1 / weight.shape[1] ** 0.5
        assert 0.5 * bound < weight.abs().max().item() <= bound
