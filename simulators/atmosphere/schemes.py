"""The transport schemes by name: what a cell knows of the tracer inside it, and what limits it."""

from dataclasses import dataclass
from typing import Literal

from pushforward.simulators.errors import DataError

__all__ = ["SCHEMES", "Scheme", "SchemeName", "chains", "scheme_named"]

SchemeName = Literal[
    "upwind",
    "van_leer",
    "ppm",
    "ppm_monotone",
    "ppm_positive",
    "slopes",
    "slopes_monotone",
    "slopes_positive",
    "moments",
    "moments_monotone",
    "moments_positive",
    "moments_sheared",
]
Limiter = Literal["none", "monotone", "positive"]


@dataclass(frozen=True)
class Scheme:
    """One scheme: where the polynomial in a cell comes from, its degree, its limiter.

    `carried` schemes transport the polynomial's coefficients with the cell means (first moments
    for degree 1, all moments to second order for degree 2); the others make it anew from the
    neighbouring means in each sweep. `sheared` schemes let the wind vary across a cell (`strips`).
    """

    name: str
    carried: bool
    degree: int
    limiter: Limiter
    sheared: bool = False

    def n_amounts(self, layers: int) -> int:
        """Numbers a cell holds for a tracer, the mass included."""
        if not self.carried:
            return 1
        two, three = ((3, 4), (6, 10))[self.degree - 1]
        return three if layers > 1 else two


SCHEMES: dict[str, Scheme] = {
    "upwind": Scheme("upwind", False, 0, "monotone"),
    "van_leer": Scheme("van_leer", False, 1, "monotone"),
    "ppm": Scheme("ppm", False, 2, "none"),
    "ppm_monotone": Scheme("ppm_monotone", False, 2, "monotone"),
    "ppm_positive": Scheme("ppm_positive", False, 2, "positive"),
    "slopes": Scheme("slopes", True, 1, "none"),
    "slopes_monotone": Scheme("slopes_monotone", True, 1, "monotone"),
    "slopes_positive": Scheme("slopes_positive", True, 1, "positive"),
    "moments": Scheme("moments", True, 2, "none"),
    "moments_monotone": Scheme("moments_monotone", True, 2, "monotone"),
    "moments_positive": Scheme("moments_positive", True, 2, "positive"),
    "moments_sheared": Scheme("moments_sheared", True, 2, "none", sheared=True),
}

# Order of the moments: 1 x y (xx yy xy) z (zz xz yz); one layer needs none with z.
_FIRST = {"x": 1, "y": 2, "z": 3}
_SECOND = {"x": (1, 3), "y": (2, 4), "z": (6, 7)}
_CROSS = {
    "x": ((2, 5), (6, 8)),
    "y": ((1, 5), (6, 9)),
    "z": ((1, 8), (2, 9)),
}
_ALONE = {"x": (4, 7, 9), "y": (3, 7, 8), "z": (3, 4, 5)}


def chains(scheme: Scheme, axis: str, layers: int) -> list[tuple[int, ...]]:
    """Moments that a sweep along `axis` ("x", "y", "z") mixes, each tuple by rising degree.

    The coefficient of y, as a function of x, has the mean `y` and the slope `xy`: so every tuple is
    a polynomial along the axis, remapped like the tracer itself. The first is the tracer's own.

    Examples
    --------
    >>> chains(SCHEMES["moments"], "x", 1)
    [(0, 1, 3), (2, 5), (4,)]
    """
    if not scheme.carried:
        return [(0,)]
    if scheme.degree == 1:
        others = [(i,) for a, i in _FIRST.items() if a != axis and i < scheme.n_amounts(layers)]
        return [(0, _FIRST[axis]), *others]
    known = scheme.n_amounts(layers)
    pairs = [pair for pair in _CROSS[axis] if max(pair) < known]
    alone = [(i,) for i in _ALONE[axis] if i < known]
    return [(0, *_SECOND[axis]), *pairs, *alone]


def scheme_named(name: str) -> Scheme:
    """The scheme of that name, or an error that lists them."""
    if name not in SCHEMES:
        raise DataError(f"scheme = {name!r} is unknown; choose one of {', '.join(SCHEMES)}.")
    return SCHEMES[name]
