"""Units at the edges of the house: a closed table from lab units to SI and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.errors import UnitError


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: what kind of quantity it measures and how it becomes SI.

    ``factor`` multiplies a linear unit; a level (dBm, dBW) becomes
    ``factor * 10**(value / 10)`` watts.
    """

    kind: str
    factor: float
    level: bool = False


_DEGREE = float(np.pi / 180)

UNITS: dict[str, Unit] = {
    "dBm": Unit("power", 1e-3, level=True),
    "dBW": Unit("power", 1.0, level=True),
    "W": Unit("power", 1.0),
    "mW": Unit("power", 1e-3),
    "µW": Unit("power", 1e-6),
    "nW": Unit("power", 1e-9),
    "pW": Unit("power", 1e-12),
    "fW": Unit("power", 1e-15),
    "aW": Unit("power", 1e-18),
    "dB": Unit("ratio", 1.0),
    "V": Unit("voltage", 1.0),
    "mV": Unit("voltage", 1e-3),
    "A": Unit("current", 1.0),
    "nA": Unit("current", 1e-9),
    "pA": Unit("current", 1e-12),
    "m": Unit("length", 1.0),
    "m-1": Unit("inverse_length", 1.0),
    "cm-1": Unit("inverse_length", 1e2),
    "Hz": Unit("frequency", 1.0),
    "kHz": Unit("frequency", 1e3),
    "MHz": Unit("frequency", 1e6),
    "GHz": Unit("frequency", 1e9),
    "rad s-1": Unit("angular_frequency", 1.0),
    "s-1": Unit("rate", 1.0),
    "s": Unit("time", 1.0),
    "ms": Unit("time", 1e-3),
    "µs": Unit("time", 1e-6),
    "ns": Unit("time", 1e-9),
    "K": Unit("temperature", 1.0),
    "mK": Unit("temperature", 1e-3),
    "deg": Unit("angle", _DEGREE),
    "rad": Unit("angle", 1.0),
    "1": Unit("number", 1.0),
}

SI_UNITS: dict[str, str] = {
    "power": "W",
    "ratio": "dB",
    "voltage": "V",
    "current": "A",
    "length": "m",
    "inverse_length": "m-1",
    "frequency": "Hz",
    "angular_frequency": "rad s-1",
    "rate": "s-1",
    "time": "s",
    "temperature": "K",
    "angle": "rad",
    "number": "1",
}

_SPELLINGS = {"rad/s": "rad s-1", "1/s": "s-1", "": "1"}
_NUMBER = r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+−]?\d+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*(.*?)\s*$")
_WITH_ERROR = re.compile(rf"^\s*({_NUMBER})\s*(?:±|\+/-|\+-)\s*({_NUMBER})\s*(.*?)\s*$")


def unit(name: str) -> Unit:
    """Look a unit up by its name.

    Parameters
    ----------
    name : str
        One of the closed table, for example ``"dBm"``; ``u`` is read as ``µ``.

    Returns
    -------
    Unit
        Its kind and its way to SI.

    Raises
    ------
    UnitError
        If the table does not hold it.

    Examples
    --------
    >>> unit("GHz").kind
    'frequency'
    """
    return UNITS[canonical(name)]


def canonical(name: str) -> str:
    """Spell a unit the way the table does (``uW`` and both micro signs become ``µW``).

    Examples
    --------
    >>> canonical("uW"), canonical("rad/s")
    ('µW', 'rad s-1')
    """
    text = str(name).strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    text = _SPELLINGS.get(text, text) if str(name) else text
    if text not in UNITS and text[:1] == "u":
        text = "\N{MICRO SIGN}" + text[1:]
    if text not in UNITS:
        raise UnitError(f"unit {name!r} is not known; use one of {', '.join(UNITS)}")
    return text


def compound(name: str) -> str:
    """Accept a unit of the table, or a product of powers of them as in ``rad2 s-2 W-1``.

    For model parameters, which are SI already; traces take plain units only.

    Raises
    ------
    UnitError
        If a factor is not known.

    Examples
    --------
    >>> compound("rad2 s-2 W-1")
    'rad2 s-2 W-1'
    """
    try:
        return canonical(name)
    except UnitError:
        for factor in str(name).split():
            canonical(re.sub(r"[-+]?\d+$", "", factor))
        return str(name)


def to_si(values: ArrayLike, name: str, kind: str | None = None) -> NDArray[Any]:
    """Turn values in a lab unit into SI.

    Parameters
    ----------
    values : array_like
        Numbers in the unit ``name``; complex only for linear units.
    name : str
        The unit.
    kind : str, optional
        The kind of quantity that is wanted (a key of ``SI_UNITS``).

    Returns
    -------
    ndarray
        float64 or complex128 in the SI unit of the kind.

    Raises
    ------
    UnitError
        Unknown unit, or a unit of another kind than wanted.

    Examples
    --------
    >>> float(to_si(-30.0, "dBm"))
    1e-06
    """
    found = unit(name)
    if kind is not None and found.kind != kind:
        wanted = ", ".join(key for key, value in UNITS.items() if value.kind == kind)
        raise UnitError(
            f"unit {name!r} measures {found.kind}, but {kind} is wanted; use one of {wanted}"
        )
    array = np.asarray(values)
    array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    if not found.level:
        return np.asarray(array * found.factor)
    if np.iscomplexobj(array):
        raise UnitError(f"complex values cannot be levels in {name!r}; give them in a linear unit")
    return np.asarray(found.factor * 10.0 ** (array / 10.0))


def from_si(values: ArrayLike, name: str) -> NDArray[Any]:
    """Turn SI values into a lab unit; the inverse of :func:`to_si`.

    Examples
    --------
    >>> round(float(from_si(1e-6, "dBm")), 12)
    -30.0
    """
    found = unit(name)
    array = np.asarray(values)
    if not found.level:
        return np.asarray(array / found.factor)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10.0 * np.log10(array / found.factor))


def parse_quantity(text: str, kind: str) -> float:
    """Read ``"6.5449GHz"`` as one SI number of the wanted kind.

    Raises
    ------
    UnitError
        If there is no number, no unit, or a unit of another kind.

    Examples
    --------
    >>> parse_quantity("50 kHz", "frequency")
    50000.0
    """
    match = _QUANTITY.match(text)
    if match is None:
        raise UnitError(f"{text!r} is not a number with a unit; write for example 6.5449GHz")
    if kind != "number" and not match[2]:
        wanted = ", ".join(key for key, value in UNITS.items() if value.kind == kind)
        raise UnitError(f"{text!r} has no unit; append one of {wanted}")
    return float(to_si(float(match[1].replace("−", "-")), match[2] or "1", kind))


def parse_with_error(text: str) -> tuple[float, float]:
    """Read ``"61.4±0.5"`` (also ``+/-`` and ``+-``) as value and standard uncertainty.

    Raises
    ------
    UnitError
        If the text has another form or the uncertainty is not positive.

    Examples
    --------
    >>> parse_with_error("61.4±0.5")
    (61.4, 0.5)
    """
    match = _WITH_ERROR.match(text)
    if match is None or match[3]:
        raise UnitError(
            f"{text!r} is not a value with its standard uncertainty; write for example 61.4±0.5"
        )
    value, error = (float(part.replace("−", "-")) for part in match.groups()[:2])
    if not error > 0:
        raise UnitError(f"the uncertainty in {text!r} must be positive")
    return value, error
