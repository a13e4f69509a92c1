"""The solver: tracers carried by given air-mass fluxes, in split sweeps."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from pushforward.simulators.atmosphere.fluxes import MassFluxes, SweptAreas, Winds
from pushforward.simulators.atmosphere.grid import LatLonGrid
from pushforward.simulators.atmosphere.remap import (
    greatest_outflow,
    remap_chains,
    sweep_lines,
    swept_mass,
)
from pushforward.simulators.atmosphere.schemes import SchemeName, scheme_named
from pushforward.simulators.atmosphere.state import (
    Function,
    TracerState,
    estimated_moments,
    projected_moments,
)
from pushforward.simulators.atmosphere.strips import (
    Moves,
    Phase,
    flux_weights,
    gather,
    sheared_sweep,
    spread,
    strip_chains,
)
from pushforward.simulators.errors import DataError

__all__ = ["TracerTransport"]

Sweep = tuple[str, float, Phase]  # axis, share of the fluxes, what its strips begin and end with


class TracerTransport:
    """Transport of tracers by air-mass fluxes on the sphere, conserving both to rounding.

    ∂m/∂t = −∇·F, ∂(m q)/∂t = −∇·(F q) in every cell, with the same F for the air and for what it
    carries: a uniform mixing ratio stays uniform in any winds, and no fixer is needed. A step is
    X½ Y½ Z Y½ X½ (X½ Y X½ for one layer), the air mass taken along from sweep to sweep (Strang). A
    sweep remaps the polynomial inside each cell onto the new cells; along circles of latitude by
    any number of cells, so the narrow cells at the poles do not limit the step.

    Schemes
    -------
    - "upwind": constant cells, first order; "van_leer": limited central slopes.
    - "ppm": parabolas through the neighbours' means (Colella and Woodward 1984); "_monotone" with
      their limiter, "_positive" scaled to stay above 0. Stencils assume layers and rows that
      change smoothly in thickness.
    - "slopes": first moments carried along (Russell and Lerner 1981).
    - "moments": all moments to second order carried along (Prather 1986): 6 numbers a cell in one
      layer, 10 in several; the default. "_monotone" and "_positive" shrink the polynomial along
      the sweep to the neighbours' range, or above 0. "_sheared" lets the horizontal wind vary
      across a cell, so that moments cross the poles, for about eight times the work; in strongly
      divergent flow plain moments are nearer.

    Parameters
    ----------
    grid : see `latlon_grid`.
    scheme : one of the above.
    dt : time step, s.
    device : of the state; float64 always. Without gradients, on the CPU, fused kernels do the
        sweeps on torch's number of threads.

    Raises
    ------
    DataError : unknown scheme, dt not positive.

    References
    ----------
    Prather, J. Geophys. Res. 91, 1986; Russell and Lerner, J. Appl. Meteor. 20, 1981; Colella and
    Woodward, J. Comput. Phys. 54, 1984; Lin and Rood, Mon. Wea. Rev. 124, 1996 (whole cells passed
    along x); Strang, SIAM J. Numer. Anal. 5, 1968.

    Examples
    --------
    >>> from pushforward.simulators.atmosphere import latlon_grid, solid_body_rotation
    >>> grid = latlon_grid(16, 32)
    >>> solver = TracerTransport(grid, scheme="moments", dt=3600.0)
    >>> state = solver.initial([lambda lon, lat: 1 + lat.cos() * lon.sin()])
    >>> later = solver.advance(state, 10, solid_body_rotation(grid, angle=0.5))
    >>> float((later.tracer_mass.sum() / state.tracer_mass.sum() - 1).abs()) < 1e-14
    True
    """

    def __init__(
        self,
        grid: LatLonGrid,
        *,
        scheme: SchemeName = "moments",
        dt: float | int,
        device: torch.device | str = "cpu",
    ):
        if not (dt > 0 and math.isfinite(dt)):
            raise DataError(f"dt = {dt} s; expected a positive number.")
        self.grid, self.scheme, self.dt = grid, scheme_named(scheme), float(dt)
        self.device = torch.device(device)
        axes = "xy" if self.scheme.sheared else ""
        self.strip_weights = {axis: flux_weights(grid, axis) for axis in axes}

    def initial(
        self,
        tracers: Sequence[Function] | Tensor,
        *,
        air_mass: Tensor | None = None,
        pressure: Tensor | None = None,
        time: float = 0.0,
    ) -> TracerState:
        """A state from mixing ratios.

        Parameters
        ----------
        tracers : functions q(λ, φ) in radians, or q(λ, φ, p) if `pressure` is given, of which
            cell means and moments are integrated; or mixing ratios of the cells,
            (*batch, tracer, layer, lat, lon), whose moments are estimated from neighbours.
        air_mass : kg, (*batch, layer, lat, lon); the cells' areas (one kg/m²) by default, or
            area Δp / 9.80665 if `pressure` is given.
        pressure : layer edges from the surface up, Pa, (edge,) or (edge, lat, lon).
        time : seconds.

        Raises
        ------
        DataError : shapes, NaN or negative air mass.
        """
        if air_mass is None:
            air_mass = self.grid.cell_area.unsqueeze(-3)
            if pressure is not None:
                depth = -pressure.diff(dim=0) / 9.80665
                air_mass = (depth[:, None, None] if depth.dim() == 1 else depth) * air_mass
        air_mass = torch.as_tensor(air_mass, dtype=torch.float64, device=self.device)
        if isinstance(tracers, Tensor):
            coefficients = estimated_moments(self.scheme, tracers.to(air_mass))
        else:
            coefficients = projected_moments(self.scheme, self.grid, tracers, pressure)
            coefficients = coefficients.to(air_mass)
        amounts = coefficients * air_mass.unsqueeze(-4).unsqueeze(-4)
        state = TracerState(
            air_mass.expand(*amounts.shape[:-5], *air_mass.shape[-3:]).contiguous(),
            amounts[..., 0, :, :, :].contiguous(),
            amounts[..., 1:, :, :, :].contiguous(),
            float(time),
        )
        self._check(state)
        return state

    def step(self, state: TracerState, fluxes: MassFluxes) -> TracerState:
        """One step with the given fluxes; differentiable in the state and the fluxes.

        Raises
        ------
        DataError : fluxes of another shape, not finite, or that would empty a cell: names the
            cell and the Courant number.
        """
        self._check_shapes(state, fluxes)
        wants_gradient = torch.is_grad_enabled() and any(
            t.requires_grad
            for t in (state.air_mass, state.tracer_mass, state.moments, fluxes.east, fluxes.up)
        )
        if state.air_mass.device.type == "cpu" and not wants_gradient:
            from pushforward.simulators.atmosphere._fast import FastSweeps

            return FastSweeps(self, state).step(fluxes).state()
        return self._eager_step(state, fluxes)

    def advance(self, state: TracerState, n_steps: int, winds: Winds) -> TracerState:
        """Take `n_steps` steps; `winds(time, dt)` says what passes the faces in each.

        Raises
        ------
        DataError : as `step`; a state that is not finite or has air mass that is not positive.
        """
        if n_steps < 0:
            raise DataError(f"n_steps = {n_steps} must be at least 0.")
        self._check(state)
        first = winds(state.time, self.dt) if n_steps else None
        tensors = [state.air_mass, state.tracer_mass, state.moments]
        tensors += [first.east, first.north, first.up] if first is not None else []
        gradient = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if state.air_mass.device.type != "cpu" or gradient:
            for _ in range(n_steps):
                fluxes = winds(state.time, self.dt)
                self._check_shapes(state, fluxes)
                state = self._eager_step(state, fluxes)
            return state
        from pushforward.simulators.atmosphere._fast import FastSweeps

        sweeps = FastSweeps(self, state)
        for _ in range(n_steps):
            fluxes = winds(sweeps.time, self.dt)
            self._check_shapes(state, fluxes)
            sweeps.step(fluxes)
        return sweeps.state()

    def sweeps(self, layers: int) -> tuple[Sweep, ...]:
        """The sweeps of a step, in order."""
        first: Sweep = ("x", 0.5, "opening")
        last: Sweep = ("x", 0.5, "closing")
        if layers == 1:
            return (first, ("y", 1.0, "steady"), last)
        half: Sweep = ("y", 0.5, "steady")
        return (first, half, ("z", 1.0, "steady"), half, last)

    def sweep_flux(self, axis: str, share: float, mass: Tensor, fluxes: MassFluxes) -> Tensor:
        """Air that passes the faces of one axis in one sweep, (…, faces along the axis), kg."""
        if axis == "x":
            flux = share * torch.cat((fluxes.east[..., -1:], fluxes.east), -1)
        else:
            flux = share * (fluxes.north if axis == "y" else fluxes.up)
        if isinstance(fluxes, SweptAreas) and axis != "z":
            return swept_mass(axis, mass, self.grid.cell_area.to(mass), flux)
        return flux

    def _eager_step(self, state: TracerState, fluxes: MassFluxes) -> TracerState:
        mass = state.air_mass
        amounts = torch.cat((state.tracer_mass.unsqueeze(-4), state.moments), -4)
        for axis, share, phase in self.sweeps(mass.shape[-3]):
            flux = self.sweep_flux(axis, share, mass, fluxes)
            self.refuse_emptied(axis, mass, flux, state.time)
            if axis in self.strip_weights:
                weights = self.strip_weights[axis]
                remap = partial(remap_chains, self.scheme, axis, strip_chains(mass.shape[-3]))
                moves = Moves(spread, remap, gather)
                mass, amounts = sheared_sweep(axis, phase, weights, mass, amounts, flux, moves)
            else:
                mass, amounts = sweep_lines(self.scheme, axis, mass, amounts, flux)
        return replace(
            state,
            air_mass=mass,
            tracer_mass=amounts[..., 0, :, :, :],
            moments=amounts[..., 1:, :, :, :],
            time=state.time + self.dt,
        )

    def refuse_emptied(self, axis: str, mass: Tensor, flux: Tensor, time: float) -> None:
        """Raise `emptied` for the worst cell that a sweep would leave without air."""
        outflow = greatest_outflow(axis, mass, flux)
        along = {"x": -1, "y": -2, "z": -3}[axis]
        after = mass - flux.diff(dim=along)
        if axis == "x":
            too_far = flux[..., 1:].abs() >= mass.sum(-1, keepdim=True)  # once round the globe
        else:
            too_far = ~(outflow <= 1)
        bad = ~(after > 0) | too_far
        if bool(bad.any()):
            worst = torch.where(bad, outflow.nan_to_num(math.inf), -1.0).flatten().argmax()
            raise self.emptied(axis, int(worst), float(outflow.flatten()[worst]), time)

    def emptied(self, axis: str, cell: int, courant: float, time: float) -> DataError:
        """The error for fluxes that take more air from a cell than it has."""
        per_layer = self.grid.n_lat * self.grid.n_lon
        layer, row = cell // per_layer, cell % per_layer // self.grid.n_lon
        lat, lon = float(self.grid.lat[row]), float(self.grid.lon[cell % self.grid.n_lon])
        if not math.isfinite(courant):
            what = "fluxes or air mass that are not finite"
            remedy = "Look for missing values in the winds."
        else:
            what = f"fluxes that would empty a cell, Courant number {courant:.3g}, along {axis}"
            remedy = (
                f"Lower dt, now {self.dt:g} s, by at least that factor; or give fluxes a step, "
                "not a second or an hour."
            )
        return DataError(
            f"{what} in layer {layer} at latitude {lat:.6g}, longitude {lon:.6g} (index {row}, "
            f"{cell % self.grid.n_lon}) in the step from time {time:.6g} s. {remedy}"
        )

    def _check_shapes(self, state: TracerState, fluxes: MassFluxes) -> None:
        cells = state.air_mass.shape
        if fluxes.east.shape[-3:] != cells[-3:] or (
            fluxes.east.dim() > 3 and fluxes.east.shape != cells
        ):
            raise DataError(
                f"fluxes.east has shape {tuple(fluxes.east.shape)}; the state's air mass has "
                f"{tuple(cells)}. Expected the same, or without the batch axes."
            )

    def _check(self, state: TracerState) -> None:
        cells = (self.grid.n_lat, self.grid.n_lon)
        air, tracer, moments = state.air_mass, state.tracer_mass, state.moments
        layers = air.shape[-3] if air.dim() > 2 else 1
        wanted = self.scheme.n_amounts(layers) - 1
        if (
            air.shape[-2:] != cells
            or tracer.shape[-3:] != air.shape[-3:]
            or moments.shape[-4] != wanted
        ):
            raise DataError(
                f"state: air_mass {tuple(air.shape)}, tracer_mass {tuple(tracer.shape)}, moments "
                f"{tuple(moments.shape)}; expected (*batch, layer, {cells[0]}, {cells[1]}), a "
                f"tracer axis before the layers, and {wanted} moments for scheme "
                f"{self.scheme.name!r}. Make it with `initial`."
            )
        for name, field in (("air_mass", air), ("tracer_mass", tracer), ("moments", moments)):
            bad = ~torch.isfinite(field)
            if bool(bad.any()):
                first = tuple(int(i) for i in bad.nonzero()[0])
                raise DataError(
                    f"{name} has {int(bad.sum())} non-finite values at time {state.time:g} s, the "
                    f"first at {first}. Start from finite fields."
                )
        if not bool((air > 0).all()):
            where = tuple(int(i) for i in (air <= 0).nonzero()[0])
            raise DataError(
                f"air_mass is {float(air[where]):.4g} kg at {where}; expected a positive mass in "
                "every cell. Check the sign and the order of pressure differences."
            )
