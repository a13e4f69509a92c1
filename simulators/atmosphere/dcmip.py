"""Three-dimensional test cases 1-1, 1-2 and 1-3 of the DCMIP 2012 workshop."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.atmosphere.flows import DAY, deformational_flow, solid_body_rotation
from pushforward.simulators.atmosphere.fluxes import MassFluxes, Winds, close_columns
from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.atmosphere.state import Function

__all__ = ["TestCase", "deformational_3d", "hadley_cell", "thin_clouds"]

RADIUS, GAS, GRAVITY, P0, T0 = 6371220.0, 287.0, 9.80616, 1e5, 300.0
SCALE_HEIGHT = GAS * T0 / GRAVITY
TOP = 12000.0


@dataclass(frozen=True)
class TestCase:
    """A flow, its air and its tracers, which are exact again after `duration`.

    Parameters
    ----------
    winds : see `Winds`.
    pressure : edges of the layers from below, Pa, (edge,) or (edge, lat, lon).
    air_mass : kg, (layer, lat, lon).
    tracers : by name, functions q(λ, φ, p).
    duration : s.
    """

    __test__ = False  # pytest would take it for one of its own

    winds: Winds
    pressure: Tensor
    air_mass: Float[Tensor, "layer lat lon"]
    tracers: dict[str, Function]
    duration: float


def deformational_3d(grid: LatLonGrid, layers: int) -> TestCase:
    """Case 1-1: the deforming flow of `deformational_flow` with a wave of up- and downdraughts.

    The divergent part derives from χ = ω₀ a cos λ′ cos²φ cos(2πt/τ) s(p): u = ∂χ/∂p,
    ω = −(1/(a cos φ)) ∂χ/∂λ, so that its mass fluxes cancel in every cell. τ = 12 days; layers of
    equal height up to 12 km. `grid.radius` should be 6371220 m.

    Source: Kent, Ullrich, Jablonowski, Q. J. R. Meteorol. Soc. 140, 2014.
    """
    period, omega0, b = 12 * DAY, 23000 * math.pi / (12 * DAY), 0.2
    pressure = _uniform_layers(layers)
    p_top = float(pressure[-1])
    fall, rise = (
        torch.exp((pressure - P0) / (b * p_top)),
        torch.exp((p_top - pressure) / (b * p_top)),
    )
    shape = 1 + math.exp((p_top - P0) / (b * p_top)) - fall - rise
    shape[[0, -1]] = 0.0
    lat = torch.deg2rad(grid.lat_edges)
    band = (lat / 2 + (2 * lat).sin() / 4).diff()[:, None]  # ∫ cos² φ dφ
    horizontal = deformational_flow(grid, case=4, period=period)
    depth = (-pressure.diff() / GRAVITY)[:, None, None]

    def winds(time: float, dt: float) -> MassFluxes:
        flat = horizontal(time, dt)
        middle = (time + dt / 2) / period
        wave = torch.cos(torch.deg2rad(grid.lon_edges) - 2 * math.pi * middle)
        scale = omega0 * grid.radius**2 / GRAVITY * math.cos(2 * math.pi * middle) * dt * band
        east = depth * flat.east - shape.diff()[:, None, None] * (scale * wave[1:])
        up = shape[:, None, None] * (scale * wave.diff())
        return MassFluxes(east, depth * flat.north, up)

    def distance(lon: Tensor, lat: Tensor, p: Tensor, centre: float) -> Tensor:
        r = (lat.cos() * (lon - centre).cos()).clamp(-1, 1).acos()
        return ((2 * r) ** 2 + ((_height(p) - 5000) / 1000) ** 2).clamp(max=1)

    def both(lon: Tensor, lat: Tensor, p: Tensor) -> list[Tensor]:
        return [distance(lon, lat, p, c) for c in (5 * math.pi / 6, 7 * math.pi / 6)]

    def bells(lon: Tensor, lat: Tensor, p: Tensor) -> Tensor:
        return sum(((1 + (math.pi * d).cos()) / 2 for d in both(lon, lat, p)), torch.zeros(()))

    def slotted(lon: Tensor, lat: Tensor, p: Tensor) -> Tensor:
        first, second = both(lon, lat, p)
        inside = ((first <= 0.5) | (second <= 0.5)) & ~((_height(p) > 5000) & (lat.abs() < 0.125))
        return torch.where(inside, 1.0, 0.1)

    tracers: dict[str, Function] = {
        "q1": bells,
        "q2": lambda *x: 0.9 - 0.8 * bells(*x) ** 2,
        "q3": slotted,
        "q4": lambda *x: 1 - 0.3 * (bells(*x) + 0.9 - 0.8 * bells(*x) ** 2 + slotted(*x)),
    }
    return TestCase(winds, pressure, depth * grid.cell_area, tracers, period)


def hadley_cell(grid: LatLonGrid, layers: int) -> TestCase:
    """Case 1-2: meridional overturning that turns back half way through one day.

    Ψ = ρ₀ (a w₀/K) cos φ sin Kφ sin(πz/z_top) cos(πt/τ): ρv = −∂Ψ/∂z,
    ρw = (1/(a cos φ)) ∂(Ψ cos φ)/∂φ, with u = 40 m/s cos φ, w₀ = 0.15 m/s, K = 5.

    Source: as `deformational_3d`.
    """
    period, speed, w0, cells = DAY, 40.0, 0.15, 5
    pressure = _uniform_layers(layers)
    depth = (-pressure.diff() / GRAVITY)[:, None, None]
    lat, width = torch.deg2rad(grid.lat_edges), math.radians(grid.spacing[1])
    strength = P0 / (GAS * T0) * grid.radius * w0 / cells
    across = (strength * lat.cos() ** 2 * (cells * lat).sin())[:, None] * grid.radius * width
    across[[0, -1]] = 0.0
    profile = torch.sin(math.pi * _height(pressure) / TOP)[:, None, None]
    profile[[0, -1]] = 0.0
    zonal = (speed * grid.radius * lat.sin().diff())[:, None].expand(grid.n_lat, grid.n_lon)

    def winds(time: float, dt: float) -> MassFluxes:
        now = math.cos(math.pi * (time + dt / 2) / period) * dt
        stream = (now * profile * across).expand(-1, -1, grid.n_lon)
        return MassFluxes(dt * depth * zonal, -stream.diff(dim=0), stream.diff(dim=1))

    def layer(lon: Tensor, lat: Tensor, p: Tensor) -> Tensor:
        z = _height(p)
        bump = (1 + (2 * math.pi * (z - 3500) / 3000).cos()) / 2
        return torch.where((z > 2000) & (z < 5000), bump, 0.0) + 0 * lon * lat

    return TestCase(winds, pressure, depth * grid.cell_area, {"q1": layer}, period)


def thin_clouds(grid: LatLonGrid, layers: int) -> TestCase:
    """Case 1-3: thin clouds carried over mountains by a tilted rotation, along sloping layers.

    Layers follow the ground, so the level flow crosses them. It also blows through the mountain;
    one layer more, from the ground down to 1.1 p₀, takes up that air and closes the columns.

    Source: as `deformational_3d`.
    """
    period = 12 * DAY
    lon, lat = torch.deg2rad(grid.lon), torch.deg2rad(grid.lat)[:, None]
    r = (lat.cos() * (lon - 1.5 * math.pi).cos()).clamp(-1, 1).acos()
    reach = 0.75 * math.pi
    wave = 1000 * (1 + (math.pi * r / reach).cos()) * (16 * r).cos() ** 2
    ground = P0 * torch.exp(-torch.where(r < reach, wave, 0.0) / SCALE_HEIGHT)
    p_top = P0 * math.exp(-TOP / SCALE_HEIGHT)
    level = (_uniform_layers(layers)[:, None, None] - p_top) / (P0 - p_top)
    edges = p_top + level * (ground - p_top)
    pressure = torch.cat((torch.full_like(edges[:1], 1.1 * P0), edges))
    depth = -pressure.diff(dim=0) / GRAVITY
    rotation = solid_body_rotation(grid, angle=math.pi / 6, period=period)
    share = torch.full((layers + 1,), 1 / (layers + 1), dtype=torch.float64)

    def winds(time: float, dt: float) -> MassFluxes:
        flat = rotation(time, dt)
        east = flat.east * (depth + depth.roll(-1, -1)) / 2
        north = torch.zeros(layers + 1, grid.n_lat + 1, grid.n_lon, dtype=torch.float64)
        north[:, 1:-1] = flat.north[:, 1:-1] * (depth[:, 1:] + depth[:, :-1]) / 2
        return close_columns(east, north, share)

    def cloud(middle: float, thickness: float) -> Function:
        def tracer(lon: Tensor, lat: Tensor, p: Tensor) -> Tensor:
            r = (lat.cos() * (lon - 0.5 * math.pi).cos()).clamp(-1, 1).acos()
            off = (_height(p) - middle).abs()
            inside = (off < thickness / 2) & (r < math.pi / 4)
            if thickness < 1000:
                return torch.where(inside, 1.0, 0.0)
            value = (1 + (2 * math.pi * off / thickness).cos()) * (1 + (4 * r).cos()) / 4
            return torch.where(inside, value, 0.0)

        return tracer

    tracers = {"q1": cloud(3050.0, 1000.0), "q2": cloud(5050.0, 1000.0), "q3": cloud(8200.0, 400.0)}
    every = list(tracers.values())
    tracers["q4"] = lambda *x: sum((f(*x) for f in every), torch.zeros(()))
    return TestCase(winds, pressure, depth * grid.cell_area, tracers, period)


def _uniform_layers(layers: int) -> Tensor:
    """Pressure at edges of equal height from the ground to 12 km, Pa."""
    height = torch.linspace(0, TOP, layers + 1, dtype=torch.float64)
    return P0 * torch.exp(-height / SCALE_HEIGHT)


def _height(pressure: Tensor) -> Tensor:
    return -SCALE_HEIGHT * (pressure / P0).log()
