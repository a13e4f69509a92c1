"""Units of atmospheric variables: read as written, converted, never guessed."""

import re

from pushforward.simulators.errors import DataError

__all__ = ["CO2_PER_AIR", "conversion", "parse_units"]

CO2_PER_AIR = 44.009 / 28.9652
"""Molar mass of CO2 over that of dry air: kg/kg for mol/mol."""

STANDARD_GRAVITY = 9.80665  # m s-2, of geopotential height
MOLAR_MASS_CO2 = 44.009e-3  # kg mol-1

_PREFIXES = {"": 1.0, "m": 1e-3, "c": 1e-2, "d": 1e-1, "h": 1e2, "k": 1e3, "M": 1e6}
_PREFIXES |= {"u": 1e-6, "µ": 1e-6, "micro": 1e-6, "n": 1e-9, "G": 1e9, "T": 1e12, "P": 1e15}
# Base units in terms of kg, m, s, mol, K; "kg" is handled as a prefixed gram.
_BASES: dict[str, tuple[float, dict[str, int]]] = {
    "g": (1e-3, {"kg": 1}),
    "m": (1.0, {"m": 1}),
    "s": (1.0, {"s": 1}),
    "mol": (1.0, {"mol": 1}),
    "mole": (1.0, {"mol": 1}),
    "K": (1.0, {"K": 1}),
    "Pa": (1.0, {"kg": 1, "m": -1, "s": -2}),
    "J": (1.0, {"kg": 1, "m": 2, "s": -2}),
    "W": (1.0, {"kg": 1, "m": 2, "s": -3}),
}
_WORDS = {
    "ppm": "1e-6 mol mol-1",
    "ppmv": "1e-6 mol mol-1",
    "ppb": "1e-9 mol mol-1",
    "meter": "m",
    "meters": "m",
    "metres": "m",
    "degK": "K",
    "kelvin": "K",
    "millibar": "hPa",
    "mbar": "hPa",
}
_NOISE = re.compile(r"\b(CO2|dry[ _]air|dry|air|of)\b|per cell")


def parse_units(text: str) -> tuple[float, dict[str, int], str]:
    """Factor to SI, exponents of kg, m, s, mol and K, and what kind of ratio a pure number is.

    Words such as CO2 and dry air are dropped. The kind is `mole` or `mass` where numerator and
    denominator cancel, else empty.

    Examples
    --------
    >>> parse_units("hPa")[:2] == parse_units("100 kg m-1 s-2")[:2]
    True
    >>> parse_units("1e-6 kg CO2 / kg dry air")
    (1e-06, {}, 'mass')
    >>> parse_units("ppm")
    (1e-06, {}, 'mole')
    """
    plain = _WORDS.get(text.strip(), text)
    plain = _NOISE.sub(" ", plain).replace("**", "").replace("^", "").replace("·", " ")
    plain = plain.replace("*", " ").replace("/", " / ")
    powers: dict[str, int] = {}
    factor, kind, divide = 1.0, "", False
    for token in plain.split():
        if token == "/":
            divide = True
            continue
        scale, exponents, power = _token(token, text)
        power = -power if divide else power
        divide = False
        factor *= scale**power
        for base, exponent in exponents.items():
            powers[base] = powers.get(base, 0) + power * exponent
        kind = kind or {"mol": "mole", "kg": "mass"}.get(next(iter(exponents), ""), "")
    left = {base: n for base, n in powers.items() if n}
    return factor, left, "" if left else kind


def conversion(name: str, given: str, wanted: str) -> float:
    """Factor from one unit to another, for the variable of that name.

    Beyond plain factors: mole to mass mixing ratio of CO2 in dry air, moles to kilograms of CO2 in
    fluxes, and metres of height to geopotential.

    Raises
    ------
    DataError : unknown or incompatible units, or a bare number where it matters which ratio it is.

    Examples
    --------
    >>> conversion("p_bottom", "Pa", "hPa")
    0.01
    >>> round(400 * conversion("co2massmix", "ppm", "1e-6 kg kg-1"), 2)
    607.75
    """
    remedy = f"Convert {name!r} to {wanted!r}, or say what it is: units={{{name!r}: '...'}}."
    try:
        f1, p1, k1 = parse_units(given)
    except DataError as error:
        raise DataError(f"{name}: {error} {remedy}") from error
    f2, p2, k2 = parse_units(wanted)
    factor = f1 / f2
    if p1 == p2:
        if not p1 and wanted.strip() not in ("1", ""):
            if not k1:
                raise DataError(
                    f"{name} has units {given!r}, which do not say whether they are moles or "
                    f"kilograms per such of air; expected {wanted!r}. {remedy}"
                )
            factor *= {("mole", "mass"): CO2_PER_AIR, ("mass", "mole"): 1 / CO2_PER_AIR}.get(
                (k1, k2), 1.0
            )
        return float(f"{factor:.15g}")
    change = {k: p2.get(k, 0) - p1.get(k, 0) for k in {*p1, *p2} if p2.get(k, 0) != p1.get(k, 0)}
    if change == {"mol": -1, "kg": 1}:
        return factor * MOLAR_MASS_CO2
    if p1 == {"m": 1} and p2 == {"m": 2, "s": -2}:
        return factor * STANDARD_GRAVITY
    raise DataError(f"{name} has units {given!r}, which are not {wanted!r}. {remedy}")


def _token(token: str, text: str) -> tuple[float, dict[str, int], int]:
    try:
        return float(token), {}, 1
    except ValueError:
        pass
    found = re.fullmatch(r"([A-Za-zµ]+)(-?\d+)?", token)
    if found:
        word, power = found.group(1), int(found.group(2) or 1)
        word = _WORDS.get(word, word)
        for prefix, scale in _PREFIXES.items():
            if word.startswith(prefix) and word[len(prefix) :] in _BASES:
                base, exponents = _BASES[word[len(prefix) :]]
                return scale * base, exponents, power
    raise DataError(f"units {text!r} are not understood (at {token!r}).")
