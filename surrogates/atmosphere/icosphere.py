"""The multi-scale icosahedral mesh, and its edges to and from a latitude-longitude grid."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pushforward.simulators.errors import DataError

__all__ = ["Icosphere", "grid_points", "grid_to_mesh", "icosphere", "mesh_to_grid"]


@dataclass(frozen=True)
class Icosphere:
    """An icosahedron refined some times, with the edges of every refinement on its finest nodes.

    Parameters
    ----------
    nodes : (10 · 4^k + 2, 3), unit vectors.
    faces : (20 · 4^k, 3), the finest triangles, counter-clockwise seen from outside.
    edges : (2, edges), sender and receiver, both directions, all levels.
    dual : (edges,), distance of the centres of the two triangles, of the edge's own level, that
        meet at it.
    longest : length of the longest finest edge (chord of the unit sphere).
    """

    nodes: Float[np.ndarray, "nodes 3"]
    faces: Int[np.ndarray, "faces 3"]
    edges: Int[np.ndarray, "2 edges"]
    dual: Float[np.ndarray, " edges"]
    longest: float

    @property
    def areas(self) -> Float[np.ndarray, " nodes"]:
        """A third of the (flat) triangles around each node, scaled to add up to 4π."""
        a, b, c = (self.nodes[self.faces[:, i]] for i in range(3))
        size = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        areas = np.zeros(len(self.nodes))
        for i in range(3):
            np.add.at(areas, self.faces[:, i], size)
        return areas * (4 * np.pi / areas.sum())


def icosphere(levels: int) -> Icosphere:
    """Refine the icosahedron `levels` times: every edge halved, nodes lifted onto the sphere.

    Examples
    --------
    >>> mesh = icosphere(2)
    >>> len(mesh.nodes), len(mesh.faces), mesh.edges.shape[1]
    (162, 320, 1260)
    """
    if levels < 0:
        raise DataError(f"levels = {levels} must not be negative.")
    nodes, faces = _icosahedron()
    edges, dual = [], []
    for level in range(levels + 1):
        if level:
            nodes, faces = _refined(nodes, faces)
        found, distance = _edges(nodes, faces)
        edges.append(found)
        dual.append(distance)
    lengths = np.linalg.norm(nodes[edges[-1][0]] - nodes[edges[-1][1]], axis=1)
    return Icosphere(nodes, faces, np.hstack(edges), np.hstack(dual), float(lengths.max()))


def grid_points(n_lat: int, n_lon: int) -> Float[np.ndarray, "cells 3"]:
    """Unit vectors of the cell centres, south first, longitude fastest."""
    lat = np.radians((np.arange(n_lat) + 0.5) * 180 / n_lat - 90)
    lon = 2 * np.pi * np.arange(n_lon) / n_lon
    lat, lon = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)


def grid_to_mesh(
    points: Float[np.ndarray, "cells 3"], mesh: Icosphere, *, radius: float = 0.75
) -> Int[np.ndarray, "2 edges"]:
    """Edges from each point to the mesh nodes within `radius` of the longest edge, at least one.

    On a grid that is coarse beside the mesh, or with a small radius, the plain rule leaves points
    without an edge, whose values the network would never see; those get their nearest node. Nodes
    that no point reaches get their nearest point.
    """
    distance = np.linalg.norm(points[:, None] - mesh.nodes[None], axis=2)
    near = distance <= radius * mesh.longest
    near[np.arange(len(points)), distance.argmin(1)] |= ~near.any(1)
    near[distance.argmin(0), np.arange(len(mesh.nodes))] |= ~near.any(0)
    return np.stack(np.nonzero(near))


def mesh_to_grid(points: Float[np.ndarray, "cells 3"], mesh: Icosphere) -> Int[np.ndarray, "2 e"]:
    """Edges to each point from the three nodes of the triangle that holds it."""
    corners = mesh.nodes[mesh.faces]
    inverse = np.linalg.inv(corners.transpose(0, 2, 1))
    shares = np.einsum("fij,pj->pfi", inverse, points)
    # The triangle whose least share is greatest: the one that holds the point, ties broken by it.
    face = shares.min(2).argmax(1)
    receivers = np.repeat(np.arange(len(points)), 3)
    return np.stack([mesh.faces[face].ravel(), receivers])


def edge_features(
    senders: Float[np.ndarray, "edges 3"], receivers: Float[np.ndarray, "edges 3"]
) -> Float[np.ndarray, "edges 4"]:
    """Great-circle length on a sphere of radius 1/π, and the sender's place in a frame in which
    the receiver sits at latitude and longitude zero."""
    cosine = (senders * receivers).sum(1).clip(-1, 1)
    length = np.arccos(cosine) / np.pi
    lat, lon = np.arcsin(receivers[:, 2].clip(-1, 1)), np.arctan2(receivers[:, 1], receivers[:, 0])
    # First turn about the axis by −lon, then about the y axis by lat.
    x = np.cos(lon) * senders[:, 0] + np.sin(lon) * senders[:, 1]
    y = -np.sin(lon) * senders[:, 0] + np.cos(lon) * senders[:, 1]
    along = np.cos(lat) * x + np.sin(lat) * senders[:, 2]
    up = -np.sin(lat) * x + np.cos(lat) * senders[:, 2]
    return np.stack([length, along - 1, y, up], 1)


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    golden = (1 + 5**0.5) / 2
    signs = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    nodes = np.array(
        [(0, a, b * golden) for a, b in signs]
        + [(a, b * golden, 0) for a, b in signs]
        + [(b * golden, 0, a) for a, b in signs],
        dtype=float,
    )
    nodes /= np.linalg.norm(nodes[0])
    distance = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    near = np.isclose(distance, np.unique(distance.round(9))[1])
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    outward = [
        f if np.dot(np.cross(nodes[f[0]], nodes[f[1]]), nodes[f[2]]) > 0 else (f[0], f[2], f[1])
        for f in faces
    ]
    return nodes, np.array(outward)


def _refined(nodes: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sides = np.sort(np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, place = np.unique(sides, axis=0, return_inverse=True)
    middles = nodes[unique].mean(1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    ab, bc, ca = (len(nodes) + place.reshape(3, -1)).astype(faces.dtype)
    a, b, c = faces.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.vstack([nodes, middles]), np.vstack([np.stack(part, 1) for part in parts])


def _edges(nodes: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directed edges of a closed mesh, and the distance of the two triangles' centres at each."""
    directed = np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    face = np.tile(np.arange(len(faces)), 3)
    keys = directed[:, 0] * len(nodes) + directed[:, 1]
    back = directed[:, 1] * len(nodes) + directed[:, 0]
    order = np.argsort(keys)
    opposite = face[order[np.searchsorted(keys[order], back)]]
    centres = nodes[faces].mean(1)
    return directed.T, np.linalg.norm(centres[face] - centres[opposite], axis=1)
