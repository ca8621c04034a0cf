"""How people spell quantities on the command line and in run files: numbers with units, errors.

Nothing here imports numpy before a value is there to be read: ``--help`` stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice, product
from math import log, pi
from typing import TYPE_CHECKING, Any

from powercal.errors import PowercalError, UnitError, unknown_name

if TYPE_CHECKING:
    from powercal.contracts import Model
    from powercal.line import AttenuatorChain
    from powercal.sources import ErrorSource

_NUMBER = re.compile(r"^\s*[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+−]?\d+)?\s*")
_PLUS_MINUS = re.compile(r"±|\+/-|\+-")
_ERROR = re.compile(r"^\s*([^:]+):\s*(\w+)\s+(.+?)(?:\s+per\s+(\w+))?\s*$")
_MOST_VARIANTS = 512  # of a model's options; enough for every model that a person can choose from
_NUISANCES = {"attenuation_db": "dB", "gain_db": "dB"}

# What a detector sees has short names of its own.
OBSERVABLES = {"complex": "reflection", "power": "reflected_power"}

# Facts that no file of traces tells and that checks of assumptions need: unit, meaning, example.
DECLARED = {
    "bath_temperature": ("K", "temperature of the bath", "20mK"),
    "anharmonicity": ("Hz", "anharmonicity", "-200MHz"),
    "dwell_time": ("s", "time spent at each point", "10us"),
}

Read = Callable[[str, str], Any]


def quantity(text: str, unit: str) -> float:
    """Read a number; with a unit it must be of the kind of ``unit``, without one it is SI.

    Parameters
    ----------
    text : str
        For example ``"6.5449GHz"`` or ``"0.02"``.
    unit : str
        The SI unit in which the house holds the quantity.

    Returns
    -------
    float
        In that unit.

    Raises
    ------
    UnitError
        No number, an unknown unit or one of another kind.

    Examples
    --------
    >>> quantity("6.5GHz", "Hz"), quantity("0.02", "1")
    (6500000000.0, 0.02)
    """
    from powercal.units import UNITS, parse_quantity

    number = _NUMBER.match(text)
    spelled = text[number.end() :].strip() if number else ""
    if number is None or not spelled or spelled == unit:
        return parse_quantity(number[0] if number else text, "number")
    if unit not in UNITS or UNITS[unit].kind == "number":
        wanted = "a plain number" if unit in UNITS else f"the number in {unit}"
        raise UnitError(f"{text!r} has a unit, but {wanted} is wanted; leave the unit out")
    if unit == "s-1" and spelled in ("Hz", "kHz", "MHz", "GHz"):  # never 2π too little unsaid
        angular = 2 * pi * parse_quantity(text, "frequency")
        raise UnitError(
            f"{text!r} is a frequency, but a rate in s-1 is wanted; if it is the rate over 2π, "
            f"write {angular:.10g}"
        )
    return parse_quantity(text, UNITS[unit].kind)


def quantity_with_error(text: str, unit: str) -> tuple[float, float]:
    """Read ``"10±1us"`` as value and standard uncertainty; a unit at the end belongs to both.

    Raises
    ------
    UnitError
        Another form, a level such as dBm, or an uncertainty that is not positive.

    Examples
    --------
    >>> quantity_with_error("61.4±0.5", "dB")
    (61.4, 0.5)
    """
    parts = [part.strip() for part in _PLUS_MINUS.split(text)]
    if len(parts) != 2 or not all(map(_NUMBER.match, parts)):
        raise UnitError(
            f"{text!r} is not a value with its standard uncertainty; write for example 61.4±0.5"
        )
    value, error = parts
    spelled = _NUMBER.sub("", error)
    _refuse_level(text, spelled)
    pair = (
        quantity(value if _NUMBER.sub("", value) else value + spelled, unit),
        quantity(error, unit),
    )
    if not pair[1] > 0:
        raise UnitError(f"the uncertainty in {text!r} must be positive; give its true size")
    return pair


def spread(text: str, unit: str) -> float:
    """Read a standard deviation, which cannot be a level such as dBm.

    Raises
    ------
    UnitError
        A level, no number, an unknown unit or a number that is not positive.
    """
    _refuse_level(text, _NUMBER.sub("", text))
    value = quantity(text, unit)
    if not value > 0:
        raise UnitError(f"the standard deviation {text!r} must be positive; give its true size")
    return value


def _refuse_level(text: str, spelled: str) -> None:
    from powercal.units import unit

    if spelled and unit(spelled).level:
        raise UnitError(
            f"{text!r} is an uncertainty in {spelled}, which depends on the level; give it in a "
            f"linear unit such as W"
        )


def error_source(text: str) -> ErrorSource:
    """Read ``"power meter: incident_power 2% per power"``: a name, a word, a size, who shares it.

    Parameters
    ----------
    text : str
        The size is relative (``2%``, of powers also ``0.1dB``) or absolute in a unit of the word;
        ``per DIMENSION`` is one draw for every index along it, ``per point`` one for every value,
        nothing one for all.

    Returns
    -------
    ErrorSource
        In SI.

    Raises
    ------
    UnitError
        Another form, or a size of another kind than the word.
    UnknownNameError
        No such word.

    Examples
    --------
    >>> error_source("power meter: incident_power 2%").relative
    0.02
    """
    from powercal.schema import WORDS
    from powercal.sources import ErrorSource

    found = _ERROR.match(text)
    if found is None:
        raise UnitError(
            f"{text!r} is not a named error; write for example 'power meter: incident_power 2%', "
            f"'drift: reflection 1% per power' or 'counter: frequency 10kHz'"
        )
    name, word, size, along = (part and part.strip() for part in found.groups())
    if word not in WORDS:
        raise unknown_name("schema word (error)", word, WORDS)
    given: dict[str, float] = {}
    if size.endswith("%"):
        given["relative"] = quantity(size[:-1], "1") / 100
    elif size.endswith("dB") and WORDS[word].kind == "power":
        given["relative"] = quantity(size, "dB") * log(10) / 10
    else:
        given["absolute"] = spread(size, WORDS[word].unit)
    shared = along is None or (False if along == "point" else along)
    return ErrorSource(name, word, correlated=shared, **given)


def chain(text: str) -> AttenuatorChain:
    """Read ``"300K,20dB@4K"``: a source and the attenuators behind it, in the signal's order."""
    from powercal.line import AttenuatorChain

    source, *stages = text.split(",")
    pairs = [stage.partition("@") for stage in stages]
    return AttenuatorChain(
        quantity(source, "K"), tuple((quantity(a, "dB"), quantity(t, "K")) for a, _, t in pairs)
    )


