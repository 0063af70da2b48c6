"""Units of length and angle, as microscopes and their software write them."""

import math

_ANGSTROM = {
    "a": 1.0,
    "å": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ångström": 1.0,
    "pm": 0.01,
    "picometer": 0.01,
    "nm": 10.0,
    "n_m": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "um": 1e4,
    "µm": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "mm": 1e7,
    "millimeter": 1e7,
    "cm": 1e8,
    "centimeter": 1e8,
    "m": 1e10,
    "meter": 1e10,
}
_DEGREES = {
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "°": 1.0,
    "rad": math.degrees(1),
    "radian": math.degrees(1),
    "radians": math.degrees(1),
    "mrad": math.degrees(1e-3),
}


def in_angstrom(length: float, unit: str) -> float | None:
    """The length in angstrom; None for an unknown unit."""
    return _converted(length, unit, _ANGSTROM)


def in_degrees(angle, unit: str):
    """The angle, or array of angles, in degrees; None for an unknown unit."""
    return _converted(angle, unit, _DEGREES)


def _converted(value, unit, factors: dict[str, float]):
    # ImageJ escapes its micro sign, Unicode has two of them and two rings, Berkeley EMD files put brackets about units
    name = str(unit).replace("\\u00B5", "µ").replace("\u03bc", "µ").replace("\u212b", "å").strip(" []_").lower()
    return None if name not in factors else value * factors[name]
