"""The variables of a CO2 transport data set in CarbonBench's schema: names, units, order."""

__all__ = ["FLUXES", "INPUTS_2D", "INPUTS_3D", "LAYERS", "UNITS_2D", "UNITS_3D", "input_names"]

UNITS_3D = {
    "airmass": "Pg",
    "co2massmix": "1e-6 kg kg-1",
    "gph_bottom": "km",
    "gph_top": "km",
    "p_bottom": "hPa",
    "p_top": "hPa",
    "q": "kg kg-1",
    "t": "K",
    "u": "m s-1",
    "v": "m s-1",
}
"""Variables on layers, alphabetical as stored. `airmass` is dry air a cell, `co2massmix` mass of
CO2 per mass of dry air."""

UNITS_2D = {
    "blh": "m",
    "cell_area": "m2",
    "co2flux_anthro": "kg m-2 s-1",
    "co2flux_land": "kg m-2 s-1",
    "co2flux_ocean": "kg m-2 s-1",
    "orography": "m2 s-2",
    "tisr": "J m-2",
}
"""Variables at the surface, alphabetical as stored. Fluxes are kg CO2, up is positive, and hold
from their time to the next."""

INPUTS_3D = tuple(name for name in UNITS_3D if name != "co2massmix")
INPUTS_2D = tuple(UNITS_2D)
FLUXES = ("co2flux_anthro", "co2flux_land", "co2flux_ocean")

LAYERS: dict[str, list[list[int]]] = {
    "l3": [[0], list(range(1, 6)), list(range(6, 34))],
    "l10": [
        [0],
        [1],
        [2],
        [3],
        [4, 5],
        [6, 7, 8],
        list(range(9, 13)),
        list(range(13, 19)),
        list(range(19, 27)),
        list(range(27, 34)),
    ],
    "l20": [*([i] for i in range(6)), *([i, i + 1] for i in range(6, 34, 2))],
    "l34": [[i] for i in range(34)],
}
"""Which of CarbonTracker's 34 layers, surface first, each coarse layer takes in."""


def input_names(levels: int) -> list[str]:
    """Names of a network's input channels but the mixing ratio: surface first, then layer by layer.

    Examples
    --------
    >>> names = input_names(10)
    >>> len(names), names[0], names[7]
    (97, 'blh', 'airmass_0')
    """
    return [*INPUTS_2D, *(f"{name}_{k}" for name in INPUTS_3D for k in range(levels))]