def points(text: str) -> tuple[list[int], list[int]]:
    """Read the numbers of the calibration points in the ground and in the excited state.

    Raises
    ------
    UnitError
        Another form than ``"0,1:2,3"``.

    Examples
    --------
    >>> points("-4,-3:-2,-1")
    ([-4, -3], [-2, -1])
    """
    try:
        ground, excited = ([int(i) for i in part.split(",")] for part in text.split(":"))
    except ValueError as reason:
        raise UnitError(f"{text!r} is not of the form of 0,1:2,3; write it so") from reason
    return ground, excited


def plain_option(text: str) -> float | str:
    """Read an option of a loader: a number where it is one, else the text.

    Examples
    --------
    >>> plain_option("-30"), plain_option("VNA - S21")
    (-30.0, 'VNA - S21')
    """
    try:
        return float(text)
    except ValueError:
        return text


def units_of(model: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the unit of every parameter and derived quantity of a model, line included.

    Parameters
    ----------
    model : str
        Its name.
    chosen : mapping
        The options that were chosen; units are those under whatever others.
    """
    units = dict(_NUISANCES)
    for variant in variants(model, chosen).values():
        units |= {derived.name: derived.unit for derived in variant.derived}
        units |= {row.name: row.unit for row in variant.parameters}
    return units


def read_quantities(
    given: Mapping[str, str], units: Mapping[str, str], whose: str, read: Read
) -> dict[str, Any]:
    """Read values, each in the unit of its quantity (``name`` or ``name[index]``).

    Raises
    ------
    UnitError
        A value that cannot be read.
    UnknownNameError
        A name that is not among the units.
    """
    values = {}
    for name, text in given.items():
        bare = name.split("[")[0]
        if bare not in units:
            raise unknown_name(f"quantity of {whose}", name, units)
        values[name] = _read(read, text, units[bare], name)
    return values


def read_spreads(given: Mapping[str, str], whose: str) -> dict[str, float]:
    """Read standard deviations of observables, named by schema words.

    Raises
    ------
    UnitError
        A value that cannot be read.
    UnknownNameError
        No such word.
    """
    from powercal.schema import WORDS

    for name in given:
        if name not in WORDS:
            raise unknown_name(f"schema word ({whose})", name, WORDS)
    return {n: _read(spread, text, WORDS[n].unit, n) for n, text in given.items()}


def _read(read: Read, text: str, unit: str, name: str) -> Any:
    try:
        return read(text, unit)
    except UnitError as error:
        raise UnitError(f"{name}: {error}") from error


def variants(name: str, chosen: Mapping[str, str] | None = None) -> dict[tuple[str, ...], Model]:
    """Return the model under every combination of its options, by the choices made.

    Of an open option the value that was chosen stands for all that it may have.
    """
    from powercal.registry import get_model

    model = get_model(name)
    found: dict[tuple[str, ...], Model] = {}
    asked = chosen or {}
    choices = product(
        *((asked[o.name],) if o.open and o.name in asked else o.choices for o in model.options)
    )
    for combination in islice(choices, _MOST_VARIANTS):
        named = dict(zip((option.name for option in model.options), combination, strict=True))
        try:
            found[combination] = model.configure(**named)
        except PowercalError:  # options that exclude each other
            continue
    return found or {(): model}
